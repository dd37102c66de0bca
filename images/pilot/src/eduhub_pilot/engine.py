"""The Docker Engine, through its SDK. Imported at the first question: commands that ask none start sooner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from eduhub_pilot.errors import EngineDownError
from eduhub_pilot.facts import Container, Image

if TYPE_CHECKING:
    from docker import APIClient

# A line of a container's log is cut here: one of a megabyte would hide the others.
LINE_CHARACTERS = 500


class Engine(Protocol):
    """What the pilot asks of an engine. Each raises EngineDownError when the engine does not do it."""

    def image(self, name: str) -> Image | None:
        """Return the image of that name or id, or None."""

    def tags(self, repository: str) -> list[str]:
        """Return the names of the images in `repository`, sorted."""

    def tag(self, image: str, name: str) -> None:
        """Give the image of that id one more name, "repository:tag"."""

    def untag(self, name: str) -> None:
        """Take a name away; fine when there is none."""

    def container(self, name: str) -> Container | None:
        """Return the container of that name, or None."""

    def log(self, name: str, lines: int) -> list[str]:
        """Return the last lines of a container's output and errors; empty when there is no such container."""

    def remove(self, name: str, stop_seconds: int) -> None:
        """Stop a container, killing it after `stop_seconds`, and remove it; fine when there is none."""

    def let_end(self, name: str) -> None:
        """Let a container that ends stay ended, whatever its restart policy was; fine when there is none."""


class DockerEngine:
    """The engine behind /var/run/docker.sock, or DOCKER_HOST."""

    @cached_property
    def _client(self) -> APIClient:
        from docker import APIClient  # noqa: PLC0415 - 90 ms that `status --help` should not cost
        from docker.utils import kwargs_from_env  # noqa: PLC0415

        # Stopping a container answers only when it has stopped, so the client waits longer than any stop_seconds.
        return APIClient(version="auto", timeout=10, **kwargs_from_env())

    @contextmanager
    def _asking(self) -> Iterator[APIClient]:
        import requests  # noqa: PLC0415 - the SDK's transport, whose errors it lets through
        from docker.errors import DockerException  # noqa: PLC0415

        try:
            yield self._client
        except (DockerException, requests.RequestException) as error:
            raise EngineDownError(f"The Docker Engine does not do what it is asked ({_sentence(error)}).") from None

    def image(self, name: str) -> Image | None:
        with self._asking() as client:
            found = _or_none(client.inspect_image, name)
        if found is None:
            return None
        labels = (found.get("Config") or {}).get("Labels") or {}
        return Image(found["Id"], labels.get("org.eduhub.python"))

    def tags(self, repository: str) -> list[str]:
        with self._asking() as client:
            return sorted(tag for image in client.images(name=repository) for tag in image.get("RepoTags") or [])

    def tag(self, image: str, name: str) -> None:
        repository, _, tag = name.rpartition(":")
        with self._asking() as client:
            client.tag(image, repository, tag)

    def untag(self, name: str) -> None:
        with self._asking() as client:
            _or_none(client.remove_image, name, noprune=True)

    def container(self, name: str) -> Container | None:
        with self._asking() as client:
            found = _or_none(client.inspect_container, name)
        if found is None:
            return None
        state = found["State"]
        return Container(
            name=name,
            state=state["Status"],
            image=found["Image"],
            labels=found["Config"].get("Labels") or {},
            restarts=found.get("RestartCount", 0),
            exit_code=state.get("ExitCode", 0),
            health=(state.get("Health") or {}).get("Status"),
        )

    def log(self, name: str, lines: int) -> list[str]:
        with self._asking() as client:
            output = _or_none(client.logs, name, tail=lines) or b""
        return [line[:LINE_CHARACTERS] for line in output.decode(errors="replace").splitlines()][-lines:]

    def remove(self, name: str, stop_seconds: int) -> None:
        with self._asking() as client:
            _or_none(client.stop, name, timeout=stop_seconds)
            _or_none(client.remove_container, name, force=True)

    def let_end(self, name: str) -> None:
        with self._asking() as client:
            _or_none(client.update_container, name, restart_policy={"Name": "no"})


def _or_none(call: Any, *words: Any, **options: Any) -> Any:
    """Return what `call` returns, or None when the engine knows no such thing."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        return call(*words, **options)
    except NotFound:
        return None


def _sentence(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:200]
