"""What is measured, in containers of its own: all labelled, all gone at the end, whatever ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from docker.types import Mount
from requests import RequestException

from builder import Refusal
from builder.catalogue import Image, pythons
from builder.engine import Engine
from tests.bench import VoidError, cpu

STACK = "eduhub-bench"
LABEL = "org.eduhub.stack"
# Where the containers find what they share: doors to write to, files to read.
DOORS, FILES = "/run/eduhub", "/bench"
START_SECONDS = 40.0


@dataclass(frozen=True)
class Running:
    """One started container: `door` is its unix socket on this machine, `pid` its first process."""

    name: str
    door: Path
    pid: int


class Stage:
    """One engine, one directory; `open_stage` makes it. Containers have no network but that of `beside`, if given."""

    def __init__(self, client: docker.DockerClient, directory: Path, run: str) -> None:
        self._client, self._run = client, run
        self.doors, self.files = directory / "doors", directory / "files"
        for each in (self.doors, self.files):
            each.mkdir()
        # A container's user is none of this machine's; the directory above is closed to all others.
        self.doors.chmod(0o777)
        self.files.chmod(0o755)

    def write(self, name: str, content: bytes) -> str:
        """Put a file where containers can read it; return its path there."""
        self.files.joinpath(name).write_bytes(content)
        self.files.joinpath(name).chmod(0o644)
        return f"{FILES}/{name}"

    def start(
        self,
        name: str,
        image: Image,
        *,
        command: Sequence[str] | None = None,
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        beside: str | None = None,
        writable: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> Container:
        """Start a container as a host runs it: read-only, no capability; raise VoidError where the engine cannot."""
        shared = {self.doors: DOORS, self.files: FILES, **(mounts or {})}
        with _plainly():
            return self._client.containers.run(
                image.tag, list(command or []), entrypoint=list(entrypoint) if entrypoint else None, detach=True,
                name=f"{STACK}-{self._run}-{name}", labels={LABEL: STACK, "org.eduhub.bench": self._run},
                environment=dict(environment or {}), read_only=True, cap_drop=["ALL"],
                security_opt=["no-new-privileges:true"], user=user,
                network_mode=f"container:{STACK}-{self._run}-{beside}" if beside else "none",
                tmpfs={"/tmp": "mode=1777", **(writable or {})},  # noqa: S108 - the container's own
                # Its health check would be measured too.
                healthcheck={"test": ["NONE"]},
                mounts=[
                    Mount(target, str(path), type="bind", read_only=target != DOORS) for path, target in shared.items()
                ],
            )  # fmt: skip

    def serve(self, name: str, image: Image, path: str, **options: Any) -> Running:
        """Start a container that listens on the door `name`, and wait until it answers `path` with 200."""
        container = self.start(name, image, **options)
        door = self.doors / f"{name}.sock"
        self.wait(container, door, path, START_SECONDS)
        pid = self.pid(container)
        try:
            cpu.seconds(pid)
        except ProcessLookupError:
            raise VoidError(f"{container.name} runs elsewhere: measure on the engine's own machine.") from None
        return Running(name, door, pid)

    def wait(self, container: Container, door: Path, path: str, seconds: float) -> None:
        """Wait until `door` answers `path` with 200; raise VoidError with the container's last lines where not."""
        deadline = time.monotonic() + seconds
        while (said := _status(door, path)) != "200":
            with _plainly():
                container.reload()
            if container.status == "exited" or time.monotonic() > deadline:
                log = container.logs(tail=5).decode(errors="replace").strip()
                raise VoidError(f"{container.name} does not serve {path} within {seconds:g} s ({said}): {log}")
            time.sleep(0.1)

    def once(self, name: str, image: Image, text: bytes, seconds: float, **options: Any) -> bytes:
        """Run a container to its end with the file `name`.in as its input; return what it printed."""
        self.write(f"{name}.in", text)
        container = self.start(name, image, **options)
        try:
            with _plainly():
                code = container.wait(timeout=seconds)["StatusCode"]
                errors = container.logs(stdout=False, stderr=True).decode(errors="replace").strip()
                output: bytes = container.logs(stdout=True, stderr=False)
        finally:
            self.remove(container)
        if code:
            raise VoidError(f"{image.tag} ends with {code}: {(errors.splitlines() or ['no reason given'])[-1]}")
        return output

    def remove(self, container: Container) -> None:
        """Remove a container and what it kept."""
        with suppress(DockerException, RequestException):
            container.remove(force=True, v=True)

    def drop(self, *names: str) -> None:
        """Remove this run's containers of these names."""
        for name in names:
            with suppress(DockerException, RequestException):
                self.remove(self._client.containers.get(f"{STACK}-{self._run}-{name}"))

    def clear(self) -> None:
        """Remove whatever carries the label: this run's containers, and what a killed one left."""
        with _plainly():
            for container in self._client.containers.list(all=True, filters={"label": f"{LABEL}={STACK}"}):
                self.remove(container)

    def pid(self, container: Container) -> int:
        """Return the container's first process, as this machine numbers it."""
        with _plainly():
            container.reload()
        return int(container.attrs["State"]["Pid"])

    def engine(self) -> str:
        """Return the engine's version, and how many containers that are not ours run on it."""
        with _plainly():
            others = [each for each in self._client.containers.list() if each.labels.get(LABEL) != STACK]
            return f"Docker Engine {self._client.version()['Version']}, {len(others)} other containers running"


