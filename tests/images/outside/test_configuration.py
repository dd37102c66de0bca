"""What an image says of itself: who runs what, made from which inputs, how large."""

from __future__ import annotations

import re
from pathlib import Path

import docker
import pytest

from builder import HERE, manifest
from builder.build import Builder
from builder.catalogue import load
from builder.engine import Engine
from builder.report import Progress

from .conftest import Subject

USERS = {
    "bridge": "10001:10001", "copy": "500:500", "edge": "10002:10002", "pilot": "10003:10003", "plone": "500:500",
}  # fmt: skip
ENTRY_POINTS = {
    "bridge": ["python3", "-m", "eduhub_bridge"],
    "copy": ["/usr/lib/eduhub/start"],  # it reads the environment of restic, and runs that
    "edge": ["/usr/lib/eduhub/start"],  # it execs HAProxy
    "pilot": ["python3", "-m", "eduhub_pilot"],
    "plone": ["python3", "-m", "eduhub_plone"],
}


@pytest.mark.images(*USERS)
def test_it_runs_as_a_user_of_its_own(subject: Subject) -> None:
    """A number, because a host knows no names of ours; and the process inside is that user."""
    user = USERS[subject.image.name]
    assert subject.config["User"] == user
    assert subject.inside.check_output("echo $(id -u):$(id -g)") == user


@pytest.mark.images(*ENTRY_POINTS)
def test_its_program_is_started_without_a_shell(subject: Subject) -> None:
    """In exec form the program is process 1 and hears the signals that `docker stop` sends."""
    assert subject.config["Entrypoint"] == ENTRY_POINTS[subject.image.name]


def test_it_is_small(subject: Subject) -> None:
    """No larger than images.yml allows."""
    assert subject.facts["Size"] <= subject.image.limit_mb * 1_000_000


def test_its_labels_name_it(subject: Subject) -> None:
    """Who meets it on a host learns what it is and which commit it came from."""
    labels = subject.labels
    assert labels["org.opencontainers.image.title"] == subject.image.title
    assert labels["org.opencontainers.image.version"] == subject.image.version
    assert re.fullmatch(r"([0-9a-f]{40}(-changed)?|unknown)", labels["org.opencontainers.image.revision"])


def test_it_was_made_from_this_tree(subject: Subject) -> None:
    """The label of its inputs is the hash of the files that are here now."""
    builder = Builder(Engine(), load(), Progress(), missing=True, directory=Path(HERE))
    assert subject.labels["org.eduhub.inputs"] == builder.inputs(subject.image)


def test_its_manifest_label_is_true(subject: Subject, engine: docker.DockerClient) -> None:
    """Hashing the files that are in it gives the label."""
    container = engine.containers.create(subject.image.tag, ["true"], name="eduhub-test-export")
    try:
        listing = manifest.lines(container.export())  # type: ignore[arg-type]
        assert subject.labels["org.eduhub.manifest"] == manifest.digest(listing)
    finally:
        container.remove(v=True)


def test_the_engine_holds_it_to_what_a_host_allows(subject: Subject) -> None:
    """It is running read-only, with no capability, no network and no way to gain rights, and never died."""
    subject.container.reload()
    facts = subject.container.attrs
    assert facts["State"]["Running"]
    assert facts["RestartCount"] == 0
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert facts["HostConfig"]["CapDrop"] == ["ALL"]
    assert facts["HostConfig"]["NetworkMode"] == "none"
