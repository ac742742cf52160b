"""Samples are divided so that nothing that belongs together straddles two parts, and shares are nested."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stratagem.core.errors import DataError
from stratagem.data.split import divide, select, units

OPTIONS = {"folds": 1, "test": 0.2, "validation": 0.2, "seed": 0}


def _table(samples: dict[str, tuple[int, ...]], **columns) -> pd.DataFrame:
    """An index of samples that hold the classes given, each in its own group and cluster."""
    names = list(samples)
    table = pd.DataFrame({"sample": names, "group": names, "part": None, "cluster": names})
    table = table.assign(height=64, width=64).assign(**columns)
    counts = {f"pixels_{number}": [9 * (number in held) for held in samples.values()] for number in range(3)}
    return table.assign(**counts)


def _many(count: int, **columns) -> pd.DataFrame:
    return _table({f"s{n:03d}": (0, 1) if n % 3 else (0, 2) for n in range(count)}, **columns)


def _parts(index: pd.DataFrame, **options) -> pd.Series:
    """The part of each sample where there is one fold."""
    return divide(index, **OPTIONS | options).set_index("sample")["part"]


def _clusters(names: list[str], numbers: list[int]) -> list[str]:
    """The first name of each name's cluster, as the index has it."""
    first = {}
    return [first.setdefault(number, name) for number, name in zip(numbers, names, strict=True)]


# What belongs together


drawn = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 25), st.integers(1, 7)), min_size=12, max_size=40
)


def _components(pairs) -> int:
    """How many units groups and clusters make, counted by hand."""
    units = []
    for pair in pairs:
        joined = [unit for unit in units if unit & set(pair)]
        units = [unit for unit in units if not unit & set(pair)] + [set(pair).union(*joined)]
    return len(units)


@given(drawn=drawn, folds=st.integers(1, 4), seed=st.integers(0, 5))
def test_nothing_that_belongs_together_straddles_parts(drawn, folds, seed):
    """In each fold a sample is in one part with its group and its duplicates; no part is empty."""
    names = [f"s{number:02d}" for number in range(len(drawn))]
    groups = [f"g{group}" for group, _, _ in drawn]
    clusters = _clusters(names, [cluster for _, cluster, _ in drawn])
    classes = {
        name: tuple(c for c in range(3) if bits >> c & 1)
        for name, (_, _, bits) in zip(names, drawn, strict=True)
    }
    index = _table(classes, group=groups, cluster=clusters)
    count = _components(zip(groups, clusters, strict=True))
    options = {"folds": folds, "test": 0.2, "validation": 0.15, "seed": seed}
    assume(count >= 4)  # fewer may be refused
    table = divide(index, **options)
    assert table.columns.tolist() == ["sample", "fold", "part"]
    assert len(table) == folds * len(names)
    for _, rows in table.groupby("fold"):
        parts = rows.set_index("sample")["part"].reindex(names)
        assert set(parts) == {"train", "val", "test"}
        for together in (groups, clusters):
            assert parts.groupby(together).nunique().max() == 1
    tested = table[table["part"] == "test"].groupby("sample")["fold"].nunique()
    assert folds == 1 or (tested.max() == 1 and sorted(tested.index) == names)


def test_groups_and_duplicates_join_into_one_unit():
    """A group and a cluster that share a sample are one unit, and so on along a chain."""
    index = _many(24)
    index["group"] = ["g0", "g0", "g1", "g1", "g2", "g2", *index["group"][6:]]
    index["cluster"] = _clusters(list(index["sample"]), [0, 1, 1, 2, 2, 5, *range(6, 24)])
    for seed in range(9):
        assert _parts(index, seed=seed).iloc[:6].nunique() == 1


def test_units_are_named_by_group():
    """Each sample's unit is the first of the groups that it is joined with, in the order of the index."""
    index = _table({name: (0,) for name in "dabc"}, group=["z", "y", "x", "x"], cluster=["d", "d", "b", "c"])
    assert units(index).to_dict() == {"d": "y", "a": "y", "b": "x", "c": "x"}
    assert list(units(index).index) == list("dabc")


def test_parts_are_shares_of_units():
    """A large group counts once."""
    index = _many(60)
    index["group"] = ["g"] * 41 + index["group"].tolist()[41:]
    parts = _parts(index)
    assert parts.groupby(index["group"].to_numpy()).first().value_counts().to_dict() == {
        "train": 12,
        "test": 4,
        "val": 4,
    }


# Shares and strata


@pytest.mark.parametrize("folds", [1, 3])
def test_parts_have_their_shares(folds):
    """Of a hundred images the shares asked for are tested and validated, within one image."""
    table = divide(_many(100), folds=folds, test=0.2, validation=0.15, seed=0)
    for _, rows in table.groupby("fold"):
        counts = Counter(rows["part"])
        assert abs(counts["test"] - (20 if folds == 1 else 100 / 3)) < 1
        assert counts["val"] == 15


