"""Debian packages come from where this machine gets its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import Refusal, debian

ONE_LINE = """
# deb http://old.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian/ bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security main
"""
DEB822 = """
Types: deb deb-src
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""
FOREIGN = "deb https://packages.example/apt stable main\ndeb https://nodes.example/node_20.x nodistro main\n"


def written(tmp_path: Path, one_line: str = "", deb822: str = "") -> Path:
    """Return an apt directory with these sources in it."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(one_line)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(deb822)
    return tmp_path


def addresses(lines: list[str]) -> list[str]:
    """Return address and suite of each source, without the options."""
    return [" ".join(line.split()[-3:-1]) for line in lines]


@pytest.mark.parametrize("formats", [{"one_line": ONE_LINE}, {"deb822": DEB822}])
def test_another_suite_comes_from_the_machines_own_mirror(tmp_path: Path, formats: dict[str, str]) -> None:
    """A bookworm machine's mirror has bullseye too, and its security mirror as well, in either format."""
    lines = debian.sources("bullseye", written(tmp_path, **formats), {})
    assert addresses(lines) == [
        "http://mirror.example/debian bullseye",
        "http://security.example/debian-security bullseye-security",
    ]


def test_a_snapshot_is_taken_as_it_is(tmp_path: Path) -> None:
    """A machine held at one day builds from that day."""
    sources = "deb http://snapshot.example.edu/archive/debian/20250520T000000Z bookworm main\n"
    lines = debian.sources("bookworm", written(tmp_path, sources), {})
    assert addresses(lines) == ["http://snapshot.example.edu/archive/debian/20250520T000000Z bookworm"]


def test_a_disabled_source_is_none(tmp_path: Path) -> None:
    """`Enabled: no` is respected."""
    lines = debian.sources(
        "bookworm", written(tmp_path, deb822=DEB822.replace("Types: deb\n", "Enabled: no\nTypes: deb\n")), {}
    )
    assert addresses(lines) == ["http://mirror.example/debian bookworm"]


def test_other_peoples_packages_are_no_mirror(tmp_path: Path) -> None:
    """Where no source is Debian's, the operator is asked to name a mirror."""
    with pytest.raises(Refusal, match="EDUHUB_DEBIAN_MIRROR="):
        debian.sources("bookworm", written(tmp_path, FOREIGN), {})


def test_a_named_mirror_wins_and_stands_alone(tmp_path: Path) -> None:
    """An air-gapped site has what it mirrors: nothing else is asked."""
    lines = debian.sources("bookworm", written(tmp_path, ONE_LINE), {"EDUHUB_DEBIAN_MIRROR": "http://here/debian"})
    assert addresses(lines) == ["http://here/debian bookworm"]


def test_a_named_security_mirror_is_added(tmp_path: Path) -> None:
    """The second variable brings security updates back."""
    named = {"EDUHUB_DEBIAN_MIRROR": "http://here/debian", "EDUHUB_DEBIAN_SECURITY_MIRROR": "http://here/security"}
    lines = debian.sources("bookworm", written(tmp_path), named)
    assert addresses(lines) == ["http://here/debian bookworm", "http://here/security bookworm-security"]