def own_user() -> str | None:
    """Return the user for a container whose door opens to its own user and group only; None for its image's."""
    return None if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"


@contextmanager
def open_stage(run: str) -> Iterator[Stage]:
    """Give a stage, empty before and after; raise Refusal where no engine answers."""
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        raise Refusal(
            "The bench shares sockets with its containers, so the engine must be on this machine; "
            "unset DOCKER_HOST, or type it there."
        )
    Engine()  # says in one sentence why there is none
    directory = Path(tempfile.mkdtemp(prefix=f"{STACK}-"))
    client = docker.from_env(timeout=120)
    stage = Stage(client, directory, run)
    try:
        stage.clear()
        yield stage
    except BaseException:
        # The engine may still be making what it was asked for when the signal came.
        with _undisturbed():
            time.sleep(1.0)
        raise
    finally:
        with _undisturbed():
            try:
                stage.clear()
            finally:
                client.close()
                shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no further signal interrupt the tidying up: once is enough."""
    heard = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def bridges(images: Sequence[Image], older: str = "", newer: str = "") -> tuple[Image, Image]:
    """Return the bridge's images on two Pythons, without a name the oldest and the newest; raise Refusal for others."""
    found = {image.python: image for image in images if image.name == "bridge"}
    ladder = pythons(images, "bridge")
    older, newer = older or ladder[0], newer or ladder[-1]
    for python in (older, newer):
        if python not in found:
            raise Refusal(f"There is no bridge for Python {python!r}; choose {', '.join(ladder)}.")
    if older == newer:
        raise Refusal(f"Both Pythons are {older}; the control compares a Python with itself already.")
    return found[older], found[newer]


def demand(engine: Engine, images: Sequence[Image]) -> dict[str, dict[str, Any]]:
    """Return the engine's description of each image by its tag; raise Refusal for one that is missing."""
    found = {image.tag: engine.inspect(image.tag) for image in images}
    if missing := [image for image in images if found[image.tag] is None]:
        names = ",".join(sorted({image.name for image in missing}))
        raise Refusal(f"There is no image {missing[0].tag} to measure; ./invoke images.build --names {names} makes it.")
    return {tag: facts for tag, facts in found.items() if facts is not None}


def _status(door: Path, path: str) -> str:
    """Return the status that `door` answers with, or why there is none."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10.0)
            connection.connect(str(door))
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: bridge.test\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
                .encode()
            )  # fmt: skip
            words = connection.recv(64).split(b" ", 2)
    except OSError as error:
        return error.strerror or str(error)
    return words[1].decode(errors="replace") if len(words) > 1 else "no HTTP"


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what the SDK raises into a VoidError."""
    try:
        yield
    except APIError as error:
        raise VoidError(f"The Docker Engine does not do what it is asked: {error.explanation or error}") from None
    except (DockerException, RequestException, OSError, json.JSONDecodeError) as error:
        raise VoidError(f"The Docker Engine stopped answering: {error}") from None
