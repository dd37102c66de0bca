"""The Docker Engine, through its SDK. The SDK is imported at the first request: other commands start sooner."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from eduhub_pilot.adapters.identity import identity
from eduhub_pilot.model.errors import EngineDownError
from eduhub_pilot.model.facts import Container, Found, Image, Look
from eduhub_pilot.model.program import Program
from eduhub_pilot.model.slot_container import SlotContainer

if TYPE_CHECKING:
    from docker import APIClient

# A line of a container's log is cut here: one of a megabyte would hide the others.
LINE_CHARACTERS = 1000
# The CPU shares of a program that examines an image: below the default of 1024 of the live containers.
LOOK_SHARES = 256
LOOK_PAUSE_SECONDS = 0.2
# The variables that tell Plone of a database that is not files; there may be a password in them.
ELSEWHERE = ("ZEO_ADDRESS=", "RELSTORAGE_DSN=", "RELSTORAGE_DSN_FILE=")
# So long may somebody else's removal of the same container take.
REMOVAL_SECONDS = 10.0
# How long an engine may take for what it does at once.
ANSWER_SECONDS = 10


class Engine(Protocol):
    """What the pilot needs of an engine. Each method raises EngineDownError when the engine is down or refuses."""

    def version(self) -> str:
        """Return the engine's version."""

    def image(self, name: str) -> Image | None:
        """Return the image of that name or id, or None."""

    def tags(self, repository: str) -> list[str]:
        """Return the names of the images in `repository`, sorted."""

    def tag(self, image: str, name: str) -> None:
        """Give the image of that id one more name, "repository:tag"."""

    def untag(self, name: str) -> None:
        """Take a name away; fine when there is none."""

    def container(self, name: str, seconds: int = ANSWER_SECONDS) -> Container | None:
        """Return the container of that name, or None; an engine that takes longer than `seconds` is down."""

    def run(self, wanted: SlotContainer) -> None:
        """Make and start a container; there is none of its name yet."""

    def log(self, name: str, lines: int) -> list[str]:
        """Return the last lines of a container's output and errors; empty when there is no such container."""

    def containers_of(self, stack: str) -> list[Container]:
        """Return the containers of a stack, those that do not run too, by name."""

    def lines_with(self, name: str, text: str, seconds: float) -> Found:
        """Return the lines of a container's output and errors that hold `text`, read for about `seconds` at most."""

    def remove(self, name: str, stop_seconds: int) -> None:
        """Stop a container, killing it after `stop_seconds`, and remove it; fine when there is none."""

    def stop(self, name: str, stop_seconds: int) -> None:
        """Stop a container, killing it after `stop_seconds`; fine when there is none, or it does not run."""

    def start(self, name: str) -> None:
        """Start a container that is there; fine when it runs."""

    def let_end(self, name: str) -> None:
        """Let a container that ends stay ended, whatever its restart policy was; fine when there is none."""

    def let_last(self, name: str) -> None:
        """Start a container again whenever it ends, whatever its restart policy was."""

    def rename(self, name: str, new: str) -> None:
        """Give a container another name, while it runs too; no other has it."""

    def lay(
        self, name: str, image: str, folder: str, files: Mapping[str, str], environment: Mapping[str, str], stack: str
    ) -> None:
        """Create a container of `image` with files in a volume at `folder`, to be examined, never to be started."""

    def discard(self, name: str) -> None:
        """Remove a container that was never live, with its volumes; fine when there is none."""

    def look(
        self, like: str, command: Sequence[str], memory: str, seconds: float, between: Callable[[], None]
    ) -> Look:
        """Run a read-only program in the image of the container `like`, with its user and environment.

        It has no network and no capability, writes to /tmp only, and reads the mounts of `like`.
        `between` is called several times a second.
        """

    def work(
        self, like: str, command: Sequence[str], folders: Mapping[str, str], writes: bool, between: Callable[[], None],
        part: str = "work",
    ) -> Look:  # fmt: skip
        """Run a program in the image of the container `like`, with its user, environment, memory and mounts.

        It may write to /tmp, to the host's `folders`, each at the path it has there, and, with `writes`, to the mounts
        of `like` that `like` may write. It has no network and no capability, takes as long as it takes, and
        `between` is called several times a second. The output holds what it printed and its errors.
        Its container is called `part` of `like`, and one of that name is removed before: who does not hold the host's
        lock gives a name of its own.
        """

    def program(self, wanted: Program, seconds: float | None, between: Callable[[], None]) -> Look:
        """Run a program once, for `seconds` at most, as the user of its image.

        It has the host's network and no capability, and writes to /tmp and its mounts only. A container of its name is
        removed before. `between` is called several times a second. The output holds what it printed and its errors.
        """


