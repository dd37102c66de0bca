"""Packages of a kit that a suite does not have are named, and no mirror is blamed for them."""

from __future__ import annotations

import pytest

from builder import Refusal
from builder.kit import debian


def test_a_package_that_the_suite_has_not_is_named_before_any_is_fetched(monkeypatch):
    answers = {"update": "", "pkgnames": "docker.io\npython3-apt\n"}
    monkeypatch.setattr(debian.Apt, "run", lambda _, *words: answers[words[-1]])
    with pytest.raises(Refusal, match="Debian bookworm has no package docker-ce: where docker_host_packages names it"):
        debian.fetch("bookworm", ["docker.io", "docker-ce", "python3-apt"], ["docker-cli"])
