"""Packages of a kit that a suite does not have are named, and no mirror is blamed for them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder import Refusal
from builder.kit import debian

STANZA = "Package: docker.io\nVersion: 26.1\nArchitecture: amd64\nFilename: pool/docker.io_26.1_amd64.deb\n"


def test_a_package_that_the_suite_has_not_is_named_before_any_is_fetched(monkeypatch):
    answers = {"update": "", "pkgnames": "docker.io\npython3-apt\n"}
    monkeypatch.setattr(debian.Apt, "run", lambda _, *words: answers[words[-1]])
    with pytest.raises(Refusal, match="Debian bookworm has no package docker-ce: where docker_host_packages names it"):
        debian.fetch("bookworm", ["docker.io", "docker-ce", "python3-apt"], ["docker-cli"])


def test_packages_come_from_another_file_system_than_the_cache(monkeypatch, own_cache):
    """Debian 13 has /tmp in memory: a file cannot be renamed from there to the cache."""

    def run(apt, *words):
        if "--download-only" in words:
            (apt.archives / "docker.io_26.1_amd64.deb").write_text("package")
        answers = {"pkgnames": "docker.io\n", "docker.io": "Inst docker.io (26.1 Debian)\n" * ("--simulate" in words)}
        return STANZA if "show" in words else answers.get(words[-1], "")

    own = os.rename

    def rename(source, target):
        if not Path(source).is_relative_to(own_cache):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        own(source, target)

    monkeypatch.setattr(debian.Apt, "run", run)
    monkeypatch.setattr(os, "rename", rename)
    kept = debian.fetch("bookworm", ["docker.io"], [])
    assert (kept / "docker.io_26.1_amd64.deb").read_text() == "package"
