"""A bridge of an earlier version is live: `deploy` replaces it on the same Python under load, a rollback returns."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.rollout.operator import CHECKOUT, OLD, STACK, URL, WITH_DOCUMENTS, LoadGenerator, docker
from tests.rotation import STORY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = STORY

EARLIER = "0.0.9"


@pytest.fixture
def earlier_image() -> Iterator[str]:
    """The name of the earlier bridge's image, as `bridge_image` takes it."""
    name = f"{STACK}/bridge:earlier-py{{python}}"
    tag = name.replace("{python}", OLD)
    docker("build", "--quiet", "--build-arg", f"BASE=eduhub/bridge:py{OLD}", "--build-arg", f"VERSION={EARLIER}",
           "--tag", tag, str(CHECKOUT / "tests/rollout/images/older"))  # fmt: skip
    yield name
    docker("rmi", "--force", tag)


def version() -> str:
    """The version that the bridge behind the public address tells."""
    with urllib.request.urlopen(f"{URL}/", timeout=5) as answer:
        return str(json.load(answer)["version"])


def test_a_deploy_replaces_an_earlier_version_without_a_failed_request(operator, earlier_image, tmp_path):
    current = version()
    earlier = operator.with_variables(tmp_path / "earlier", bridge_image=earlier_image)
    assert earlier.types("deploy").returncode == 0
    before = operator.status()
    assert (version(), before["python"].startswith(f"{OLD}.")) == (EARLIER, True)

    # Same Python, other code: every gate compares the two, as in an upgrade.
    gates = operator.with_variables(tmp_path / "gates", pilot_watch_seconds=5)
    with LoadGenerator.running(tmp_path / "load", 460, *WITH_DOCUMENTS, warm=True) as load:
        forward = gates.types("deploy")
        during = version()
        back = operator.types("rollback")
        result = load.result()

    assert (forward.returncode, during) == (0, current)
    assert (back.returncode, version()) == (0, EARLIER)
    assert operator.status()["image"] == before["image"]
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    assert result["audit"] == {"missing": [], "duplicate": [], "unexpected": []}
    print(f"{result['requests']} requests, none failed; longest gap {result['longest_gap_seconds']} s")
    assert operator.types("deploy").returncode == 0
    assert version() == current
