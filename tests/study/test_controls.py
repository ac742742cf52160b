"""Controls: the same strategy with random weights, beside each that takes a classifier's."""

from examples import WEIGHTS, small, with_classifiers
from stratagem.study.reading import read_study


def test_a_classifier_s_weights_bring_their_control():
    """Beside it trains the same network with random weights, which it is compared with."""
    study = with_classifiers(tuned={"init": {"source": "imagenet"}, "loader": {"batch_size": 2}})
    assert list(study.strategies) == ["baseline", "tuned-control", "tuned"]
    control, tuned = study.strategies["tuned-control"], study.strategies["tuned"]
    assert control.init is None
    assert control.loader == tuned.loader
    assert control.network == "resnet18"
    assert study.reference("tuned") == "tuned-control"


def test_a_control_is_compared_with_what_differs_in_the_network_alone():
    """So the effect of the architecture is seen apart; else the control only serves."""
    init = {"source": "imagenet"}
    plain = {"network": "unet", "loader": {"fraction": 0.1}}
    study = with_classifiers(
        full={"init": init},
        few={"init": init, "loader": {"fraction": 0.1}},
        few_plain=plain,
        short={"init": init, "budget_share": 0.5},
    )
    references = {name: study.reference(name) for name in study.strategies if name.endswith("control")}
    assert references == {"full-control": "baseline", "few-control": "few-plain", "short-control": None}
    assert study.reference("short") == "short-control"


def test_one_control_serves_all_that_differ_in_their_weights_alone():
    """Frozen or not, one control, named by the first; other batches, a control of their own."""
    study = with_classifiers(
        tuned={"init": {"source": "imagenet"}},
        frozen={"init": {"source": "imagenet", "freeze": "encoder"}},
        small={"init": {"source": "imagenet"}, "loader": {"batch_size": 2}},
    )
    references = {name: study.reference(name) for name in ("tuned", "frozen", "small")}
    assert references == {"tuned": "tuned-control", "frozen": "tuned-control", "small": "small-control"}


def test_a_control_of_the_user_s_own_is_taken():
    """A strategy that is the same but for its weights is the control; none is added."""
    study = with_classifiers(mine={"compared": False}, tuned={"init": {"source": "imagenet"}})
    assert list(study.strategies) == ["baseline", "mine", "tuned"]
    assert study.reference("tuned") == "mine"
    assert study.reference("mine") is None


def test_a_name_that_is_taken_is_not_the_control_s():
    """My own strategy of that name stays what it is."""
    own = {"network": "unet", "loader": {"batch_size": 3}}
    study = with_classifiers(tuned={"init": {"source": "imagenet"}}, tuned_control=own)
    assert study.reference("tuned") == "tuned-control-2"


def test_a_reference_of_the_user_s_own_stays():
    """I may read a classifier's weights against what I like, a control too; none is added for it."""
    init = {"source": "imagenet"}
    study = with_classifiers(tuned={"init": init, "reference": "baseline"})
    assert list(study.strategies) == ["baseline", "tuned"]
    assert study.reference("tuned") == "baseline"
    other = {"reference": "tuned-control", "loader": {"batch_size": 2}}
    study = with_classifiers(tuned={"init": init}, other=other)
    assert study.reference("other") == "tuned-control"


def test_a_baseline_on_a_classifier_s_weights_is_compared_with_nothing():
    """Its control is compared with it."""
    baseline = {"resolution": "native", "network": "resnet18", "init": {"source": "imagenet"}}
    study = read_study(small({"sources.imagenet": WEIGHTS, "strategies": {"baseline": baseline}}))
    references = {name: study.reference(name) for name in study.strategies}
    assert references == {"baseline-control": "baseline", "baseline": None}
