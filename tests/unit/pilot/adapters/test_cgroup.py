"""The CPU time of a container is found by its id, wherever its kernel and its engine's driver keep it."""

from __future__ import annotations

import pytest

from eduhub_pilot.adapters.cgroup import memory, meter

ID = "ab" * 32
PLACES = {
    "version 1, by the engine": (f"cpuacct/docker/{ID}/cpuacct.usage", "2500000000\n"),
    "version 1, together": (f"cpu,cpuacct/docker/{ID}/cpuacct.usage", "2500000000\n"),
    "version 2, by systemd": (f"system.slice/docker-{ID}.scope/cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
    "version 2, by the engine": (f"docker/{ID}/cpu.stat", "usage_usec 2500000\n"),
    "a slice of one's own": (f"a.slice/a-b.slice/docker-{ID}.scope/cpu.stat", "usage_usec 2500000\n"),
}


@pytest.mark.parametrize(("place", "text"), PLACES.values(), ids=PLACES)
def test_seconds_are_read_again_each_time(tmp_path, place, text):
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(text)
    read = meter(ID, tmp_path)
    assert read() == 2.5
    file.write_text(text.replace("2500000", "3500000"))
    assert read() == 3.5


@pytest.mark.parametrize("container", ["", "cd" * 32])
def test_a_container_that_is_nowhere_has_none(tmp_path, container):
    (tmp_path / f"cpuacct/docker/{ID}").mkdir(parents=True)
    assert meter(container, tmp_path) is None


def test_one_that_has_ended_is_an_error_and_no_number(tmp_path):
    file = tmp_path / f"docker/{ID}/cpu.stat"
    file.parent.mkdir(parents=True)
    file.write_text("usage_usec 1\n")
    read = meter(ID, tmp_path)
    file.unlink()
    with pytest.raises(OSError, match="No such file"):
        read()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (f"memory/docker/{ID}/memory.stat", "cache 9\nrss 1\ntotal_rss 4096\n"),
        (f"system.slice/docker-{ID}.scope/memory.stat", "anon 4096\nfile 9\n"),
    ],
)
def test_memory_is_what_the_end_of_a_container_frees(tmp_path, place, text):
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert memory(ID, tmp_path) == 4096
    assert memory("cd" * 32, tmp_path) is None
    assert memory("", tmp_path) is None
    file.write_text("slab 1\n")
    assert memory(ID, tmp_path) is None
