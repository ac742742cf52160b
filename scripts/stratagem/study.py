"""The study: one config, declared once, checked as a whole, then frozen.

Comes in: the mapping that Snakemake read from YAML. Goes out: a frozen `Study`, or one `ConfigError`
that lists every fault, each in one sentence that names its key. The JSON schema in `schemas/` is made
from this declaration (``python -m stratagem.study``), so the three cannot drift apart.

A strategy is data: it names a resolution, an augmentation and a source, and sets its loader inline.
"""

import difflib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from stratagem.errors import ConfigError

__all__ = ["Recipe", "Study", "read_study", "schema"]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Classes = Annotated[tuple[str, ...], Field(min_length=2)]
Labels = Literal["auto", "indices", "binary"]
Probability = Annotated[float, Field(ge=0, le=1)]

STRIDE_OF_CLASSIFIER = 32  # pixels: a ResNet halves its input five times


class Options(BaseModel):
    """A section of the config: unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Split(Options):
    """How the samples are divided into training, validation and test images."""

    seed: Seed = Field(0, description="Fixes which images are in which part; not the training.")
    test: Share = Field(0.2, lt=1, description="Share of the groups tested, where `folds` is 1.")
    validation: Share = Field(0.15, lt=1, description="Share of the groups that draw the curves.")
    group: str | None = Field(
        None,
        description="Regular expression over the sample's name; samples with the same match (its first "
        "bracket, if any) never straddle two parts. Without it each image is a group of its own.",
    )


class Budget(Options):
    """What every strategy may use: exactly one of the two."""

    images: int | None = Field(None, ge=1, description="Images seen in training, repeats counted.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        if (self.images is None) == (self.steps is None):
            raise ValueError("set exactly one of `images` and `steps`")
        return self


class Unet(Options):
    """The size of the classic U-Net."""

    width: int = Field(16, ge=1, description="Channels of the first level; each level doubles them.")
    depth: int = Field(4, ge=1, le=6, description="How often the image is halved.")


class Training(Options):
    """What the train loop needs, the same for every strategy unless one says otherwise."""

    learning_rate: float = Field(
        1e-3,
        gt=0,
        description="AdamW's peak rate at batch size 16; at batch size B it is times sqrt(B / 16).",
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled weight decay.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the budget with a rising rate.")
    validations: int = Field(10, ge=1, description="How often, at equal shares, curves are taken.")
    micro_batch_pixels: int = Field(
        262144,
        ge=1,
        description="Pixels that pass the network at once; a larger batch is split and its gradients "
        "summed, which bounds memory (and on a CPU is faster) and changes nothing else.",
    )


class Resolution(Options):
    """How images of many sizes are brought into the network's frame."""

    plan: Literal["native", "resize", "pad"] = Field(
        description="native: own size, filled up to the stride. resize: one size, by interpolation. "
        "pad: the largest size of the set, by filling up; cropped back exactly."
    )
    size: tuple[int, int] | None = Field(
        None,
        description="Height and width in pixels, for `resize`; without it the median size of the set.",
    )

    @model_validator(mode="after")
    def _size_only_for_resize(self) -> "Resolution":
        if self.size is not None and self.plan != "resize":
            raise ValueError(f"`size` belongs to the plan `resize`, not to `{self.plan}`")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"`size` is height and width in pixels, both at least 1, not {self.size}")
        return self


class Augmentation(Options):
    """Ranges from which each synthetic image draws its transform; what is left out is off."""

    variants: int = Field(
        50, ge=1, description="Synthetic images an original; epoch e takes variant e modulo this."
    )
    rotation: float = Field(0, ge=0, le=180, description="Degrees, drawn from plus or minus this.")
    translation: float = Field(0, ge=0, lt=1, description="Share of the side, plus or minus.")
    scale: float = Field(1, ge=1, description="Factor, log-uniform between 1 / scale and scale.")
    flip_horizontal: Probability = Field(0, description="Probability of exchanging left and right.")
    flip_vertical: Probability = Field(0, description="Probability of exchanging top and bottom.")
    brightness: float = Field(0, ge=0, le=1, description="Share of full range, plus or minus.")
    contrast: float = Field(1, ge=1, description="Factor, log-uniform between 1 / contrast and it.")
    blur: float = Field(0, ge=0, description="Largest standard deviation of a Gaussian, in pixels.")
    blur_probability: Probability = Field(0.3, description="Probability of any blur.")


