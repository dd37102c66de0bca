"""Containers for these tests: a Plone with sample courses, and the checkout's bridge on any Python of images.yml."""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests
from docker.errors import DockerException, ImageNotFound, NotFound

from builder.catalogue import load, pythons
from tests.rotation import everything, of_the_day

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docker.models.containers import Container

SOURCE = Path(__file__).resolve().parents[2] / "images/bridge/src"
LADDER = pythons(load(), "bridge")
# The two of this day, the older one first: neighbours on the ladder on one day, its ends on another.
PAIR = tuple(sorted(of_the_day(LADDER, 2), key=LADDER.index))
PYTHONS = LADDER if everything() else PAIR
SLOTS = dict(zip(("blue", "green"), PAIR, strict=True))
SITE = "Plone"
LABELS = {"org.eduhub.stack": "eduhub-test", "org.eduhub.role": "test"}
# Plone makes its site meanwhile, on a machine that may be busy.
PLONE_SECONDS = 240
BRIDGE_SECONDS = 30


def image(name: str, python: str | None = None) -> str:
    """Return the tag of the image `name`, on `python` if there are several."""
    return next(each.tag for each in load() if each.name == name and python in (None, each.python))


@dataclass
class Server:
    """Something that answers HTTP. Each call is one on a new connection; redirects are the caller's business."""

    url: str
    container: Container
    admin: tuple[str, str] = ("admin", "")
    python: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def ask(self, method: str, path: str, who: Any = None, **more: Any) -> requests.Response:
        """Ask for `path` as `who`: None for anonymous, a token, or a pair of name and password."""
        headers = {"accept": "application/json", **more.pop("headers", {})}
        if isinstance(who, str):
            headers["authorization"], who = f"Bearer {who}", None
        return self.session.request(
            method, self.url + path, auth=who, headers=headers, timeout=60, allow_redirects=False, **more
        )

    @property
    def log(self) -> str:
        return self.container.logs().decode()


def engine() -> docker.DockerClient:
    """Return the engine; fail with what to type if there is none."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        pytest.fail("No container engine answers, and these tests need one: ./invoke deploy starts it.", pytrace=False)
    return client


@contextmanager
def running(client: docker.DockerClient, tag: str, name: str, **options: Any) -> Iterator[Container]:
    """Run a container from an image that is there already, and remove it with its volumes at the end."""
    name = f"eduhub-test-{name}-{secrets.token_hex(3)}"
    try:
        container = client.containers.run(
            tag, name=name, labels=LABELS, detach=True, read_only=True, cap_drop=["ALL"],
            tmpfs={"/tmp": ""}, security_opt=["no-new-privileges:true"], **options,  # noqa: S108 - the container's own
        )  # fmt: skip
    except ImageNotFound:
        pytest.fail(f"The image {tag} is not on the engine: ./invoke images.build makes it.", pytrace=False)
    try:
        yield container
    finally:
        with suppress(NotFound):  # a test run that cleans up after another one takes what carries the label
            container.remove(force=True, v=True)


@contextmanager
def plone(client: docker.DockerClient, folder: Path, name: str = "plone", **settings: str) -> Iterator[Server]:
    """Run a Plone of its own, healthy, with the sample courses and a made-up password of its administrator."""
    password = folder / "plone_admin_password"
    password.write_text(secrets.token_urlsafe(12))
    password.chmod(0o444)
    inside = "/run/secrets/plone_admin_password"
    port = _free_port()  # the engine would choose another one when the container is started again
    options = {
        "environment": {"SITE": SITE, "SAMPLE_CONTENT": "courses", "ADMIN_PASSWORD_FILE": inside, **settings},
        "volumes": {str(password): {"bind": inside, "mode": "ro"}},
        "ports": {"8080/tcp": ("127.0.0.1", port)},
    }
    with running(client, image("plone"), name, **options) as container:
        _until(container, PLONE_SECONDS, lambda: container.attrs["State"]["Health"]["Status"] == "healthy")
        yield Server(f"http://127.0.0.1:{port}/{SITE}", container, ("admin", password.read_text()))


@contextmanager
def bridge(
    client: docker.DockerClient, before: Server, python: str, shares: Sequence[Path] = (), **settings: str
) -> Iterator[Server]:
    """Run the checkout's bridge on `python`, in the image of that Python, in front of the Plone `before`.

    It sees the directories `shares` under their own names, read-only.
    """
    port = _free_port()
    environment = {"PLONE_URL": before.url, "EDUHUB_PORT": str(port), "EDUHUB_ADDRESS": "127.0.0.1", **settings}
    volumes = {str(path): {"bind": str(path), "mode": "ro"} for path in shares}
    with _bridge(client, python, environment, volumes) as container:
        server = Server(f"http://127.0.0.1:{port}", container, before.admin, python)
        _until(container, BRIDGE_SECONDS, lambda: _answers(server))
        yield server


@contextmanager
def slot(
    client: docker.DockerClient, plone_url: str, python: str, folder: Path, state: Path | None = None, **settings: str
) -> Iterator[Container]:
    """Run the checkout's bridge on the socket bridge.sock in `folder`, as in a slot; it may be stopped and started.

    `state` is the folder that both slots share, with their key.
    """
    environment = {"PLONE_URL": plone_url, "EDUHUB_SOCKET": str(folder / "bridge.sock"), **settings}
    volumes = {str(folder): {"bind": str(folder)}}
    if state:
        volumes[str(state)] = {"bind": "/var/lib/eduhub-bridge"}
        environment["EDUHUB_STATE_KEY_FILE"] = "/var/lib/eduhub-bridge/key"
    for place in (folder, state):
        if place:
            place.chmod(0o777)  # the bridge has a user of its own
    with _bridge(client, python, environment, volumes) as container:
        yield container


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _bridge(client: docker.DockerClient, python: str, environment: dict[str, str], volumes: dict[str, Any]) -> Any:
    options = {
        "environment": environment,
        "volumes": {str(SOURCE): {"bind": "/opt/eduhub/app", "mode": "ro"}, **volumes},
        "network_mode": "host",  # both ends are loopback ports
    }
    return running(client, image("bridge", python), f"bridge-py{python}", **options)


def _answers(server: Server) -> bool:
    try:
        return server.ask("GET", "/health/ready").status_code == 200
    except requests.ConnectionError:
        return False


def _until(container: Container, seconds: int, ready: Any) -> None:
    deadline = time.monotonic() + seconds
    container.reload()
    while not ready():
        if container.status == "exited" or time.monotonic() > deadline:
            tail = container.logs(tail=20).decode()
            pytest.fail(
                f"{container.name} is {container.status} and not ready after {seconds} s:\n{tail}", pytrace=False
            )
        time.sleep(0.5)
        container.reload()
