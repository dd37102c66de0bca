"""Each image of images.yml, and the container that molecule started from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest
import testinfra
from docker.models.containers import Container
from testinfra.host import Host

from builder.catalogue import Image, load

# Plone makes its site meanwhile, on a machine that may be busy with six other containers.
HEALTHY_SECONDS = 240


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine that the containers run on."""
    client = docker.from_env(timeout=120)
    yield client
    client.close()


@dataclass(frozen=True)
class Subject:
    """An image, the engine's description of it, and its container, which runs read-only and without a network."""

    image: Image
    facts: dict[str, Any]
    container: Container
    inside: Host

    @property
    def config(self) -> dict[str, Any]:
        """What the image says of how it is run."""
        return dict(self.facts["Config"])

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels."""
        return dict(self.config["Labels"])

    def health(self) -> str:
        """The container's health, once it is no longer starting; at the latest after HEALTHY_SECONDS."""
        for _ in range(HEALTHY_SECONDS):
            self.container.reload()
            state = self.container.attrs["State"]
            if state["Health"]["Status"] != "starting" or not state["Running"]:
                return str(state["Health"]["Status"])
            time.sleep(1)
        return "starting"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test every image that it is about: all, or those its `images` mark names."""
    if "subject" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("images")
        chosen = [image for image in load() if mark is None or image.name in mark.args]
        metafunc.parametrize("subject", chosen, ids=[image.short for image in chosen], indirect=True, scope="session")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "images(*names): the images that a test is about; without it, all")


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Subject:
    """The image of this test with its container, started again where a test before has stopped it."""
    image: Image = request.param
    container = engine.containers.get(f"eduhub-test-{image.short.replace(':', '-')}")
    container.start()
    return Subject(
        image=image,
        facts=engine.images.get(image.tag).attrs,
        container=container,
        inside=testinfra.get_host(f"docker://{container.name}"),
    )
