"""One deployed stack for all stories: real containers, a real Plone. Each story leaves it serving, without a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.rollout.operator import CHECKOUT, NEW, OLD, STACK, Operator, docker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def deployed() -> Iterator[Operator]:
    """An operator with a freshly deployed stack; it is destroyed in the end, and what a killed run left first."""
    operator = Operator()
    assert operator.types("destroy", "--data", "--yes", "--take-over").returncode == 0
    deployed = operator.types("deploy", "--python", OLD, seconds=1800)
    assert deployed.returncode == 0, deployed.stdout
    yield operator
    assert operator.types("destroy", "--data", "--yes", "--take-over").returncode == 0


@pytest.fixture
def operator(deployed: Operator) -> Operator:
    """The stack live on the older Python, confirmed and unlocked, whatever the story before it did."""
    if str(deployed.status()["python"]).startswith(f"{NEW}."):
        deployed.types("rollback")  # the older one is mostly warm still, and then need not be deployed anew
    if not at_rest(deployed.status()):
        before = deployed.types("deploy", "--python", OLD)
        assert before.returncode == 0, before.stdout
    return deployed


def at_rest(status: dict[str, Any]) -> bool:
    """Whether the host serves the older Python, confirmed and unlocked, so that a deploy would find nothing to do."""
    return str(status["python"]).startswith(f"{OLD}.") and bool(status["confirmed"]) and status["lock"] is None


@pytest.fixture(scope="session")
def stranger() -> Iterator[str]:
    """The tag of an image that is not ours."""
    tag = f"{STACK}/stranger:1"
    docker("build", "--quiet", "--build-arg", "BASE=eduhub/base:bookworm", "--tag", tag,
           str(CHECKOUT / "tests/rollout/images"))  # fmt: skip
    yield tag
    docker("rmi", "--force", tag)