class DataSource(Options):
    """A U-Net taught on another data set."""

    images: str = Field(description="Folder of images.")
    masks: str = Field(description="Folder of masks.")
    classes: Classes = Field(description="Class names by index; 0 is background.")
    labels: Labels = Field("auto", description="How its masks are read; see the study's `labels`.")
    resolution: Name = Field(description="A name under `resolutions`, fitted on this source's sizes.")
    augmentation: Name | None = Field(None, description="A name under `augmentations`.")
    batch_size: int = Field(16, ge=1, description="Images a step.")
    budget: Budget = Field(description="What the pretraining may use.")
    seed: Seed = Field(0, description="Fixes the source's initial weights, order and augmentation.")


class WeightsSource(Options):
    """A classifier's weights, from a file or an address."""

    weights: str = Field(description="A .safetensors or .pth file, or an http(s) address of one.")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Digest of the file; required for an address."
    )
    network: Literal["resnet18"] = Field("resnet18", description="The classifier they belong to.")

    @model_validator(mode="after")
    def _address_needs_a_digest(self) -> "WeightsSource":
        if self.weights.startswith(("http://", "https://")) and self.sha256 is None:
            raise ValueError("`sha256` is required where `weights` is an address")
        return self


def _kind_of_source(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "weights" if "weights" in given else "data"


Source = Annotated[
    Annotated[DataSource, Tag("data")] | Annotated[WeightsSource, Tag("weights")],
    Discriminator(_kind_of_source),
]


class Init(Options):
    """Where the first weights come from."""

    source: Name = Field(description="A name under `sources`.")
    freeze: Literal["none", "encoder"] = Field("none", description="Which taken layers stay fixed.")


class Loader(Options):
    """How the training images reach the network."""

    fraction: Share = Field(1.0, description="Share of the training images used, drawn per seed.")
    storage: Literal["shards", "memory"] = Field(
        "shards", description="shards: read on demand. memory: all held in memory."
    )
    batch_size: int = Field(16, ge=1, description="Images a step; mixed sizes batch by equal size.")


class Strategy(Options):
    """One way to train: what it names differs from the baseline, all else is shared."""

    resolution: Name = Field(description="A name under `resolutions`.")
    augmentation: Name | None = Field(None, description="A name under `augmentations`.")
    init: Init | None = Field(None, description="Transfer; without it weights start at random.")
    loader: Loader = Field(Loader(), description="Fraction, storage and batch size.")
    network: Literal["unet", "resnet18"] = Field(
        "unet", description="unet: the classic one. resnet18: a U-Net on a ResNet-18 encoder."
    )
    learning_rate: float | None = Field(None, gt=0, description="Instead of the common rate.")
    reference: Name | None = Field(
        None, description="The strategy it is compared with; without it `report.baseline`."
    )


class Report(Options):
    """What the comparison decides and the report shows."""

    baseline: Name = Field("baseline", description="The strategy that others are compared with.")
    metric: Literal["dice", "iou"] = Field(
        "dice", description="Primary endpoint: per image, mean over foreground classes present."
    )
    margin: float = Field(
        0.01, ge=0, lt=1, description="Differences within plus or minus this are no difference."
    )
    examples: int = Field(4, ge=0, description="Test images shown with truth and predictions.")


class Recipe(Options):
    """All that fixes one training run beside its input files: what a training job is told."""

    name: str = Field(description="Of the strategy or the source.")
    strategy: Strategy
    fold: int
    seed: int
    classes: Classes
    budget: Budget
    training: Training
    unet: Unet
    threads: int


class Study(Options):
    """One study: data, strategies, and how they are compared."""

    study: Name = Field(description="Its name; all outputs stand in results/<study>/.")
    images: str = Field(description="Folder of images, searched with its subfolders.")
    masks: str = Field(description="Folder of masks; each has its image's path, any extension.")
    classes: Classes = Field(description="Class names by index; 0 is background.")
    labels: Labels = Field(
        "auto",
        description="indices: pixel value = class, 255 = ignore. binary: 0 and 255. auto: by the values "
        "found in the whole set.",
    )
    bad_samples: Literal["stop", "skip"] = Field(
        "stop", description="What to do where samples cannot be used; all are listed either way."
    )
    split: Split = Field(Split(), description="Parts and groups.")
    folds: int = Field(1, ge=1, description="1: one split; k: k-fold cross-validation.")
    seeds: tuple[Seed, ...] = Field(
        min_length=1, description="Each trains every strategy once; one gives no interval."
    )
    budget: Budget = Field(description="What each run may use, the same for all.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks run.")
    threads: int = Field(1, ge=1, description="Threads of a training job; part of its result.")
    shards: int = Field(4, ge=1, description="HDF5 files a resolution, one job each.")
    unet: Unet = Field(Unet(), description="The classic U-Net's size.")
    training: Training = Field(Training(), description="The train loop.")
    resolutions: dict[Name, Resolution] = Field(min_length=1, description="Plans by name.")
    augmentations: dict[Name, Augmentation] = Field({}, description="Policies by name.")
    sources: dict[Name, Source] = Field({}, description="Sources of weights by name.")
    strategies: dict[Name, Strategy] = Field(min_length=1, description="What is compared.")
    report: Report = Field(Report(), description="Endpoint, margin and pictures.")

    def stride(self, resolution: str) -> int:
        """Pixels: what a frame's sides are multiples of, for all networks that use the resolution."""
        users = [strategy for strategy in self.strategies.values() if strategy.resolution == resolution]
        deep = any(strategy.network != "unet" for strategy in users)
        return max(2**self.unet.depth, STRIDE_OF_CLASSIFIER if deep else 1)

    def run(self, strategy: str, fold: int, seed: int) -> Recipe:
        """The recipe of one run of a strategy."""
        return self._recipe(strategy, self.strategies[strategy], fold, seed, self.classes, self.budget)

    def pretraining(self, name: str) -> Recipe:
        """The recipe that teaches a source's U-Net: all its images, at its own budget."""
        source = self.sources[name]
        strategy = Strategy(
            resolution=source.resolution,
            augmentation=source.augmentation,
            loader=Loader(batch_size=source.batch_size),
        )
        return self._recipe(name, strategy, 0, source.seed, source.classes, source.budget)

    def _recipe(self, name, strategy, fold, seed, classes, budget) -> Recipe:
        shared = {"training": self.training, "unet": self.unet, "threads": self.threads}
        strategy = strategy.model_copy(update={"reference": None})  # it decides no training
        return Recipe(
            name=name, strategy=strategy, fold=fold, seed=seed, classes=classes, budget=budget, **shared
        )

    def reference(self, strategy: str) -> str | None:
        """The strategy that this one is compared with; None for the baseline itself."""
        if strategy == self.report.baseline:
            return None
        return self.strategies[strategy].reference or self.report.baseline


def read_study(config: dict) -> Study:
    """The config as a frozen study.

    Parameters
    ----------
    config : dict
        What stands in the YAML file, with values of the command line laid over it.

    Raises
    ------
    ConfigError
        With every fault found, each in one sentence.
    """
    faults = []
    study = None
    try:
        study = Study.model_validate(config)
    except ValidationError as error:
        faults += [_sentence(fault) for fault in _innermost(error.errors())]
    faults += _dangling(config)
    faults += _contradictions(study) if study else []
    if faults:
        raise ConfigError(faults)
    return study


def schema() -> str:
    """The JSON schema of a study, as text that ends with a newline."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema()
    return json.dumps(document, indent=2) + "\n"


def _innermost(faults: list[dict]) -> list[dict]:
    """Without those that only follow from a fault further inside (a list too short, its item bad)."""
    places = [fault["loc"] for fault in faults]
    return [
        fault
        for fault in faults
        if not any(place[: len(fault["loc"])] == fault["loc"] != place for place in places)
    ]


def _sentence(fault: dict) -> str:
    loc, tag = _without_tag(fault["loc"])
    key = ".".join(str(part) for part in loc if part != "[key]") or "the config"
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        return f"{key}: no such key{_nearest(_section(loc, tag), loc[-1])}; remove it or correct its name."
    if fault["type"] == "missing":
        return f"{key}: missing; add it ({_section(loc, tag).model_fields[loc[-1]].description})"
    if fault["type"] == "value_error":
        return f"{key}: {fault['ctx']['error']}."
    if fault["type"] == "model_type":
        return f"{key}: expected keys with values, but found {found!r}."
    if "pattern" in fault.get("ctx", {}):
        return f"{key}: expected text that matches {fault['ctx']['pattern']}, but found {found!r}."
    message = fault["msg"].replace("Input should be", "expected").replace("Tuple should", "expected to")
    return f"{key}: {message[0].lower() + message[1:]}, but found {found!r}."


def _without_tag(loc: tuple) -> tuple[tuple, str | None]:
    """A place without the kind of source that pydantic puts in it, and that kind."""
    if loc[:1] == ("sources",) and len(loc) > 2:
        return loc[:2] + loc[3:], loc[2]
    return loc, None


def _section(loc: tuple, tag: str | None) -> type[Options]:
    """The declared section that holds the last key of a place in the config."""
    named = {"resolutions": Resolution, "augmentations": Augmentation, "strategies": Strategy}
    named["sources"] = WeightsSource if tag == "weights" else DataSource
    section, rest = Study, loc
    if loc[0] in named and len(loc) > 2:
        section, rest = named[loc[0]], loc[2:]
    for part in rest[:-1]:
        annotation = section.model_fields[part].annotation
        inner = (annotation, *get_args(annotation))
        section = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, Options))
    return section


def _nearest(section: type[Options], key: str) -> str:
    known = list(section.model_fields)
    close = difflib.get_close_matches(str(key), known, n=1)
    return f" (did you mean `{close[0]}`?)" if close else f" (known here: {', '.join(known)})"


def _dangling(config: dict) -> list[str]:
    """Names used but not declared, found also where other keys are at fault."""
    faults = []
    for key, name, section in _references(config):
        known = config.get(section)
        known = [str(key) for key in known] if isinstance(known, dict) else []
        if isinstance(name, str) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"declared: {', '.join(known) or 'none'}."
            faults.append(f"{key}: `{name}` is not declared under `{section}`; {hint}")
    return faults


def _references(config: dict) -> list[tuple[str, Any, str]]:
    found = []
    for group in ("strategies", "sources"):
        members = config.get(group)
        for name, member in members.items() if isinstance(members, dict) else ():
            if not isinstance(member, dict):
                continue
            place = f"{group}.{name}"
            found.append((f"{place}.resolution", member.get("resolution"), "resolutions"))
            found.append((f"{place}.augmentation", member.get("augmentation"), "augmentations"))
            found.append((f"{place}.reference", member.get("reference"), "strategies"))
            init = member.get("init")
            if isinstance(init, dict):
                found.append((f"{place}.init.source", init.get("source"), "sources"))
    report = config.get("report")
    baseline = report.get("baseline", "baseline") if isinstance(report, dict) else "baseline"
    return [*found, ("report.baseline", baseline, "strategies")]


def _contradictions(study: Study) -> list[str]:
    faults = []
    once = {"classes": study.classes, "seeds": study.seeds}
    once |= {
        f"sources.{name}.classes": source.classes
        for name, source in study.sources.items()
        if isinstance(source, DataSource)
    }
    for key, values in once.items():
        if len(set(values)) < len(values):
            faults.append(f"{key}: expected each value once, but found {list(values)}.")
    if "mean" in study.classes:
        faults.append("classes: `mean` stands for the mean over classes in the tables; choose another name.")
    if study.folds == 1 and study.split.test + study.split.validation >= 1:
        faults.append("split: `test` and `validation` leave no image to train on; lower one of them.")
    if study.split.group is not None:
        try:
            re.compile(study.split.group)
        except re.error as error:
            faults.append(f"split.group: not a regular expression ({error}): {study.split.group!r}.")
    for name, source in study.sources.items():
        if isinstance(source, DataSource) and _overlap(source.images, study.images):
            faults.append(
                f"sources.{name}.images: `{source.images}` overlaps the study's own images, so the test "
                "images would be learned from; name a folder of other images."
            )
    for name, strategy in study.strategies.items():
        faults += _faults_of_strategy(study, name, strategy)
    return faults


def _overlap(one: str, other: str) -> bool:
    """Whether one folder is, or lies within, the other."""
    paths = [Path(folder).resolve() for folder in (one, other)]
    return paths[0].is_relative_to(paths[1]) or paths[1].is_relative_to(paths[0])


def _faults_of_strategy(study: Study, name: str, strategy: Strategy) -> list[str]:
    faults = []
    if strategy.reference == name:
        faults.append(f"strategies.{name}.reference: a strategy cannot be compared with itself.")
    source = study.sources.get(strategy.init.source) if strategy.init else None
    network = source.network if isinstance(source, WeightsSource) else "unet"
    if source and network != strategy.network:
        faults.append(
            f"strategies.{name}.init.source: `{strategy.init.source}` holds weights of a {network}, but "
            f"the strategy's network is {strategy.network}; set `network: {network}`."
        )
    return faults


if __name__ == "__main__":
    print(schema(), end="")
