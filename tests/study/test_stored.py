"""Stored runs that no longer fit the study are named, and what other code made is counted with its hours."""

import json

import pytest

from stratagem.study.stored import (
    Expected,
    made_by_other_code,
    stale,
    told_of_other_code,
    told_of_runs_left,
)

LINEAGE = {"resolution": {"plan": "resize", "size": [64, 64]}, "source": None, "files": "f00d"}
RECIPE = {"name": "flipped", "fold": 0, "seed": 1, "threads": 1, "strategy": {"resolution": "native"}}
COST = {"recipe": RECIPE, "lineage": LINEAGE, "source": "abc", "training_s": 3000.0, "validation_s": 600.0}


@pytest.fixture
def stored(tmp_path):
    """Writes a run's cost.json, some of it changed, and says what the study expects of it now."""

    def written(name: str = "run", recipe=None, lineage=None, **cost) -> Expected:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "cost.json").write_text(json.dumps(COST | cost))
        return Expected(folder, RECIPE | (recipe or {}), LINEAGE | (lineage or {}))

    return written


def test_a_run_that_fits_the_study_is_not_stale(stored):
    """The same recipe, in any order of keys, and the same code."""
    run = stored()
    assert stale(run, "abc") is None
    assert stale(Expected(run.folder, dict(reversed(RECIPE.items())), LINEAGE), "abc") is None


def test_an_expected_run_goes_through_a_rule_s_params(stored):
    """As plain data, and back."""
    run = stored()
    assert Expected.from_record(json.loads(json.dumps(run.as_record()))) == run


@pytest.mark.parametrize(
    ("recipe", "lineage", "source", "reason"),
    [
        ({"threads": 2}, {}, "abc", "trained with other values of threads"),
        ({"threads": 2, "name": "x"}, {}, "abc", "trained with other values of name, threads"),
        ({"strategy": {"resolution": "pad"}}, {}, "abc", "trained with other values of strategy.resolution"),
        ({"budget": {"images": 6}}, {}, "abc", "trained with other values of budget.images"),
        ({}, {}, "xyz", "trained by other code"),
        ({"seed": 7}, {}, "xyz", "trained with other values of seed"),
        ({}, {"files": "beef"}, "abc", "trained with other values of files"),
        (
            {},
            {"resolution": {"plan": "resize", "size": [32, 32]}},
            "abc",
            "trained with other values of resolution.size",
        ),
        (
            {},
            {"source": {"budget": {"steps": 1}}},
            "abc",
            "trained with other values of source.budget.steps",
        ),
    ],
)
def test_a_stale_run_is_told_with_its_reason(stored, recipe, lineage, source, reason):
    """The keys that changed are named; other code is named where the rest is the same."""
    assert stale(stored(recipe=recipe, lineage=lineage), source) == reason


def test_a_key_that_came_later_is_no_difference_at_its_default(stored):
    """A run of a version that had no losses was trained with the default one."""
    before = stored("before", recipe={"training": {"warmup": 0.1}})
    (before.folder / "cost.json").write_text(
        json.dumps(COST | {"recipe": RECIPE | {"training": {"warmup": 0.1}}})
    )
    assert stale(before, "abc") is None
    other = Expected(before.folder, RECIPE | {"training": {"warmup": 0.1, "loss": "dice"}}, LINEAGE)
    assert stale(other, "abc") == "trained with other values of training.loss"


def test_a_record_without_lineage_or_source_is_read(stored):
    """What the first version stored lacks both: the rest is held against the study."""
    run = stored("first")
    record = {key: value for key, value in COST.items() if key not in ("lineage", "source", "validation_s")}
    (run.folder / "cost.json").write_text(json.dumps(record))
    assert stale(run, "abc") == "trained by other code"
    assert [hours for _, hours in made_by_other_code([run], "abc")] == [3000 / 3600]


def test_what_other_code_made_is_counted_with_its_hours(stored, tmp_path):
    """Runs that fit the study but for the code; those that are trained anew for their config are not."""
    runs = [stored("old"), stored("new", source="xyz"), stored("changed", recipe={"threads": 2})]
    runs.append(Expected(tmp_path / "not-there", RECIPE, LINEAGE))
    assert list(made_by_other_code(runs, "xyz")) == [(tmp_path / "old", 1.0)]


def test_a_damaged_record_stops_no_call(stored):
    """It is passed over where runs are counted: the targets that would cure it can still be called."""
    run = stored()
    for content in ("{", "{}", '{"recipe": {}}'):
        (run.folder / "cost.json").write_text(content)
        assert list(made_by_other_code([run], "xyz")) == []


@pytest.mark.parametrize(
    ("count", "kept", "said"),
    [
        (1, False, "Stale: 1 finished run was made by other code and will be made anew"),
        (3, False, "Stale: 3 finished runs were made by other code and will be made anew"),
        (3, True, "Kept: 3 finished runs that other code made (3.0 hours); tables and page say so."),
    ],
)
def test_an_upgrade_says_what_it_costs_and_how_to_keep(stored, tmp_path, count, kept, said):
    """Before anything starts, with the hours of the runs' own records."""
    text = told_of_other_code([(tmp_path, 1.0)] * count, kept=kept)
    assert text.startswith(said)
    assert kept or ("hours by their own records" in text and "--config keep=code" in text)


def test_where_all_fits_nothing_is_said():
    """No news is no line."""
    assert told_of_other_code([], kept=False) is None


def test_what_is_left_is_told_with_the_time_that_finished_runs_took(stored, tmp_path):
    """Missing, stale and damaged runs are left; a strategy's own runs tell how long, else those of all."""
    done, damaged = stored(), stored("damaged")
    (damaged.folder / "cost.json").write_text("{")
    missing = Expected(tmp_path / "none", RECIPE | {"name": "other"}, LINEAGE)
    said = told_of_runs_left([done, stored("old", source="xyz"), damaged, missing], "abc", 2)
    assert said == (
        "3 of 4 runs are left to train: about 3.0 hours one after the other, 1.5 hours with 2 at once, "
        "as the finished ones took."
    )
    assert "at once" not in told_of_runs_left([done, missing], "abc", None)
    assert told_of_runs_left([done], "abc", 2) is None
    assert told_of_runs_left([missing], "abc", 2) is None
