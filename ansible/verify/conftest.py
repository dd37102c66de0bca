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

from verify.findings import Finding, Untrue
from verify.observed import Observed

OBSERVE = Path(__file__).with_name("observe.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", default="{}", help="JSON: the stack's name, its urls, and the host's python")


@functools.cache
def observe(host: Host, target: str) -> Observed | Finding:
    """Return what the host is like, asked once for all checks; a finding where it could not be observed."""
    given: dict[str, Any] = json.loads(target)
    python = given.get("python", "python3")
    done = host.run("%s -c %s %s", python, OBSERVE.read_text(encoding="utf-8"), target)
    if done.rc == 0:
        return Observed(given, json.loads(done.stdout.splitlines()[-1]))
    reason = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
    what = f"The host could not be observed: {python} ended with exit code {done.rc}: {reason}."
    return Finding("observation_failed", what, ("./invoke", "verify", "--verbose"))


@pytest.fixture(scope="module")
def seen(host: Host, pytestconfig: pytest.Config) -> Observed:
    observed = observe(host, pytestconfig.getoption("target"))
    if isinstance(observed, Finding):
        raise Untrue([observed])
    return observed


@pytest.fixture(scope="module")
def containers(seen: Observed) -> dict[str, dict[str, Any]]:
    """The containers that serve; without an engine nothing is known of them."""
    if seen.report["engine_trouble"]:
        pytest.skip("the Docker Engine does not answer, which test_serving reports")
    return seen.containers
