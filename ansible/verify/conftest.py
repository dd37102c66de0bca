"""Gives the checks one observation of each host, made in one round trip over testinfra's connection.

`./invoke verify` and every rollout run the suite through the action plugin stack_verify, over Ansible's own connection.
Without Ansible: `pytest ansible/verify --hosts=ssh://root@HOST --target '{"name": "eduhub", "urls": {...}}'`.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from verify.observed import Observed

OBSERVE = Path(__file__).with_name("observe.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", default="{}", help="JSON: the stack's name, its urls, and the host's python")


@functools.cache
def observe(host: Host, target: str) -> Observed:
    """Return what the host is like; asked once for all checks."""
    given: dict[str, Any] = json.loads(target)
    python = given.get("python", "python3")
    printed = host.check_output("%s -c %s %s", python, OBSERVE.read_text(encoding="utf-8"), target)
    return Observed(given, json.loads(printed.splitlines()[-1]))


@pytest.fixture(scope="module")
def seen(host: Host, pytestconfig: pytest.Config) -> Observed:
    return observe(host, pytestconfig.getoption("target"))


@pytest.fixture(scope="module")
def containers(seen: Observed) -> dict[str, dict[str, Any]]:
    """The containers that serve; without an engine nothing is known of them."""
    if seen.report["engine_trouble"]:
        pytest.skip("the Docker Engine does not answer, which test_serving reports")
    return seen.containers