class DockerEngine:
    """The engine behind /var/run/docker.sock, or DOCKER_HOST."""

    @cached_property
    def _client(self) -> APIClient:
        from docker import APIClient  # noqa: PLC0415 - 90 ms that `status --help` should not cost
        from docker.utils import kwargs_from_env  # noqa: PLC0415

        # Stopping a container answers once it has stopped, so the client waits longer than any stop_seconds.
        return APIClient(version="auto", timeout=ANSWER_SECONDS, **kwargs_from_env())

    @contextmanager
    def _asking(self) -> Iterator[APIClient]:
        import requests  # noqa: PLC0415 - the SDK's transport, whose errors it lets through
        from docker.errors import DockerException  # noqa: PLC0415

        try:
            yield self._client
        except (DockerException, requests.RequestException) as error:
            message = f"The Docker Engine did not answer or refused the request: {_sentence(error)}."
            raise EngineDownError(message) from None

    def version(self) -> str:
        with self._asking() as client:
            return str(client.version()["Version"])

    def image(self, name: str) -> Image | None:
        with self._asking() as client:
            found = _or_none(client.inspect_image, name)
        if found is None:
            return None
        labels = (found.get("Config") or {}).get("Labels") or {}
        return Image(found["Id"], labels.get("org.eduhub.python"), identity(found))

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

    def container(self, name: str, seconds: int = ANSWER_SECONDS) -> Container | None:
        with self._asking() as client:
            client.timeout = seconds
            try:
                found = _or_none(client.inspect_container, name)
            finally:
                client.timeout = ANSWER_SECONDS
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
            command=tuple((found["Config"].get("Entrypoint") or []) + (found["Config"].get("Cmd") or [])),
            mounts=tuple(sorted(mount["Destination"] for mount in found.get("Mounts") or [])),
            id=found["Id"],
            in_files=not any(each.startswith(ELSEWHERE) for each in found["Config"].get("Env") or []),
        )

    def run(self, wanted: SlotContainer) -> None:
        with self._asking() as client:
            _create_slot(client, wanted)
            client.start(wanted.name)

    def log(self, name: str, lines: int) -> list[str]:
        with self._asking() as client:
            output = _or_none(client.logs, name, tail=lines) or b""
        return [line[:LINE_CHARACTERS] for line in output.decode(errors="replace").splitlines()][-lines:]

    def containers_of(self, stack: str) -> list[Container]:
        with self._asking() as client:
            there = client.containers(all=True, filters={"label": f"org.eduhub.stack={stack}"})
        names = sorted(each["Names"][0].lstrip("/") for each in there)
        return [found for name in names if (found := self.container(name))]

    def lines_with(self, name: str, text: str, seconds: float) -> Found:
        sought, lines, deadline = text.encode(), [], time.monotonic() + seconds
        with self._asking() as client:
            for part in _or_none(client.logs, name, stream=True, follow=False) or ():
                if sought in part:  # the engine sends a line at a time
                    lines += [each.decode(errors="replace") for each in part.splitlines() if sought in each]
                if time.monotonic() > deadline:
                    return Found(lines, whole=False)
        return Found(lines)

    def remove(self, name: str, stop_seconds: int) -> None:
        with self._asking() as client:
            _or_none(client.stop, name, timeout=stop_seconds)
            _removed(client, name)

    def stop(self, name: str, stop_seconds: int) -> None:
        with self._asking() as client:
            _or_none(client.stop, name, timeout=stop_seconds)

    def start(self, name: str) -> None:
        with self._asking() as client:
            client.start(name)

    def let_end(self, name: str) -> None:
        with self._asking() as client:
            _or_none(client.update_container, name, restart_policy={"Name": "no"})

    def let_last(self, name: str) -> None:
        with self._asking() as client:
            client.update_container(name, restart_policy={"Name": "always"})

    def rename(self, name: str, new: str) -> None:
        with self._asking() as client:
            client.rename(name, new)

    def lay(
        self, name: str, image: str, folder: str, files: Mapping[str, str], environment: Mapping[str, str], stack: str
    ) -> None:
        self.discard(name)
        labels = {"org.eduhub.stack": stack, "org.eduhub.role": "look"}
        with self._asking() as client:
            client.create_container(image, name=name, volumes=[folder], environment=dict(environment), labels=labels)
            client.put_archive(name, folder, _archive(files))

    def discard(self, name: str) -> None:
        with self._asking() as client:
            _removed(client, name, v=True)

    def look(
        self, like: str, command: Sequence[str], memory: str, seconds: float, between: Callable[[], None]
    ) -> Look:
        def create(client: APIClient, found: Any) -> str:
            return _create_look(client, name, found, command, memory)

        name = f"{like}-look"
        with self._made(name, like, "to examine", create) as made:
            return self._waited(made, seconds, between) if made else Look(127, "", "absent")

    def work(
        self, like: str, command: Sequence[str], folders: Mapping[str, str], writes: bool, between: Callable[[], None],
        part: str = "work",
    ) -> Look:  # fmt: skip
        def create(client: APIClient, found: Any) -> str:
            return _create_work(client, name, found, command, folders, writes)

        name = f"{like}-{part}"
        with self._made(name, like, "whose data could be worked on", create) as made:
            return self._waited(made, None, between, stderr=True) if made else Look(127, "", "absent")

    def program(self, wanted: Program, seconds: float | None, between: Callable[[], None]) -> Look:
        with self._kept(wanted.name, lambda client: _create_program(client, wanted)) as made:
            with self._asking() as client:
                client.start(made)
            return self._waited(made, seconds, between, stderr=True)

    @contextmanager
    def _made(self, name: str, like: str, purpose: str, create: Callable[[APIClient, Any], str]) -> Iterator[str]:
        """Make and start a container like another for the length of the block; yield its id, empty if not started."""

        def like_it(client: APIClient) -> str:
            found = _or_none(client.inspect_container, like)
            if found is None:
                raise EngineDownError(f"There is no container {like} {purpose}.")
            return create(client, found)

        with self._kept(name, like_it) as made:
            with self._asking() as client:
                started = _started(client, made)
            yield made if started else ""

    @contextmanager
    def _kept(self, name: str, create: Callable[[APIClient], str]) -> Iterator[str]:
        """Make a container for as long as the block lasts; yield its id.

        By its id alone is it asked and removed afterwards: its name may be that of another one by then, whose end is
        not its end.
        """
        self.discard(name)  # left by a pilot that was killed
        with self._asking() as client:
            made = create(client)
        try:
            yield made
        finally:
            self.discard(made)

    def _waited(
        self, name: str, seconds: float | None, between: Callable[[], None], *, stderr: bool = False
    ) -> Look:
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._asking() as client:
            while (state := client.inspect_container(name)["State"])["Running"]:
                if deadline is not None and time.monotonic() > deadline:
                    return Look(137, client.logs(name).decode(errors="replace") if stderr else "", "seconds")
                between()
                time.sleep(LOOK_PAUSE_SECONDS)
            # An engine may miss that the kernel killed the program for its memory; nothing else kills it.
            if state.get("OOMKilled") or state["ExitCode"] == 137:
                return Look(137, "", "memory")
            return Look(state["ExitCode"], client.logs(name, stderr=stderr).decode(errors="replace"))