def _require_even(table: pd.DataFrame, rare: list[str]) -> None:
    """Each part of each of four folds holds its share of 20 rare among 80 samples, one of five."""
    counts = table[table["sample"].isin(rare)].groupby(["fold", "part"]).size().unstack()
    assert counts["test"].between(4, 6).all()
    assert counts["val"].between(3, 5).all()


def test_parts_are_stratified_by_class():
    """Each part holds a rare class in about its share of the whole."""
    index = _table({f"s{number:02d}": (0, 2) if number < 20 else (0, 1) for number in range(80)})
    _require_even(divide(index, **OPTIONS | {"folds": 4}), list(index["sample"][:20]))


def test_parts_are_stratified_by_size():
    """Each part holds the few large images in about their share of the whole."""
    index = _table({f"s{number:02d}": (0, 1) for number in range(80)})
    index.loc[:19, "height"] = 500
    _require_even(divide(index, **OPTIONS | {"folds": 4}), list(index["sample"][:20]))


def test_nearly_equal_sizes_are_one_stratum():
    """Sizes count by powers of two of the area: where all differ a little, nothing is stratified apart."""
    index = _many(30)
    varied = index.assign(height=64 + np.arange(30))
    assert _parts(index).to_dict() == _parts(varied).to_dict()


@pytest.mark.parametrize("folds", [2, 5])
def test_each_unit_is_tested_once(folds):
    """Over all folds each group is tested in exactly one."""
    index = _many(40)
    index["group"] = [f"g{number // 2}" for number in range(40)]
    table = divide(index, **OPTIONS | {"folds": folds})
    tested = table[table["part"] == "test"]
    assert sorted(tested["sample"]) == sorted(index["sample"])
    assert (
        tested.groupby(tested["sample"].map(index.set_index("sample")["group"]))["fold"].nunique().max() == 1
    )


def test_why_units_are_few_is_told():
    """Where groups or duplicates join the images, the refusal counts what they join."""
    index = _many(20)
    index["cluster"] = index["sample"].where(index.index > 17, index["sample"].iat[0])
    with pytest.raises(DataError, match="found 3, of 20 images .duplicates join 17 .*largest unit holds 18"):
        divide(index, **OPTIONS | {"folds": 4})
    index["group"] = "one"
    with pytest.raises(
        DataError, match="found 1, of 20 images .groups join 19, duplicates join 17 with others"
    ):
        divide(index, **OPTIONS)


@pytest.mark.parametrize(("count", "folds"), [(2, 1), (3, 4)])
def test_too_few_units_are_refused(count, folds):
    """Too few independent images are refused with how many there are and what would help."""
    with pytest.raises(DataError, match=rf"`split` and `folds`.*independent.*found {count}\. Add images"):
        divide(_many(count), **OPTIONS | {"folds": folds})


@pytest.mark.parametrize("key", ["group", "cluster"])
def test_many_images_of_few_units_are_refused(key):
    """Ten images of one patient, or ten copies of one image, are one."""
    with pytest.raises(DataError, match="at least 3 independent.*found 1"):
        divide(_many(10, **{key: "s000"}), **OPTIONS)


def test_the_least_number_of_units_works():
    """The number of units that the refusal asks for is enough."""
    with pytest.raises(DataError, match="at least 4 "):
        divide(_many(3), **OPTIONS | {"folds": 2})
    assert divide(_many(4), **OPTIONS | {"folds": 2})["sample"].nunique() == 4


# Chance


def test_the_seed_fixes_the_parts():
    """The same seed gives the same parts whatever the order of the index; another seed others."""
    index = _many(30)
    index["group"] = [f"g{number // 2}" for number in range(30)]
    parts = _parts(index)
    assert parts.to_dict() == _parts(index.iloc[::-1]).to_dict()
    assert parts.to_dict() != _parts(index, seed=1).to_dict()


@settings(max_examples=15)
@given(count=st.integers(10, 60), seed=st.integers(0, 9))
def test_an_added_sample_moves_hardly_any_other(count, seed):
    """Adding an image of the same kind moves no other, but for those at the borders of the parts."""
    index = _table({f"s{number:02d}": (0, 1) for number in range(count + 1)})
    after, before = _parts(index, seed=seed), _parts(index.iloc[:-1], seed=seed)
    moved = before[before != after[before.index]]
    assert moved.value_counts().max() <= 2 or moved.empty


@pytest.mark.parametrize("added", ["a", "z"])
def test_an_image_added_to_a_group_moves_nothing(added):
    """A further image of a patient goes where the patient is, whatever its name."""
    index = _many(30)
    index["group"] = [f"g{number // 2}" for number in range(30)]
    more = pd.concat([index, index.iloc[[4]].assign(sample=added, cluster=added)]).sort_values("sample")
    for seed in range(5):
        before, after = _parts(index, seed=seed), _parts(more, seed=seed)
        assert before.to_dict() == after.drop(added).to_dict()
        assert after[added] == after["s004"]


# Parts of one's own


def _own(*parts, **columns) -> pd.DataFrame:
    return _many(len(parts), part=list(parts), **columns)


