"""The manifest: one row a synthetic image, with the parameters that make it, drawn before any is made.

    seed, sample, variant     which one
    rotation_deg, ...         a column a parameter, all those of `augmentation.transforms.TRANSFORMS`;
                              where a transform does nothing, its neutral value

A row is a pure function of (policy, seed, sample, variant): each uniform draw is a counter-based random
number (Philox4x32-10), keyed by a hash of seed and sample, counted by variant, transform and parameter. So
a new sample, a further variant or another transform in the policy changes no value drawn before.

In the file the samples of one variant stand together, as one row group: an epoch shows each sample in one
variant, and who reads it reads no more than that. Parquet, metadata ``stratagem_policy`` (JSON).

Source: Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3 (SC '11).
"""

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stratagem.augmentation.transforms import NEUTRAL, SEEDS, TRANSFORMS, Policy
from stratagem.core.files import replacing

__all__ = ["Manifest", "Ring", "draw", "philox", "write_manifest"]

HELD = 8  # variants held in memory, at least: those of the batches in the making
HELD_BYTES = 16 * 2**20  # more of them, where they are small
SCHEMA = pa.schema(
    [("seed", pa.int64()), ("sample", pa.string()), ("variant", pa.int32())]
    + [
        (column, pa.from_numpy_dtype(parameter.dtype))
        for transform in TRANSFORMS.values()
        for column, parameter in transform.parameters.items()
    ]
)


def draw(policy: Policy, seed: int, samples: list[str], variant: int) -> dict[str, np.ndarray]:
    """One variant of every sample.

    Parameters
    ----------
    policy : Policy
        A transform that is off, left out or of probability 0, gives its neutral values.
    seed : int
        Other seeds give other values.
    samples : list of str
        Names of the N samples; what is drawn for one does not depend on the others.
    variant : int
        From 0.

    Returns
    -------
    dict of str to array, (N,)
        A column each of ``transforms.NEUTRAL``, in its own type.
    """
    keys = _keys(seed, tuple(samples))
    columns: dict[str, np.ndarray] = {}
    for name, transform in TRANSFORMS.items():
        strength = policy.strengths.get(name)
        if strength is None or strength.probability == 0:
            for column, parameter in transform.parameters.items():
                columns[column] = np.full(len(samples), parameter.neutral, parameter.dtype)
            continue
        chance, *uniform = _uniform(keys, variant, transform.stream, 1 + len(transform.parameters))
        happens = chance < strength.probability
        for values, (column, parameter) in zip(uniform, transform.parameters.items(), strict=True):
            drawn = parameter.draw(strength.range, values)
            columns[column] = np.where(happens, drawn, parameter.neutral).astype(parameter.dtype)
    return columns


def write_manifest(policy: Policy, seed: int, samples: Iterable[str], path: str | Path) -> None:
    """Draw and write a whole manifest, a variant at a time.

    Parameters
    ----------
    policy : Policy
        Says how many variants are drawn; stored with them.
    seed : int
        As in `draw`.
    samples : iterable of str
        Names, in any order; in the file they are sorted.
    path : path
        Appears whole or not at all.
    """
    samples = sorted(samples)
    schema = SCHEMA.with_metadata({"stratagem_policy": json.dumps(asdict(policy))})
    names = pa.array(samples, pa.string())
    once = ["seed", "variant", *_unused(policy)]
    options = {"compression": "zstd", "use_dictionary": once, "write_page_checksum": True}
    with replacing(path) as beside, pq.ParquetWriter(beside, schema, **options) as file:
        for variant in range(policy.variants):
            drawn = draw(policy, seed, samples, variant)
            keys = [np.full(len(samples), seed), names, np.full(len(samples), variant, np.int32)]
            table = pa.table([*keys, *drawn.values()], schema=schema)
            file.write_table(table, row_group_size=max(1, len(samples)))