def _archive(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def _create_slot(client: APIClient, wanted: SlotContainer) -> None:
    from docker.types import LogConfig, Mount  # noqa: PLC0415

    inner, outer = wanted.published or (None, None)
    first, *others = wanted.networks or ["bridge"]
    client.create_container(
        wanted.image,
        name=wanted.name,
        command=list(wanted.command) if wanted.command else None,
        user=wanted.user,
        environment=dict(wanted.environment),
        labels=dict(wanted.labels),
        ports=[inner] if inner else None,
        stop_timeout=wanted.stop_seconds,
        # A proxy that root's Docker client is told of is not the bridge's.
        use_config_proxy=False,
        host_config=client.create_host_config(
            network_mode=first,
            port_bindings={inner: ("127.0.0.1", outer)} if inner else None,
            extra_hosts=dict(wanted.hosts) or None,
            restart_policy={"Name": "always"},
            mounts=[Mount(each.target, each.source, each.type, each.read_only) for each in wanted.mounts],
            mem_limit=wanted.memory,
            read_only=wanted.read_only,
            tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        ),
    )
    for network in others:
        client.connect_container_to_network(wanted.name, network)


def _create_look(client: APIClient, name: str, like: Any, command: Sequence[str], memory: str) -> str:
    options = {"volumes_from": [f"{like['Id']}:ro"], "mem_limit": memory, "memswap_limit": memory}
    return _create_like(client, name, like, command, "look", options)


def _create_work(
    client: APIClient, name: str, like: Any, command: Sequence[str], folders: Mapping[str, str], writes: bool
) -> str:
    from docker.types import Mount  # noqa: PLC0415

    options = {
        "volumes_from": [f"{like['Id']}{'' if writes else ':ro'}"],
        "mounts": [Mount(inside, outside, "bind") for outside, inside in folders.items()],
        "mem_limit": like["HostConfig"].get("Memory") or None,
    }
    return _create_like(client, name, like, command, "work", options)


def _create_program(client: APIClient, wanted: Program) -> str:
    """Create a program's container; return its id."""
    from docker.types import LogConfig, Mount  # noqa: PLC0415

    made = client.create_container(
        wanted.image,
        name=wanted.name,
        hostname=wanted.hostname,
        command=list(wanted.command),
        environment=dict(wanted.environment),
        labels=dict(wanted.labels),
        # What a proxy is told stands among the program's own settings.
        use_config_proxy=False,
        host_config=client.create_host_config(
            network_mode="host",
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mounts=[Mount(each.target, each.source, each.type, each.read_only) for each in wanted.mounts],
            mem_limit=wanted.memory,
            pids_limit=256,
            cpu_shares=LOOK_SHARES,
            log_config=LogConfig(type="json-file", config={"max-size": "16m", "max-file": "1"}),
        ),
    )
    return str(made["Id"])


def _create_like(
    client: APIClient, name: str, like: Any, command: Sequence[str], role: str, options: Mapping[str, Any]
) -> str:
    """Create a container that runs `command` in the image of another, with its user and environment; return its id."""
    from docker.types import LogConfig  # noqa: PLC0415

    config = like["Config"]
    made = client.create_container(
        like["Image"],
        name=name,
        entrypoint=list(command),
        environment=config.get("Env"),
        user=config.get("User"),
        working_dir=config.get("WorkingDir"),
        healthcheck={"test": ["NONE"]},
        labels={
            "org.eduhub.stack": (config.get("Labels") or {}).get("org.eduhub.stack", ""),
            "org.eduhub.role": role,
        },
        host_config=client.create_host_config(
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            pids_limit=256,
            cpu_shares=LOOK_SHARES,
            # The output has to be readable whatever the engine's default log driver is.
            log_config=LogConfig(type="json-file", config={"max-size": "16m", "max-file": "1"}),
            **options,
        ),
    )
    return str(made["Id"])


def _started(client: APIClient, name: str) -> bool:
    """Start a container; return whether its program exists."""
    from docker.errors import APIError  # noqa: PLC0415

    try:
        client.start(name)
    except APIError as error:
        # runc's messages, for a name and for a path
        if any(words in str(error.explanation) for words in ("executable file not found", "no such file or directory")):
            return False
        raise
    return True


def _removed(client: APIClient, name: str, **options: Any) -> None:
    """Remove a container; where somebody else is already removing it, wait until it is gone."""
    from docker.errors import APIError  # noqa: PLC0415

    deadline = time.monotonic() + REMOVAL_SECONDS
    while True:
        try:
            _or_none(client.remove_container, name, force=True, **options)
        except APIError as error:
            if "already in progress" not in str(error.explanation) or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_PAUSE_SECONDS)
        else:
            return


def _or_none(call: Any, *words: Any, **options: Any) -> Any:
    """Return what `call` returns, or None when the engine does not find it."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        return call(*words, **options)
    except NotFound:
        return None


def _sentence(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:200]
