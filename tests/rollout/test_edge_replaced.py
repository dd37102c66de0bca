"""Another image or limit of HAProxy: a new container takes the public address over under load, and nothing is cut."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.rollout.operator import STACK, WITH_DOCUMENTS, LoadGenerator, docker, folded, until
from tests.rotation import STORY

pytestmark = STORY

EDGE = "eduhub/edge:bookworm"
UPDATED, BROKEN = f"{STACK}/edge-updated:1", f"{STACK}/edge-broken:1"


def edges() -> list[str]:
    """The names of the stack's containers of HAProxy, those that are ending among them."""
    filters = ("--filter", f"label=org.eduhub.stack={STACK}", "--filter", "label=org.eduhub.role=edge")
    return sorted(docker("ps", "--all", "--format", "{{.Names}}", *filters).split())


@pytest.fixture
def images() -> Iterator[None]:
    """An image of HAProxy as after an update, and one that has none."""
    docker("tag", "eduhub/base:bookworm", BROKEN)
    words = ["docker", "build", "--quiet", "--tag", UPDATED, "-"]
    subprocess.run(words, input=f"FROM {EDGE}\nLABEL updated=yes\n", text=True, check=True, timeout=120)
    yield
    docker("rmi", "--force", BROKEN, UPDATED)


@pytest.mark.usefixtures("images")
def test_a_new_container_takes_over_without_a_cut(operator, tmp_path):
    other = operator.with_variables(tmp_path / "other", edge_image=UPDATED, edge_goodbye_seconds=60)
    before = docker("inspect", "--format", "{{.Id}}", f"{STACK}-edge")
    with LoadGenerator.running(tmp_path / "load", 200, *WITH_DOCUMENTS, warm=True) as load:
        there = other.types("deploy")
        back = operator.types("deploy")
        result = load.result()
    assert (there.returncode, back.returncode) == (0, 0)
    assert "HAProxy runs in a new container" in folded(there.stdout)
    assert before != docker("inspect", "--format", "{{.Id}}", f"{STACK}-edge")
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    assert result["audit"] == {"missing": [], "duplicate": [], "unexpected": []}
    print(f"{result['requests']} requests, longest gap {result['longest_gap_seconds']} s")
    until("the containers from before are gone", lambda: edges() == [f"{STACK}-edge"], 90, pause=1)
    assert operator.types("verify").returncode == 0


@pytest.mark.usefixtures("images")
def test_one_that_does_not_start_leaves_the_other_serving(operator, tmp_path):
    before = docker("inspect", "--format", "{{.Id}}", f"{STACK}-edge")
    broken = operator.with_variables(tmp_path / "broken", edge_image=BROKEN)
    with LoadGenerator.running(tmp_path / "load", 120, warm=True) as load:
        done = broken.types("deploy")
        result = load.result()
    assert done.returncode != 0
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    assert (edges(), docker("inspect", "--format", "{{.Id}}", f"{STACK}-edge")) == ([f"{STACK}-edge"], before)
