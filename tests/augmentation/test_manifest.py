"""Every synthetic image is a row of numbers that depends on its own name, variant and seed alone."""

import hashlib
import itertools
import json
import math
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import row_of, rows_of
from folders import flip_a_value
from repository import ROOT
from stratagem.augmentation.manifest import HELD, SCHEMA, Manifest, Ring, draw, philox, write_manifest
from stratagem.augmentation.on_cpu import apply, exchange, paste
from stratagem.augmentation.transforms import NEUTRAL, SEEDS, TRANSFORMS, Policy, Strength

RANGES = {
    "rotation": 180,
    "translation": 0.2,
    "scale": 1.5,
    "shear": 15,
    "flip_horizontal": 1,
    "flip_vertical": 1,
    "turns": 1,
    "elastic": 0.1,
    "crop": 0.5,
    "brightness": 0.3,
    "contrast": 2,
    "gamma": 2,
    "saturation": 2,
    "hue": 90,
    "channel_noise": 0.2,
    "light": 0.5,
    "blur": 2,
    "low_resolution": 4,
    "noise": 20,
    "sharpen": 2,
    "jpeg": 20,
    "cutout": 0.5,
    "cutmix": 0.5,
    "channel_dropout": 1,
}
DISCRETE = {"flip_horizontal", "flip_vertical", "turns", "jpeg", "channels_range"}
FACTORS = {"scale", "contrast", "gamma", "saturation"}
SYMMETRIC = {"rotation_deg", "translation_x", "translation_y", "shear_x_deg", "shear_y_deg", "brightness"}
SYMMETRIC |= {"hue_deg", "channel_0", "channel_1", "channel_2"}

names = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6, unique=True)
probabilities = st.sampled_from([0.3, 0.7, 1.0])
strengths = st.sets(st.sampled_from(list(RANGES))).flatmap(
    lambda on: st.fixed_dictionaries(
        {name: st.builds(Strength, st.just(RANGES[name]), probabilities) for name in on}
    )
)


def _policy(variants=1, probability=1.0, without="") -> Policy:
    on = {name: Strength(most, probability) for name, most in RANGES.items() if name != without}
    return Policy(variants, on)


def _columns(transforms) -> list[str]:
    return [column for name in transforms for column in TRANSFORMS[name].parameters]


def _samples(count) -> list[str]:
    return [f"folder/{number:05}" for number in range(count)]


def _rows(policy, seed, samples, variant) -> list[dict]:
    drawn = draw(policy, seed, samples, variant)
    return [{column: drawn[column][place].item() for column in NEUTRAL} for place in range(len(samples))]


def _unit(name, column, values) -> np.ndarray:
    """Values where they lie between the ends of the range that was asked for, 0 to 1."""
    most = RANGES[name]
    if column in FACTORS:
        return (np.log(values) / math.log(most) + 1) / 2
    if column in SYMMETRIC:
        return (values / most + 1) / 2
    if column.endswith(("_seed", "_partner")):
        return values / SEEDS
    if column == "crop":
        return (1 - values) / (1 - most)
    if column == "low_resolution":
        return np.log(values) / math.log(most)
    return values / {"light_deg": 360, name: most, "blur_px": most}.get(column, 1)


def test_philox_gives_the_published_words():
    """Philox4x32-10 agrees with the known answers of its authors (Random123, kat_vectors)."""
    ones = 0xFFFFFFFF
    key = np.array([0, ones << 32 | ones, 0x299F31D0 << 32 | 0xA4093822], np.uint64)
    counter = [(0, ones, 0x243F6A88), (0, ones, 0x85A308D3), (0, ones, 0x13198A2E), (0, ones, 0x03707344)]
    words = philox(key, tuple(np.array(word, np.uint64) for word in counter))
    assert [" ".join(f"{word:08x}" for word in column) for column in words.T.tolist()] == [
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ]