def test_own_parts_are_kept():
    """Where all three parts are given nothing is drawn, whatever the seed."""
    given_parts = ["train", "test", "val", "train", "train", "test"]
    for seed in range(3):
        table = divide(_own(*given_parts), **OPTIONS | {"seed": seed})
        assert table["part"].tolist() == given_parts
        assert set(table["fold"]) == {0}


@pytest.mark.parametrize(("validation", "drawn"), [(0.25, 5), (0.001, 1), (1.0, 19)])
def test_validation_is_drawn_from_training_where_it_is_absent(validation, drawn):
    """Without a part of its own validation is a share of training, never all of it; tests stay."""
    index = _own(*["train"] * 20, *["test"] * 4)
    index["group"] = index["group"].tolist()[:22] + ["t", "t"]
    parts = _parts(index, validation=validation)
    assert set(parts.iloc[20:]) == {"test"}
    assert Counter(parts.iloc[:20]) == {"val": drawn, "train": 20 - drawn}
    assert parts.to_dict() != _parts(index, validation=validation, seed=1).to_dict()


def test_drawn_validation_keeps_groups_whole():
    """Validation takes whole groups."""
    index = _own(*["train"] * 20, "test")
    index["group"] = [f"g{number // 4}" for number in range(21)]
    parts = _parts(index)
    assert Counter(parts) == {"train": 16, "val": 4, "test": 1}
    assert parts.groupby(index["group"].to_numpy()).nunique().max() == 1


@pytest.mark.parametrize("key", ["group", "cluster"])
def test_own_parts_that_tear_a_unit_are_refused(key):
    """A patient or a duplicate in two parts is named with the parts, since scores would be too good."""
    index = _own("train", "test", "train", "val")
    index[key] = ["s000", "s000", "s002", "s003"]
    with pytest.raises(DataError, match=r"one part for .*`s000` and what belongs with it in test and train"):
        divide(index, **OPTIONS)


def test_of_many_torn_units_the_first_are_named():
    """An error stays short."""
    index = _own(*["train", "test"] * 9)
    index["group"] = [f"g{number // 2}" for number in range(18)]
    with pytest.raises(DataError) as caught:
        divide(index, **OPTIONS)
    assert caught.value.found.count("`g") == 5


def test_own_parts_have_no_folds():
    """Parts of one's own and several folds contradict each other."""
    with pytest.raises(DataError, match=r"`folds: 1` beside parts of your own, but found folds: 3"):
        divide(_own("train", "train", "test"), **OPTIONS | {"folds": 3})


@pytest.mark.parametrize("together", [False, True])
def test_a_sample_without_a_part_is_refused(together):
    """Where some samples have a part all must, also one whose group has a part."""
    index = _own("train", "test", None, "val")
    index["group"] = ["s000", "s001", "s000" if together else "s002", "s003"]
    with pytest.raises(DataError, match="a part for every sample, but found samples without one"):
        divide(index, **OPTIONS)


@pytest.mark.parametrize("parts", [("train", "train", "val"), ("test", "test"), ("val", "test")])
def test_own_parts_need_training_and_test(parts):
    """Without images to train on or to test nothing can be compared."""
    with pytest.raises(DataError, match=r"images to train on and images to test, but found \['.*Mend"):
        divide(_own(*parts), **OPTIONS)


def test_one_training_unit_cannot_give_validation():
    """Validation drawn from one image would leave nothing to train on; a part of its own is enough."""
    with pytest.raises(DataError, match="a second independent .* to draw validation from, but found one"):
        divide(_own("train", "train", "test", group=["g", "g", "t"]), **OPTIONS)
    assert divide(_own("train", "val", "test"), **OPTIONS)["part"].tolist() == ["train", "val", "test"]


# Shares


@given(
    bits=st.lists(st.integers(1, 7), min_size=1, max_size=25),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=st.integers(0, 9),
)
def test_fractions_are_nested_and_hold_every_class(bits, shares, seed):
    """A smaller share lies within a larger one; each holds every class and no sample twice."""
    classes = {f"s{n}": tuple(c for c in range(3) if value >> c & 1) for n, value in enumerate(bits)}
    small, large = (select(_table(classes), share, seed) for share in sorted(shares))
    assert small == large[: len(small)]
    assert len(set(large)) == len(large)
    assert len(small) >= round(min(shares) * len(bits))
    held = set().union(*(classes[sample] for sample in small))
    assert held == set().union(*classes.values())


def test_the_whole_is_everything_once():
    """A fraction of 1 takes every sample once."""
    assert sorted(select(_many(20), 1.0, 0)) == _many(20)["sample"].tolist()


def test_a_fraction_has_its_size():
    """A tenth of fifty images is five."""
    assert len(select(_many(50), 0.1, 0)) == 5


def test_the_seed_fixes_the_fraction():
    """The same seed draws the same images whatever the order of the index; another seed others."""
    first = select(_many(30), 0.3, 0)
    assert first == select(_many(30).iloc[::-1], 0.3, 0)
    assert set(first) != set(select(_many(30), 0.3, 1))
