"""Reading samples: this loader beside an array in RAM, plain files, h5py, and other people's formats.

    python benchmarks/loader.py IMAGES MASKS [--environments DIR] [--samples 4000] [--rounds 3]

Shuffled epochs at batch 16 over samples of 256x256 RGB and mask, the files in the page cache: the images in
their eight flips and turns, moved where that is too few, brought to that size by Pillow. Plain files hold
them at their own size, and are brought to that size at each read. Each
way runs in a process of its own: one epoch to warm up, then the median of the rounds; then one more whose
samples are hashed (a sum of digests, whatever their order), which shows that all give the same.

Memory is the process's own (with its workers'), the most in the timed epochs, above what it held before. A
second table says how well a window mixes (`stratagem.loading.order.mixing`, mean of ten epochs): 1 as a
shuffle of all with all, 0 not at all.

A peer is measured where DIR/<peer>/bin/python is an environment that has it: webdataset, streaming
(mosaicml-streaming, with torch), litdata, zarr, tensorstore, datasets (with torch where it asks for it).
"""

import argparse
import functools
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

SIDE, BATCH = 256, 16
WORKERS = 2  # of a peer that has them


def main() -> None:
    """Print a row a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?")
    parser.add_argument("masks", nargs="?")
    parser.add_argument("--environments", default="")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, Path(given.folder), given.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(given.images), Path(given.masks), given.samples, Path(folder))
        _print_ways(given, folder)
    _print_mixing(given.samples)


def _print_ways(given: argparse.Namespace, folder: str) -> None:
    print(f"{'way':34}{'samples/s':>11}{'of RAM':>8}{'own MB':>8}{'mapped MB':>11}{'disk MB':>9}  samples")
    limit = None
    for way in WAYS:
        row = _row(way, given, folder)
        if isinstance(row, str):
            print(f"{way:34}{row}", flush=True)
            continue
        limit = limit or row
        same = "the same" if row["hash"] == limit["hash"] else "OTHERS"
        print(f"{way:34}{row['rate']:11,.0f}{row['rate'] / limit['rate']:8.3f}{row['own']:8.0f}"
              f"{row['mapped']:11.0f}{row['disk']:9.0f}  {same}", flush=True)  # fmt: skip


def _print_mixing(count: int) -> None:
    """How well windows mix samples that lie in four files."""
    from stratagem.loading.order import Order, mixing

    addresses = np.column_stack([np.arange(count) * 4 // count, np.arange(count)])
    print(f"\n{'window':>8}{'mixing':>8}")
    for window in (1, 64, 256, 1024, count):
        order = Order(np.full((count, 2), SIDE), BATCH, seed=0, window=window, addresses=addresses)
        print(f"{window:8,}{statistics.mean(mixing(order, epoch) for epoch in range(10)):8.3f}")


def prepare(images: Path, masks: Path, count: int, folder: Path) -> None:
    """The samples at their own size as files, and at one size as two arrays, from which formats are made."""
    from PIL import Image

    found = sorted(path for path in images.rglob("*.png") if (masks / path.relative_to(images)).is_file())
    sources = {"image": images, "mask": masks}
    arrays = {
        "image": np.empty((count, SIDE, SIDE, 3), np.uint8),
        "mask": np.empty((count, SIDE, SIDE), np.uint8),
    }
    for kind, array in arrays.items():
        (folder / kind).mkdir()
        for number in range(count):
            path, again = found[number % len(found)], number // len(found)
            pixels = Image.open(sources[kind] / path.relative_to(images))
            pixels = np.array(pixels.convert("RGB" if kind == "image" else "L"))
            turned = np.rot90(pixels[:, ::-1] if again & 4 else pixels, again & 3)
            Image.fromarray(np.roll(turned, 16 * (again // 8), axis=1)).save(folder / kind / f"{number}.png")
            array[number] = _opened(folder, kind, number)
        np.save(folder / f"{kind}.npy", array)


def _opened(folder: Path, kind: str, number: int) -> np.ndarray:
    """A file, decoded and brought to one size as is usual: a mask of two values becomes 0 and 1."""
    from PIL import Image

    with Image.open(folder / kind / f"{number}.png") as file:
        if kind == "image":
            return np.array(file.convert("RGB").resize((SIDE, SIDE)))
        return (np.array(file.resize((SIDE, SIDE), Image.Resampling.NEAREST)) > 0).astype(np.uint8)


def _row(way: str, given: argparse.Namespace, folder: str) -> dict | str:
    peer = next((name for name in PEERS if way.startswith(name)), None)
    python = Path(given.environments, peer, "bin", "python") if peer else Path(sys.executable)
    if not python.is_file():
        return "not installed"
    words = [str(python), __file__, "--way", way, "--folder", folder, "--rounds", str(given.rounds)]
    done = subprocess.run(words, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr.splitlines()[-1]


def measure(way: str, folder: Path, rounds: int) -> dict:
    """Samples a second, memory, size on disk and hash of one way, in this process."""
    image = np.load(folder / "image.npy", mmap_mode="r")
    mask = np.load(folder / "mask.npy", mmap_mode="r")
    with tempfile.TemporaryDirectory(dir=folder) as own:
        epoch = WAYS[way](image, mask, Path(own))
        before = _memory()
        rates, count = [], len(image)
        with _Watch() as watch:
            for number in range(1 + rounds):
                start = time.perf_counter()
                seen = sum(len(batch[1]) for batch in epoch(number))
                rates.append(seen / (time.perf_counter() - start))
        digest = sum(
            int.from_bytes(hashlib.blake2b(bytes(one) + bytes(other), digest_size=8).digest(), "little")
            for pixels, labels in epoch(rounds + 1)
            for one, other in zip(np.ascontiguousarray(pixels), np.ascontiguousarray(labels), strict=True)
        )
        disk = sum(path.stat().st_size for path in Path(own).rglob("*") if path.is_file())
    whole = digest % 2**64 if seen == count else seen
    peak = {"own": watch.own - before[0], "mapped": watch.mapped}
    return peak | {"rate": statistics.median(rates[1:]), "disk": disk / 2**20, "hash": whole}


class _Watch:
    """The most memory of this process and its children, looked at every 20 ms."""

    def __enter__(self) -> "_Watch":
        self.own, self.mapped, self._over = 0.0, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        over = False
        while not over:
            over = self._over.wait(0.02)
            own, mapped = _memory()
            self.own, self.mapped = max(self.own, own), max(self.mapped, mapped)


def _memory() -> tuple[float, float]:
    """Anonymous memory and file pages of this process and its children, MB."""
    me, found = os.getpid(), []
    children = Path(f"/proc/{me}/task").glob("*/children")
    numbers = [me, *(int(word) for path in children for word in path.read_text().split())]
    for number in numbers:
        try:
            text = Path(f"/proc/{number}/status").read_text()
        except FileNotFoundError:  # ended since
            continue
        lines = dict(line.split(":", 1) for line in text.splitlines())
        found.append([int(lines.get(name, "0 kB").split()[0]) / 1024 for name in ("RssAnon", "RssFile")])
    return tuple(np.sum(found, axis=0))


def _shuffled(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count)


def _one_by_one(read, count: int):
    """Epochs of a way that reads one sample into a kept buffer."""
    image, mask = np.empty((BATCH, SIDE, SIDE, 3), np.uint8), np.empty((BATCH, SIDE, SIDE), np.uint8)

    def epoch(seed: int):
        order = _shuffled(count, seed).tolist()
        for start in range(0, count, BATCH):
            places = order[start : start + BATCH]
            for slot, place in enumerate(places):
                read(place, image[slot], mask[slot])
            yield image[: len(places)], mask[: len(places)]

    return epoch


def _ram(image, mask, folder: Path):
    image, mask = np.array(image), np.array(mask)

    def read(place: int, into_image, into_mask) -> None:
        np.copyto(into_image, image[place])
        np.copyto(into_mask, mask[place])

    return _one_by_one(read, len(image))


def _ours(image, mask, folder: Path, compression="none", how="map", workers=1, memory=False):
    import cv2

    from stratagem.data.index import Wanted, build_index
    from stratagem.data.pairing import find
    from stratagem.loading.loader import Loader
    from stratagem.loading.order import Order
    from stratagem.loading.shards import Shards, catalogue, write_shard
    from stratagem.loading.storage import Memory
    from stratagem.resolution.plans import Plan

    with tempfile.TemporaryDirectory() as raw:
        for kind, array in (("i", image[..., ::-1]), ("m", mask)):
            Path(raw, kind).mkdir()
            for number, one in enumerate(array):
                cv2.imwrite(f"{raw}/{kind}/{number:06d}.png", one)
        found = find(f"{raw}/i", f"{raw}/m", "{stem}", None)
        classes = ["background", "object"]
        index = build_index(found, Wanted(classes, {"encoding": "indices"})).table
        write_shard(folder / "0.h5", index, Plan("native", 16), classes, compression)
    storage = Shards(folder, catalogue([folder / "0.h5"]), how)
    if memory:
        storage = Memory(storage, 4000)
    order = Order(storage.shapes, BATCH, seed=0, last="keep")
    loader = Loader(storage, order, workers=workers, memory_mb=4000)
    batches, a_epoch = loader.batches(), -(-len(image) // BATCH)

    def epoch(seed: int):
        for _ in range(a_epoch):
            batch = next(batches)
            yield batch.image, batch.mask

    return epoch


def _files(image, mask, folder: Path, workers: int):
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset):
        def __len__(self) -> int:
            return len(image)

        def __getitem__(self, place: int):
            return tuple(_opened(folder.parent, kind, place) for kind in ("image", "mask"))

    loader = DataLoader(Files(), batch_size=BATCH, shuffle=True, num_workers=workers)
    return lambda seed: ((pixels.numpy(), labels.numpy()) for pixels, labels in loader)


def _h5py(image, mask, folder: Path, **packed):
    import h5py
    import hdf5plugin

    if packed.get("compression") == "lz4":
        packed = dict(hdf5plugin.LZ4())
    with h5py.File(folder / "0.h5", "w") as file:
        for name, array in (("image", image), ("mask", mask)):
            data = file.create_dataset(name, array.shape, np.uint8, chunks=(1, *array.shape[1:]), **packed)
            for number, one in enumerate(array):
                data[number] = one
    file = h5py.File(folder / "0.h5", "r")
    pixels, labels = file["image"], file["mask"]

    def read(place: int, into_image, into_mask) -> None:
        pixels.read_direct(into_image, np.s_[place])
        labels.read_direct(into_mask, np.s_[place])

    return _one_by_one(read, len(image))


def _stacked(samples):
    """Batches of single samples, as arrays."""
    held = []
    for sample in samples:
        held.append(sample)
        if len(held) == BATCH:
            yield tuple(map(np.stack, zip(*held, strict=True)))
            held = []
    if held:
        yield tuple(map(np.stack, zip(*held, strict=True)))


def _joined(image, mask, number: int) -> bytes:
    return image[number].tobytes() + mask[number].tobytes()


def _parted(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    whole, pixels = np.frombuffer(data, np.uint8), 3 * SIDE * SIDE
    return whole[:pixels].reshape(SIDE, SIDE, 3), whole[pixels:].reshape(SIDE, SIDE)


def _collated(samples: list) -> tuple[np.ndarray, np.ndarray]:
    """A batch of samples as bytes, or as mappings that hold them."""
    parts = [_parted(one["data"] if isinstance(one, dict) else one) for one in samples]
    return tuple(map(np.stack, zip(*parts, strict=True)))


def _webdataset(image, mask, folder: Path):
    import webdataset

    with webdataset.ShardWriter(f"{folder}/%06d.tar", maxcount=500, verbose=0) as writer:
        for number in range(len(image)):
            writer.write({"__key__": f"{number:06d}", "bin": _joined(image, mask, number)})
    tars = sorted(map(str, folder.glob("*.tar")))

    def epoch(seed: int):
        data = webdataset.WebDataset(tars, shardshuffle=len(tars), seed=seed, empty_check=False)
        samples = data.shuffle(500).to_tuple("bin").map(lambda one: _parted(one[0]))
        collate = functools.partial(map, np.stack)
        batches = samples.batched(BATCH, collation_fn=lambda ones: tuple(collate(zip(*ones, strict=True))))
        return iter(webdataset.WebLoader(batches, batch_size=None, num_workers=WORKERS))

    return lambda seed: ((np.asarray(pixels), np.asarray(labels)) for pixels, labels in epoch(seed))


def _streaming(image, mask, folder: Path):
    from streaming import MDSWriter, StreamingDataset
    from torch.utils.data import DataLoader

    with MDSWriter(out=str(folder / "mds"), columns={"data": "bytes"}) as writer:
        for number in range(len(image)):
            writer.write({"data": _joined(image, mask, number)})
    data = StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=BATCH)

    loader = DataLoader(data, batch_size=BATCH, num_workers=WORKERS, collate_fn=_collated)
    return lambda seed: iter(loader)


def _litdata(image, mask, folder: Path):
    from litdata import StreamingDataLoader, StreamingDataset, optimize

    made = functools.partial(_joined, np.asarray(image), np.asarray(mask))
    optimize(fn=made, inputs=list(range(len(image))), output_dir=str(folder / "lit"), chunk_bytes="64MB",
             num_workers=1)  # fmt: skip
    data = StreamingDataset(str(folder / "lit"), shuffle=True)

    loader = StreamingDataLoader(data, batch_size=BATCH, num_workers=WORKERS, collate_fn=_collated)
    return lambda seed: iter(loader)


def _zarr(image, mask, folder: Path):
    import zarr

    arrays = []
    for name, array in (("image", image), ("mask", mask)):
        chunks = (1, *array.shape[1:])
        made = zarr.create_array(str(folder / name), shape=array.shape, chunks=chunks, dtype="uint8",
                                 compressors=None)  # fmt: skip
        made[:] = array
        arrays.append(made)
    return _by_batch(lambda places: tuple(array.oindex[places] for array in arrays), len(image))


def _tensorstore(image, mask, folder: Path):
    import tensorstore

    arrays = []
    for name, array in (("image", image), ("mask", mask)):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / name)}}
        chunks = tensorstore.ChunkLayout(chunk_shape=(1, *array.shape[1:]))
        made = tensorstore.open(spec, create=True, dtype=tensorstore.uint8, shape=array.shape,
                                chunk_layout=chunks).result()  # fmt: skip
        made.write(np.asarray(array)).result()
        arrays.append(made)

    def read(places: np.ndarray):
        waiting = [array[places].read() for array in arrays]
        return tuple(one.result() for one in waiting)

    return _by_batch(read, len(image))


def _by_batch(read, count: int):
    """Epochs of a way that reads a batch at once."""

    def epoch(seed: int):
        order = _shuffled(count, seed)
        return (read(order[start : start + BATCH]) for start in range(0, count, BATCH))

    return epoch


def _datasets(image, mask, folder: Path):
    import datasets

    rows = {"data": [_joined(image, mask, number) for number in range(len(image))]}
    kinds = datasets.Features({"data": datasets.Value("large_binary")})
    datasets.Dataset.from_dict(rows, features=kinds).save_to_disk(str(folder / "arrow"))
    data = datasets.load_from_disk(str(folder / "arrow"))

    def read(places: np.ndarray):
        return next(_stacked(map(_parted, data[places.tolist()]["data"])))

    return _by_batch(read, len(image))


PEERS = ("webdataset", "streaming", "litdata", "zarr", "tensorstore", "datasets")
WAYS = {
    "array in RAM, rows copied": _ram,
    "ours, no worker": functools.partial(_ours, workers=0),
    "ours, 1 worker": _ours,
    "ours, 2 workers": functools.partial(_ours, workers=2),
    "ours, by position, 1 worker": functools.partial(_ours, how="positioned"),
    "ours, in memory, 1 worker": functools.partial(_ours, memory=True),
    "ours, lz4, 1 worker": functools.partial(_ours, compression="lz4"),
    "ours, lz4, 2 workers": functools.partial(_ours, compression="lz4", workers=2),
    "ours, zstd, 2 workers": functools.partial(_ours, compression="zstd", workers=2),
    "h5py, as it is": _h5py,
    "h5py, lz4": functools.partial(_h5py, compression="lz4"),
    "h5py, gzip": functools.partial(_h5py, compression="gzip", compression_opts=4),
    "files, PIL and resize": functools.partial(_files, workers=0),
    "files, PIL and resize, 2 workers": functools.partial(_files, workers=2),
    "datasets": _datasets,
    "tensorstore": _tensorstore,
    "webdataset, 2 workers": _webdataset,
    "streaming, 2 workers": _streaming,
    "litdata, 2 workers": _litdata,
    "zarr": _zarr,
}

if __name__ == "__main__":
    main()