def test_philox_takes_one_counter_for_many_keys():
    """Each key gives the words that it gives alone."""
    keys = np.array([5, 2**63 + 1, 2**64 - 1], np.uint64)
    together = philox(keys, (7, 8, 9, 0))
    for number in range(3):
        np.testing.assert_array_equal(together[:, [number]], philox(keys[[number]], (7, 8, 9, 0)))


def test_golden_draw():
    """The values drawn do not drift from one version to the next."""
    (row,) = _rows(_policy(), 3, ["a/b"], 2)
    golden = {
        "rotation_deg": 20.257107,
        "translation_x": 0.15469472,
        "translation_y": -0.18462330,
        "scale": 1.3628345,
        "turns": 3,
        "elastic_seed": 1522599125,
        "crop_y": 0.45410439,
        "channel_2": 0.00084657792,
        "low_resolution": 2.4024141,
        "noise": 10.874074,
        "noise_seed": 1642635914,
        "jpeg": 60,
        "cutmix_partner": 19374009,
    }
    assert {column: row[column] for column in golden} == pytest.approx(golden, rel=1e-7)


def test_a_manifest_whose_value_was_flipped_is_not_read(tmp_path):
    """Another synthetic image would be trained on."""
    policy = Policy(1, {"rotation": Strength(180, 1.0)})
    write_manifest(policy, 1, map(str, range(50)), tmp_path / "m.parquet")
    flip_a_value(tmp_path / "m.parquet", "rotation_deg")
    with pytest.raises(OSError, match="CRC checksum"):
        Manifest(tmp_path / "m.parquet").at(0, 0)


@settings(max_examples=40)
@given(names, strengths, strengths, st.integers(0, 2**40), st.integers(0, 9999), st.randoms())
def test_a_row_depends_on_nothing_but_its_own_keys(samples, own, others, seed, variant, random):
    """Other samples, their order, the number of variants and other transforms change no value drawn."""
    before = draw(Policy(variant + 1, own), seed, samples, variant)
    more = list({*samples, *(sample + "+" for sample in samples)})
    random.shuffle(more)
    after = draw(Policy(20_000, others | own), seed, more, variant)
    places = [more.index(sample) for sample in samples]
    for column in _columns(own):
        np.testing.assert_array_equal(before[column], after[column][places], err_msg=column)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_another_transform_changes_no_other_value(name):
    """A transform switched on changes its own columns, all of them, and no other."""
    before, after = (draw(_policy(without=left), 0, _samples(40), 1) for left in (name, ""))
    changed = {column for column in NEUTRAL if (before[column] != after[column]).any()}
    assert changed == set(_columns([name]))


def test_another_range_or_probability_keeps_the_draws():
    """A wider range stretches the same draws, and a larger probability adds values and changes none."""
    given_strengths = [(10, 1), (20, 1), (10, 0.8), (10, 0.4)]
    narrow, wide, often, seldom = (
        draw(Policy(1, {"rotation": Strength(*own)}), 0, _samples(200), 0)["rotation_deg"]
        for own in given_strengths
    )
    np.testing.assert_allclose(2 * narrow, wide, rtol=1e-6)
    for fewer, more in ((seldom, often), (often, narrow)):
        on = fewer != 0
        np.testing.assert_array_equal(fewer[on], more[on])
        assert 0 < on.sum() < (more != 0).sum()


@pytest.mark.parametrize(("one", "other"), [((0, 0), (1, 0)), ((0, 0), (0, 1)), ((7, 3), (3, 7))])
def test_another_seed_or_variant_gives_other_values(one, other):
    """The same seed and variant give the same values, others give others, in every column."""
    samples = _samples(100)
    first, again, second = (draw(_policy(), seed, samples, variant) for seed, variant in (one, one, other))
    for column in NEUTRAL:
        np.testing.assert_array_equal(first[column], again[column])
        if column not in DISCRETE:
            assert (first[column] != second[column]).all(), column
    for column in ("turns", "jpeg"):
        assert (first[column] != second[column]).any()


