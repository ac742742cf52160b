"""A limit of the process counts as the machine's memory."""

import os

import pytest

from stratagem.core import memory


@pytest.mark.parametrize(
    ("listed", "file", "limit", "expected"),
    [
        ("0::/job\n", "job/memory.max", "1048576000\n", 1000),
        ("0::/job\n", "memory.max", "1048576000\n", 1000),  # of a container, whose own group is its root
        ("4:memory:/job\n1:cpu:/\n", "memory/job/memory.limit_in_bytes", "2097152000\n", 2000),
        ("0::/job\n", "job/memory.max", "max\n", None),
    ],
)
def test_a_limit_of_the_process_s_group_counts_as_the_machine_s_memory(
    listed, file, limit, expected, tmp_path, monkeypatch
):
    """As a batch system or a container sets one; without any, all that is there."""
    (tmp_path / "cgroup").write_text(listed)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(limit)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "MOUNTED", tmp_path)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    memory.total_mb.cache_clear()
    try:
        assert memory.total_mb() == (expected or there)
    finally:
        memory.total_mb.cache_clear()
