"""The first comparison is remembered, and a later one that names something else says so."""

import json

import pytest

from comparing import design_of
from stratagem.comparison.precedent import CHANGES, changes, first_named, named

REFERENCES = {"resize": "baseline"}
SPLIT = {"seed": 0, "test": 0.2, "group": None}


def _record(strategy="resize", seed=1, rate=0.001, **lineage) -> dict:
    recipe = {"name": strategy, "fold": 0, "seed": seed, "training": {"learning_rate": rate}}
    return {
        "strategy": strategy,
        "fold": 0,
        "seed": seed,
        "recipe": recipe,
        "lineage": {"split": SPLIT, "folds": 1} | lineage,
    }


def _records(seeds=(1, 2), rate=0.001, **lineage) -> list[dict]:
    return [
        _record(name, seed, rate if name == "resize" else 0.001, **lineage)
        for name in ("baseline", "resize")
        for seed in seeds
    ]


def _changed(path, design=None, records=None) -> dict:
    """What is told, by what it is of, where the first comparison was of `REFERENCES` and two seeds."""
    first_named(path, named(design_of(REFERENCES), _records()))
    now = named(design or design_of(REFERENCES), records or _records())
    found = changes(first_named(path, now), now)
    assert list(found) == CHANGES
    return {row.what: (row.first, row.now) for row in found.itertuples()}


def test_the_first_comparison_changes_nothing(tmp_path):
    """It is written down, and named the same again there is nothing to tell."""
    assert _changed(tmp_path / "first.json") == {}
    written = json.loads((tmp_path / "first.json").read_text())
    assert (written["metric"], written["class"], written["margin"]) == ("dice", "mean", 0.01)
    assert written["references"] == REFERENCES and written["seeds"] == [1, 2]
    assert written["split"] == "seed 0, test 0.2, folds 1"


@pytest.mark.parametrize(
    ("design", "told"),
    [
        (design_of(REFERENCES, metric="iou"), {"endpoint": ("dice", "iou")}),
        (design_of(REFERENCES, margin=0.05), {"margin": ("0.01", "0.05")}),
        (design_of({}), {"reference of resize": ("baseline", "none")}),
        (
            design_of({"baseline": "resize"}),
            {"reference of resize": ("baseline", "none"), "reference of baseline": ("none", "resize")},
        ),
    ],
    ids=["endpoint", "margin", "a strategy less", "another baseline"],
)
def test_what_is_named_otherwise_is_told(tmp_path, design, told):
    """Endpoint, margin, strategies and their references."""
    assert _changed(tmp_path / "first.json", design) == told


@pytest.mark.parametrize(
    ("records", "what"),
    [
        (_records(seeds=(1, 2, 3)), "seeds"),
        (_records(split=SPLIT | {"seed": 5}), "split"),
        (_records(folds=3), "split"),
        (_records(rate=0.1), "how resize is trained"),
    ],
    ids=["seeds added", "another split", "folds", "one strategy trained anew"],
)
def test_other_runs_of_the_same_study_are_told(tmp_path, records, what):
    """Seeds added, a split drawn again, a strategy tuned after the results were seen."""
    assert list(_changed(tmp_path / "first.json", records=records)) == [what]


def test_what_decides_nothing_is_not_told(tmp_path):
    """The effect that a study is planned for changes no verdict."""
    assert _changed(tmp_path / "first.json", design_of(REFERENCES, effect=0.1)) == {}


def test_a_study_trained_anew_as_a_whole_is_another_study(tmp_path):
    """No run is the same: what was named of the others is no precedent."""
    records = [_record(name, seed, rate=0.5) for name in ("baseline", "resize") for seed in (1, 2)]
    assert _changed(tmp_path / "first.json", design_of(REFERENCES, margin=0.2), records) == {}
    assert json.loads((tmp_path / "first.json").read_text())["margin"] == 0.2


def test_a_record_that_cannot_be_read_is_written_again(tmp_path):
    """A damaged file stops no comparison."""
    (tmp_path / "first.json").write_text("{")
    assert _changed(tmp_path / "first.json") == {}


def test_records_of_older_versions_have_no_lineage(tmp_path):
    """What they do not tell is not compared, and nothing fails."""
    records = [{key: value for key, value in one.items() if key != "lineage"} for one in _records()]
    now = named(design_of(REFERENCES), records)
    first = first_named(tmp_path / "first.json", now)
    assert changes(first, now).empty
    assert "split" not in set(changes(first, named(design_of(REFERENCES), _records()))["what"])


@pytest.mark.parametrize(
    ("lineage", "what"),
    [
        ({"augmentation": {"rotation": 90}}, ["how baseline is trained", "how resize is trained"]),
        ({"files": "0ther"}, ["images"]),
    ],
)
def test_what_a_name_stands_for_may_change_too(tmp_path, lineage, what):
    """An augmentation tuned under its name, or other images in the same folder."""
    before = {"augmentation": {"rotation": 10}, "files": "f00d"}
    first = first_named(tmp_path / "first.json", named(design_of(REFERENCES), _records(**before)))
    now = named(design_of(REFERENCES), _records(**before | lineage))
    assert sorted(changes(first, now)["what"]) == what


def test_half_a_record_is_written_again(tmp_path):
    """One of an earlier form, or cut short."""
    (tmp_path / "first.json").write_text(json.dumps({"runs": named(design_of({}), _records())["runs"]}))
    assert _changed(tmp_path / "first.json") == {}