@pytest.mark.parametrize("probability", [0, 0.25, 0.7, 1])
def test_a_transform_happens_as_often_as_the_policy_says(probability):
    """Never, always, or in about the share of the rows asked for, and each transform on its own."""
    drawn = draw(_policy(1, probability), 0, _samples(4000), 0)
    happened = np.array(
        [
            np.any([drawn[column] != NEUTRAL[column] for column in transform.parameters], axis=0)
            for transform in TRANSFORMS.values()
        ]
    )
    if probability in (0, 1):
        assert (happened == probability).all()
        return
    np.testing.assert_allclose(happened.mean(axis=1), probability, atol=0.03)
    assert np.abs(np.corrcoef(happened) - np.eye(len(happened))).max() < 0.08


def test_what_does_not_happen_leaves_no_trace():
    """Where a transform does nothing, all its columns are neutral: those of a seed or a place as well."""
    drawn = draw(_policy(1, 0.5), 0, _samples(500), 0)
    for name in ("translation", "elastic", "crop", "light", "noise", "cutout", "cutmix"):
        first, *others = TRANSFORMS[name].parameters
        off = drawn[first] == NEUTRAL[first]
        assert 180 < off.sum() < 320
        for column in others:
            np.testing.assert_array_equal(drawn[column] == NEUTRAL[column], off, err_msg=column)


@pytest.mark.parametrize("probability", [1, 0.4])
def test_values_are_spread_evenly(probability):
    """Each tenth of a range holds a tenth of the values drawn, however often the transform happens."""
    drawn = draw(_policy(1, probability), 0, _samples(6000), 0)
    for name in set(RANGES) - DISCRETE:
        first = next(iter(TRANSFORMS[name].parameters))
        on = drawn[first] != NEUTRAL[first]
        for column in set(TRANSFORMS[name].parameters) - DISCRETE:
            unit = _unit(name, column, drawn[column][on].astype(float))
            assert unit.min() >= -1e-6 and unit.max() <= 1 + 1e-6, column
            shares = np.histogram(unit, 10, (-1e-6, 1 + 1e-6))[0] / on.sum()
            np.testing.assert_allclose(shares, 0.1, atol=0.025, err_msg=column)


def test_values_are_independent():
    """No column follows another, nor itself in the next variant or with the next seed."""
    samples = _samples(6000)
    columns = [column for column in NEUTRAL if column not in DISCRETE]
    drawn = [draw(_policy(), seed, samples, variant) for seed, variant in ((0, 0), (0, 1), (1, 0))]
    values = np.array([own[column] for own in drawn for column in columns], float)
    assert np.abs(np.corrcoef(values) - np.eye(len(values))).max() < 0.07