class Manifest:
    """Reads a manifest a variant at a time.

    Parameters
    ----------
    path : path
        From `write`.
    samples : list of str, optional
        Those of interest; without it all.

    Attributes
    ----------
    variants : int
        How many variants the file holds.
    """

    def __init__(self, path: str | Path, samples: Iterable[str] | None = None):
        self._path = str(path)
        with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
            self.variants = file.num_row_groups
            self._metadata = file.metadata
            policy = json.loads(file.schema_arrow.metadata[b"stratagem_policy"])
            stored = file.read_row_group(0, ["sample"])["sample"].to_pandas()
        wanted = np.ones(len(stored), bool) if samples is None else stored.isin(set(samples)).to_numpy()
        self._columns = [name for used in policy["strengths"] for name in TRANSFORMS[used].parameters]
        self._rows = np.flatnonzero(wanted)
        self._samples = stored[wanted].array
        bytes_of_one = 4 * len(NEUTRAL) * max(1, len(self._rows))
        self._variant = functools.lru_cache(max(HELD, HELD_BYTES // bytes_of_one))(self._read)

    def places(self, samples: Iterable[str]) -> np.ndarray:
        """The place of each sample among those of interest, for `at`: int64 (N,).

        Parameters
        ----------
        samples : iterable of str
            N names.

        Returns
        -------
        int64, (N,)

        Raises
        ------
        KeyError
            If the manifest does not have a sample, or it is not of interest.
        """
        asked = pd.Index(samples, dtype=str)
        found = pd.Index(self._samples).get_indexer(asked)
        if (found < 0).any():
            raise KeyError(asked[found < 0][0])
        return found

    def at(self, place: int, variant: int) -> dict[str, float]:
        """The parameters of one synthetic image, by column.

        Parameters
        ----------
        place : int
            Of the sample, see `places`.
        variant : int
            From 0 to `variants` - 1.

        Returns
        -------
        dict of str to float, int or bool
            A value for each of ``transforms.NEUTRAL``, the neutral one of transforms that are off.
        """
        neutral, drawn = self._variant(variant)
        return neutral | {column: values[place].item() for column, values in drawn.items()}

    def _read(self, variant: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The columns that are neutral throughout, one value each, and the others."""
        # Opened anew each time: no handle to share between threads or to lose in a fork.
        with pq.ParquetFile(self._path, metadata=self._metadata, page_checksum_verification=True) as file:
            table = file.read_row_group(variant, self._columns)
        columns = {name: table[name].to_numpy()[self._rows] for name in self._columns}
        drawn = {name: values for name, values in columns.items() if (values != NEUTRAL[name]).any()}
        return dict(NEUTRAL), drawn


class Ring:
    """Which training sample a drawn partner is: the next one on a ring on which each has its place.

    A sample's place is a hash of its name, so that a new sample becomes the partner of few, and changes no
    manifest.

    Parameters
    ----------
    samples : iterable of str
        Distinct; each is called by its number.
    """

    def __init__(self, samples: Iterable[str]):
        ring = sorted((_hash(sample) % SEEDS, sample, number) for number, sample in enumerate(samples))
        self._hashes = np.array([place for place, _, _ in ring], np.uint64)
        self._numbers = np.array([number for _, _, number in ring], np.int32)

    def partner(self, drawn: int, sample: int) -> int | None:
        """The partner of a sample, never itself; None where there is no other.

        Parameters
        ----------
        drawn : int
            The manifest's `cutmix_partner`, from 0 to ``SEEDS`` - 1: the place on the ring where the search
            begins.
        sample : int
            The sample's number.

        Returns
        -------
        int or None
            The partner's number.
        """
        start, count = np.searchsorted(self._hashes, np.uint64(drawn)), len(self._numbers)
        turned = (int(self._numbers[(start + step) % count]) for step in range(min(2, count)))
        return next((number for number in turned if number != sample), None)


def philox(key: np.ndarray, counter: tuple) -> np.ndarray:
    """Philox4x32-10 for many keys at once.

    Parameters
    ----------
    key : uint64, (N,)
    counter : four of int or uint64 (N,)
        The counter's words, each below 2**32.

    Returns
    -------
    uint64, (4, N)
        Four random words below 2**32 for each key.
    """
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    k0, k1 = key & low, key >> shift
    x0, x1, x2, x3 = (np.broadcast_to(np.asarray(word, np.uint64), key.shape) for word in counter)
    for _ in range(10):
        left, right = np.uint64(0xD2511F53) * x0, np.uint64(0xCD9E8D57) * x2
        x0, x1, x2, x3 = (right >> shift) ^ x1 ^ k0, right & low, (left >> shift) ^ x3 ^ k1, left & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack([x0, x1, x2, x3])


def _unused(policy: Policy) -> list[str]:
    """The columns that are the same in every row; a dictionary of the others would only cost time."""
    off = [transform for name, transform in TRANSFORMS.items() if name not in policy.strengths]
    return [column for transform in off for column in transform.parameters]


def _uniform(keys: np.ndarray, variant: int, stream: int, count: int) -> np.ndarray:
    """Uniform draws in [0, 1) of one transform: float64 (count, N)."""
    blocks = [philox(keys, (variant, stream, block, 0)) for block in range(-(-count // 4))]
    return np.concatenate(blocks)[:count] / 2.0**32


@functools.lru_cache(maxsize=2)
def _keys(seed: int, samples: tuple[str, ...]) -> np.ndarray:
    return np.array([_hash(f"{seed}/{sample}") for sample in samples], dtype=np.uint64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
