"""What is compared with what, and how it is decided: named in the study, before training."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pandas as pd

from stratagem.evaluation.metrics import with_background

__all__ = ["PRIMARY_CLASS", "RUN", "TABLES", "UNADJUSTED", "Design"]

TABLES = {
    "comparison": "how each strategy differs from its reference, and what that says",
    "scores": "the mean score of each strategy, by class",
    "sizes": "scores by the images' own size",
    "runs": "the score of each run, and whether it collapsed",
    "pairs": "how far a strategy moved each test image, group or fold",
    "costs": "what each run took",
    "savings": "how many labelled images other first weights are worth",
    "unfound": "classes that no run finds",
    "changes": "what the first comparison named otherwise",
    "certificate": "how often the verdicts err, of simulated studies",
}
RUN = ["strategy", "fold", "seed"]  # what names one
PRIMARY_CLASS = "mean"
UNADJUSTED = "not adjusted"


@dataclass(frozen=True)
class Design:
    """What is compared with what, and how it is decided.

    Attributes
    ----------
    references : dict
        The reference of each strategy compared.
    metric : str
        Of the primary endpoint.
    margin : float
        Differences within plus or minus this are no difference.
    effect : float
        The effect that a study is planned for.
    classes : list of str
        Names by index.
    arms : dict
        Of each strategy that starts from other weights, its arm and its share of the budget: an arm differs
        in nothing but that, and in the share of the images.
    score_background : bool
        Whether class 0 is scored like the others.
    """

    references: dict[str, str]
    metric: str
    margin: float
    effect: float
    classes: list[str]
    arms: dict[str, tuple[str, float]] = field(default_factory=dict)
    score_background: bool = False

    @property
    def scored_classes(self) -> list[str]:
        """Names by the index that a class has in scores, where the first is never scored."""
        return ["", *self.classes] if self.score_background else self.classes

    def scored(self, counts: pd.DataFrame) -> pd.DataFrame:
        """Counts by class, numbered as they are scored."""
        return with_background(counts) if self.score_background else counts

    def without(self, strategies: Collection[str]) -> "Design":
        """The same for fewer strategies: what was compared with one of these is not compared at all.

        Parameters
        ----------
        strategies : collection of str

        Returns
        -------
        Design
            With other `references`, all else the same.
        """
        kept = {
            own: other
            for own, other in self.references.items()
            if own not in strategies and other not in strategies
        }
        return replace(self, references=kept)