@pytest.mark.parametrize("column", ["elastic_seed", "noise_seed", "cutmix_partner"])
def test_no_two_samples_share_a_stream(column):
    """Thousands of samples, neighbours by name, all draw values of their own."""
    drawn = draw(_policy(), 0, _samples(5000), 7)[column]
    assert len(np.unique(drawn)) == 5000


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(0, 99), names)
def test_a_policy_without_strength_draws_neutral_rows(seed, variant, samples):
    """What is left out, or has probability 0, is neutral in every row and of the column's own type."""
    for policy in (Policy(3, {}), _policy(3, 0)):
        drawn = draw(policy, seed, samples, variant)
        assert list(drawn) == list(NEUTRAL)
        for column, values in drawn.items():
            assert values.tolist() == [NEUTRAL[column]] * len(samples)
            assert SCHEMA.field(column).type == pa.from_numpy_dtype(values.dtype)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A manifest of 4 variants of 5 samples, whose names were not in order."""
    path = tmp_path_factory.mktemp("manifest") / "new" / "0.parquet"
    write_manifest(_policy(4, 0.5), 11, ["d", "a/é", "c", "e", "b"], path)
    return path


NAMES = ["a/é", "b", "c", "d", "e"]


def test_a_variant_is_a_row_group(written):
    """The samples of one variant stand together and in order, each with its seed and variant."""
    with pq.ParquetFile(written) as file:
        assert file.num_row_groups == 4
        for variant in range(4):
            table = file.read_row_group(variant)
            assert table["sample"].to_pylist() == NAMES
            assert set(table["variant"].to_pylist()) == {variant}
            assert set(table["seed"].to_pylist()) == {11}


def test_a_manifest_says_what_it_is(written):
    """Its columns and types are the declared ones, and its metadata hold the policy it was drawn from."""
    schema = pq.read_schema(written)
    assert schema.equals(SCHEMA)
    assert schema.names == ["seed", "sample", "variant", *NEUTRAL]
    assert Policy.of(json.loads(schema.metadata[b"stratagem_policy"])) == _policy(4, 0.5)
    assert list(written.parent.iterdir()) == [written]


def test_a_manifest_reads_back_as_it_was_drawn(written):
    """Each row holds the very values drawn, as plain numbers."""
    manifest = Manifest(written)
    assert manifest.variants == 4
    for variant in range(4):
        for sample, row in zip(NAMES, _rows(_policy(4, 0.5), 11, NAMES, variant), strict=True):
            stored = row_of(manifest, sample, variant)
            assert stored == row
            assert [type(value) for value in stored.values()] == [type(value) for value in NEUTRAL.values()]


def test_a_manifest_goes_through_all_its_rows(written):
    """Variant by variant, each sample once."""
    rows = rows_of(Manifest(written), NAMES)
    assert [row[:2] for row in rows] == [(sample, variant) for variant in range(4) for sample in NAMES]
    drawn = itertools.chain(*(_rows(_policy(4, 0.5), 11, NAMES, variant) for variant in range(4)))
    assert [row for *_, row in rows] == list(drawn)


@pytest.mark.parametrize("wanted", [["d", "b"], ["c"], [], ["b", "not there"]])
def test_a_manifest_is_restricted_to_the_samples_wanted(written, wanted):
    """They have the same rows as in the whole, and the others have none."""
    whole, part = Manifest(written), Manifest(written, wanted)
    found = sorted(set(wanted) & set(NAMES))
    assert [row[:2] for row in rows_of(part, found)] == [
        (name, variant) for variant in range(4) for name in found
    ]
    assert all(row == row_of(whole, sample, variant) for sample, variant, row in rows_of(part, found))
    with pytest.raises(KeyError):
        row_of(part, "e", 0)


@settings(max_examples=20)
@given(wanted=st.none() | st.sets(st.sampled_from(NAMES), min_size=1), random=st.randoms())
def test_a_row_is_found_by_its_place_as_by_its_name(written, wanted, random):
    """Places asked for in any order, and more than once, give the rows that the names give."""
    manifest = Manifest(written, wanted)
    samples = [random.choice(sorted(wanted or NAMES)) for _ in range(6)]
    places = manifest.places(samples)
    assert places.dtype == np.int64
    for variant in range(4):
        for sample, place in zip(samples, places, strict=True):
            assert manifest.at(place, variant) == row_of(manifest, sample, variant)


def test_samples_may_be_named_by_a_column(written):
    """The column of a table names samples as a list does."""
    column = pd.Series(["d", "a/é", "d"], dtype="str").array
    manifest = Manifest(written, column)
    assert row_of(manifest, "d", 3) == row_of(Manifest(written), "d", 3)
    assert manifest.places(column).tolist() == [1, 0, 1]


@pytest.mark.parametrize("asked", [["e"], ["b", "not there"]])
def test_a_place_of_no_sample_is_refused(written, asked):
    """A sample that is not of interest, or that the manifest does not have, has no place: it is named."""
    with pytest.raises(KeyError, match=asked[-1]):
        Manifest(written, ["b", "d"]).places(asked)


def test_many_threads_read_one_manifest(written):
    """Eight threads, each from variant to variant in its own order, all read what was drawn."""
    manifest, expected = Manifest(written), rows_of(Manifest(written), NAMES)

    def read(number: int) -> bool:
        picks = np.random.default_rng(number).permutation(len(expected)).tolist()
        rows = ((*expected[pick][:2], row_of(manifest, *expected[pick][:2])) for pick in picks)
        return list(rows) == [expected[pick] for pick in picks]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(16)))


def test_the_order_of_the_samples_changes_no_byte(tmp_path):
    """However the index lists its samples, the file is the same."""
    for number, samples in enumerate((_samples(20), _samples(20)[::-1])):
        write_manifest(_policy(2), 0, samples, tmp_path / f"{number}.parquet")
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()


def test_more_variants_and_samples_keep_every_row(tmp_path):
    """A manifest that grows holds all the rows it held before."""
    write_manifest(_policy(2, 0.5), 5, _samples(6), tmp_path / "small.parquet")
    write_manifest(_policy(5, 0.5), 5, _samples(9), tmp_path / "large.parquet")
    large = Manifest(tmp_path / "large.parquet")
    for sample, variant, row in rows_of(Manifest(tmp_path / "small.parquet"), _samples(6)):
        assert row_of(large, sample, variant) == row


class Failing(float):
    """A range at whose third use the power fails."""

    uses = itertools.count(1)

    def __mul__(self, other):
        if next(self.uses) == 3:
            raise KeyboardInterrupt
        return float(self) * other


def test_an_interrupted_manifest_leaves_nothing_half_written(tmp_path):
    """What stood there before still stands, and nothing stands beside it."""
    path = tmp_path / "0.parquet"
    write_manifest(_policy(2), 0, _samples(5), path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_manifest(Policy(5, {"rotation": Strength(Failing(9), 1.0)}), 0, _samples(5), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_variant_is_read_without_the_others(tmp_path):
    """A row is found where all other variants but the first, which names the samples, are destroyed."""
    path = tmp_path / "0.parquet"
    write_manifest(_policy(6), 0, _samples(30), path)
    expected = _rows(_policy(6), 0, _samples(30), 3)
    content, metadata = bytearray(path.read_bytes()), pq.read_metadata(path)
    for group in (1, 2, 4, 5):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            start = column.dictionary_page_offset or column.data_page_offset
            content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    manifest = Manifest(path)
    assert [row_of(manifest, sample, 3) for sample in _samples(30)] == expected
    with pytest.raises(OSError):
        row_of(manifest, _samples(30)[0], 2)


def test_a_few_variants_are_held_in_memory(tmp_path, monkeypatch):
    """Going through many epochs takes no more memory than the few variants that are in use at once."""
    monkeypatch.setattr("stratagem.augmentation.manifest.HELD_BYTES", 0)  # as if they were large
    path = tmp_path / "0.parquet"
    write_manifest(_policy(30), 0, _samples(100), path)
    manifest, held = Manifest(path), []
    tracemalloc.start()
    for variant in range(30):
        row_of(manifest, "folder/00000", variant)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] < 1.5 * held[HELD - 1]
    assert held[HELD - 1] > 3 * held[0]  # else it would not have been measured


def test_small_variants_are_read_once(tmp_path):
    """Where they take little memory all are held: an image shown often in an epoch costs no reading."""
    path = tmp_path / "0.parquet"
    write_manifest(_policy(4 * HELD), 0, _samples(5), path)
    manifest = Manifest(path)
    rows = rows_of(manifest, _samples(5))
    path.unlink()
    assert rows_of(manifest, _samples(5)) == rows


def _hashes(path) -> list[str]:
    """Of the image and the mask of every row of a manifest, made from small images."""
    manifest, samples = Manifest(path), _samples(100)
    ring, pictures, found = Ring(samples), [], []
    for number in range(100):
        rng = np.random.default_rng(number)
        image = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
        pictures.append((image, rng.integers(0, 4, (24, 20), dtype=np.uint8)))
    for place, (_, _, row) in enumerate(rows_of(manifest, samples)):
        image, mask = (array.copy() for array in pictures[place % 100])
        if row["cutmix"] > 0:
            paste(row, image, mask, *pictures[ring.partner(row["cutmix_partner"], place % 100)])
        image, mask = apply(row, image, mask, exchange([(1, 2)]))
        found.append(hashlib.blake2b(image.tobytes() + mask.tobytes(), digest_size=8).hexdigest())
    return found


def test_a_manifest_is_replayed_in_another_process(tmp_path):
    """10,000 rows give the same images and masks, bit for bit, in a fresh interpreter."""
    path = tmp_path / "0.parquet"
    write_manifest(_policy(100, 0.25), 0, _samples(100), path)
    code = f"import runpy; print(*runpy.run_path({__file__!r})['_hashes']({str(path)!r}))"
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}/scripts{os.pathsep}{ROOT}/tests",
        "PYTHONHASHSEED": "7",
    }
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as other:
        here = _hashes(path)
        there = other.communicate()[0].split()
    assert here == there
    assert len(here) == 10_000
    assert len(set(here)) > 9_900


def _partner(samples: list[str], drawn: int, sample: str) -> str | None:
    """By name."""
    number = Ring(samples).partner(drawn, samples.index(sample))
    return None if number is None else samples[number]


def test_golden_partners():
    """Who is whose partner does not drift from one version to the next."""
    ring = Ring(_samples(10))
    drawn = range(0, SEEDS, SEEDS // 15)
    assert [ring.partner(value, 3) for value in drawn] == [5, 5, 9, 7, 7, 7, 7, 7, 7, 0, 2, 6, 6, 1, 1, 5]
    assert [ring.partner(value, 6) for value in drawn] == [3, 5, 9, 7, 7, 7, 7, 7, 7, 0, 2, 4, 4, 1, 1, 3]


def test_a_partner_is_never_the_sample_itself():
    """Wherever on the ring a draw falls, with two samples as with many; alone there is none."""
    for count in (2, 3, 40):
        ring = Ring(_samples(count))
        for sample in range(count):
            found = {ring.partner(drawn, sample) for drawn in range(0, SEEDS, SEEDS // 500)}
            assert sample not in found
            assert found <= set(range(count))
    assert Ring(["a"]).partner(5, 0) is None
    assert Ring([]).partner(5, 0) is None


def test_every_other_sample_may_be_a_partner():
    """With enough draws each of the others is one, and none far more often than its share."""
    ring = Ring(_samples(10))
    drawn = draw(_policy(), 0, _samples(5000), 0)["cutmix_partner"].tolist()
    found, counts = np.unique([ring.partner(value, 3) for value in drawn], return_counts=True)
    assert found.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert counts.max() < 0.5 * len(drawn)


@given(
    st.lists(st.text(max_size=4), min_size=2, max_size=8, unique=True),
    st.integers(0, SEEDS - 1),
    st.randoms(),
)
def test_a_partner_does_not_depend_on_the_order_of_the_samples(samples, drawn, random):
    """However they are numbered, the same name is the partner."""
    shuffled = list(samples)
    random.shuffle(shuffled)
    for sample in samples:
        assert _partner(shuffled, drawn, sample) == _partner(samples, drawn, sample)


def test_an_added_sample_becomes_the_partner_of_few():
    """Partners change at few draws, and to the new sample alone."""
    samples = _samples(60)
    before, after = Ring(samples), Ring([*samples, "new"])
    pairs = [
        (before.partner(drawn, sample), after.partner(drawn, sample))
        for sample in range(0, 60, 10)
        for drawn in range(0, SEEDS, SEEDS // 1000)
    ]
    changed = [new for old, new in pairs if old != new]
    assert set(changed) == {60}
    assert len(changed) < 0.1 * len(pairs)
