"""What a machine refuses is told as that, whichever library says it."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from repository import PACKAGE
from stratagem.core.machine import refusal

FULL = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {scripts!r})
from stratagem.core.machine import refusal
folder, data = Path({folder!r}), np.random.default_rng(0).integers(0, 256, 4_000_000, dtype=np.uint8)
def table(path):
    import pandas
    pandas.DataFrame({{"a": data}}).to_parquet(path)
def shard(path):
    import h5py
    with h5py.File(path, "w") as file:
        file["a"] = data
def tensors(path):
    from safetensors.numpy import save_file
    save_file({{"a": data}}, path)
def picture(path):
    from PIL import Image
    Image.fromarray(data.reshape(2000, 2000)).save(path, "PNG")
def text(path):
    path.write_text("a" * 4_000_000)
for write in (table, shard, tensors, picture, text):
    try:
        write(folder / "file")
    except Exception as error:
        print(write.__name__, refusal(error, [folder / "file"], None))
    (folder / "file").unlink(missing_ok=True)
"""


def _mounted(folder: Path, code: str) -> str:
    """What Python code prints that works in a disk of 1 MB, mounted for it alone."""
    mount = f'mount -t tmpfs -o size=1m tmpfs {folder} && exec {sys.executable} -c "$CODE"'
    words = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", mount]
    done = subprocess.run(words, env=os.environ | {"CODE": code}, capture_output=True, text=True)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs `unshare`, of Linux")
def test_a_full_disk_is_told_by_whatever_wrote(tmp_path):
    """Parquet, HDF5, safetensors, PNG and text on a disk of 1 MB."""
    code = textwrap.dedent(FULL).format(scripts=str(PACKAGE.parent), folder=str(tmp_path))
    lines = _mounted(tmp_path, code).splitlines()
    assert [line.split()[0] for line in lines] == ["table", "shard", "tensors", "picture", "text"]
    for line in lines:
        assert f" {tmp_path}: expected room on the disk, but found " in line and "MB left of 1. Free" in line


def test_memory_that_is_not_there_is_told(tmp_path):
    """Of NumPy, OpenCV and torch, with what the job was given."""
    cv2, torch = pytest.importorskip("cv2"), pytest.importorskip("torch")
    asks = [
        lambda: np.zeros(10**15),
        lambda: cv2.resize(np.zeros((9, 9), np.uint8), (10**7, 10**7)),
        lambda: torch.zeros(10**15),
    ]
    for ask in asks:
        with pytest.raises(Exception) as caught:  # noqa: B017
            ask()
        said = str(refusal(caught.value, [tmp_path], 4000))
        assert said.startswith(
            "memory: expected memory enough for this job, but found none left, of which the"
        )
        assert "4,000 MB" in said and "memory_mb" in said


def test_too_many_open_files_are_told(tmp_path):
    """With the limit lowered to what is open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with pytest.raises(OSError) as caught:
            held += [(tmp_path / f"{number}").open("w") for number in range(100)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in held:
            file.close()
    assert "`ulimit -n 4096`" in str(refusal(caught.value, [tmp_path], None))


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EDQUOT, "room within your quota"),
        (errno.EROFS, "found one that is read-only"),
        (errno.EACCES, "found that the system refuses it"),
        (errno.EIO, "found that it answers with an input/output error"),
    ],
)
def test_each_refusal_names_the_place(tmp_path, number, word):
    """Also where it is the cause of another error, and where the system names no file."""
    named = OSError(number, os.strerror(number), str(tmp_path / "a.parquet"))
    said = str(refusal(named, [], None))
    assert word in said and str(tmp_path) in said
    other = RuntimeError("could not be written")
    other.__cause__ = OSError(number, os.strerror(number))
    assert word in str(refusal(other, [tmp_path / "deep" / "b.parquet"], None))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    """By its name."""
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        (tmp_path / "a").write_text("")
    assert f"{tmp_path}/a: expected that" in str(refusal(caught.value, [], None))


def test_a_fault_of_ours_is_no_refusal(tmp_path):
    """An index, a key, a file that was not found."""
    for error in (
        IndexError("list index out of range"),
        KeyError("a"),
        FileNotFoundError(2, "No such file", "a"),
    ):
        assert refusal(error, [tmp_path], 1000) is None


def test_a_gpu_without_room_is_told_as_memory():
    """What CUDA's allocator says names memory, and smaller batches."""
    found = refusal(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), [Path("out")], None)
    assert "memory enough" in str(found) and "`batch_size`" in str(found)
