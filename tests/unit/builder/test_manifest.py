"""The manifest sees every change of a file, and nothing that differs from one build to the next by itself."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import manifest

FILE = {"name": "opt/program.py", "data": b"print(1)\n", "mode": 0o644, "mtime": 1}
LINK = {"name": "usr/bin/python3", "type": tarfile.SYMTYPE, "linkname": "python3.11"}


def archive(*members: dict[str, object]) -> bytes:
    """Return a tar archive of `members`, each given as the attributes of its entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            entry = tarfile.TarInfo()
            data = member.get("data", b"")
            assert isinstance(data, bytes)
            entry.size = len(data)
            for name, value in member.items():
                if name != "data":
                    setattr(entry, name, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def lines(*members: dict[str, object]) -> list[str]:
    """Return the manifest of an archive of `members`."""
    return list(manifest.lines([archive(*members)]))


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"print(2)\n"},
        {"mode": 0o755},
        {"uid": 10001},
        {"name": "opt/programs.py"},
        {"data": b"", "type": tarfile.SYMTYPE, "linkname": "other"},
    ],
)
def test_a_change_of_one_file_changes_its_line_and_the_hash(change: dict[str, object]) -> None:
    """One changed byte, mode, owner, name or kind is seen; the other file's line stays."""
    before, after = lines(FILE, LINK), lines({**FILE, **change}, LINK)
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert manifest.digest(before) != manifest.digest(after)


def test_a_link_that_points_elsewhere_is_seen() -> None:
    """/usr/bin/python3 deciding which Python runs, its target counts."""
    assert lines(LINK) != lines({**LINK, "linkname": "python3.9"})


def test_time_and_order_do_not_count() -> None:
    """The classic builder stamps the moment of the build, and directories list as they like."""
    assert manifest.digest(lines(FILE, LINK)) == manifest.digest(lines(LINK, {**FILE, "mtime": 2}))


def test_what_docker_lays_over_a_container_does_not_count() -> None:
    """These differ from host to host and are in no image."""
    overlaid = [{"name": name} for name in (".dockerenv", "etc/hosts", "etc/resolv.conf", "dev/console", "proc")]
    assert lines(FILE, *overlaid) == lines(FILE)


@given(st.lists(st.integers(1, 4000), max_size=20))
def test_it_does_not_matter_how_the_answer_is_cut(sizes: list[int]) -> None:
    """An engine sends the archive in chunks of its own choosing."""
    whole = archive(FILE, LINK, {"name": "big", "data": bytes(5000)})
    chunks, position = [], 0
    for size in sizes:
        chunks.append(whole[position : position + size])
        position += size
    assert list(manifest.lines([*chunks, whole[position:]])) == list(manifest.lines([whole]))
