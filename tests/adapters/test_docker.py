"""Docker's engine passes the contract, and does what no fake can: it runs programs, and bounds them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound

from eduhub_pilot.adapters.docker import DockerEngine
from eduhub_pilot.model.facts import Look
from eduhub_pilot.model.slot_container import Mount, SlotContainer
from tests.adapters.engine_contract import EngineContract

IMAGE = "eduhub/base:bookworm"
LABELS = {"org.eduhub.stack": "eduhub-test", "org.eduhub.role": "test", "org.eduhub.release": "r-1"}
# Prints its words to both streams by turns, then runs. SIGUSR1 ends it with 7; SIGTERM with 0, if not stubborn.
PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
if "stubborn" not in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
for number, word in enumerate(sys.argv[1:]):
    print(word, file=(sys.stdout, sys.stderr)[number % 2], flush=True)
    time.sleep(0.05)  # the engine orders the two streams by time
open("/tmp/ready", "w").close()
while True:
    signal.pause()
"""
SECONDS = 60.0
READY = ["test", "-e", "/tmp/ready"]  # noqa: S108 - the container's own


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class DockerStage:
    """The engine of this machine. Containers and tags have a prefix of the test's own."""

    def __init__(self, client: docker.DockerClient, image: str, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.client, self._patch, self._folder = client, patch, folder
        self._prefix = f"eduhub-test-{secrets.token_hex(4)}"
        self.engine = DockerEngine()
        self.image, self.repository = image, f"{self._prefix}/kept"
        self.python = client.images.get(image).labels["org.eduhub.python"]

    def container(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def wanted(self, name: str, *lines: str) -> SlotContainer:
        command = ("python3", "-c", PROGRAM, *lines)
        return SlotContainer(self.container(name), self.image, LABELS, {}, [], ["none"], command)

    def ready(self, name: str) -> None:
        container = self.client.containers.get(name)
        until(lambda: container.exec_run(READY).exit_code == 0)

    def ends(self, name: str, code: int) -> None:
        assert code == 7
        self.ready(name)
        container = self.client.containers.get(name)
        began, again = container.attrs["State"]["StartedAt"], container.attrs["HostConfig"]["RestartPolicy"]["Name"]
        # From within: what the engine's `kill` ends, the engine does not start again.
        container.exec_run(["python3", "-c", "import os, signal; os.kill(1, signal.SIGUSR1)"])

        def noticed() -> bool:
            container.reload()
            state = container.attrs["State"]
            return state["StartedAt"] != began if again == "always" else not state["Running"]

        until(noticed)

    def last_name(self) -> str:
        source = self.client.containers.create(IMAGE, ["true"], name=self.container("source"), labels=LABELS)
        source.commit(f"{self._prefix}/used", "only")
        name = f"{self._prefix}/used:only"
        self.client.containers.create(name, ["true"], name=self.container("user"), labels=LABELS)
        return name

    def down(self) -> DockerEngine:
        self._patch.setenv("DOCKER_HOST", f"unix://{self._folder}/nobody.sock")
        return DockerEngine()

    def clear(self) -> None:
        """Remove whatever the test left."""
        for container in self.client.containers.list(all=True, filters={"name": self._prefix}):
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for image in self.client.images.list():
            for tag in image.tags:
                if tag.startswith(self._prefix):
                    self.client.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """The engine of this machine, which `./invoke test` has brought up, with the images."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(client: docker.DockerClient) -> Iterator[str]:
    """An image with a Python and a command, by a name of these tests' own."""
    name = f"eduhub-test-{secrets.token_hex(4)}/image"
    source = client.containers.create(IMAGE, ["true"], labels=LABELS)
    source.commit(name, "1", changes='CMD ["python3"]')
    source.remove()
    yield f"{name}:1"
    client.images.remove(f"{name}:1", force=True)


@pytest.fixture
def stage(
    client: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[DockerStage]:
    stage = DockerStage(client, image, monkeypatch, tmp_path)
    yield stage
    stage.clear()


class TestDockerEngine(EngineContract):
    """The contract, by Docker."""


def python(stage: DockerStage, program: str, seconds: float = SECONDS) -> Look:
    """Return a look into the container `seen`, with a Python program."""
    return stage.engine.look(stage.container("seen"), ["python3", "-c", program], "64m", seconds, lambda: None)


@pytest.fixture
def seen(stage: DockerStage) -> DockerStage:
    """A container `seen` that runs as a user of its own, with an environment."""
    command = ("python3", "-c", PROGRAM)
    name = stage.container("seen")
    stage.engine.run(SlotContainer(name, stage.image, LABELS, {"COLOUR": "blue"}, [], ["none"], command, "4711:4711"))
    return stage


def left(stage: DockerStage) -> list[str | None]:
    """Return the containers of looks."""
    found = stage.client.containers.list(all=True, filters={"name": stage.container("seen-look")})
    return [each.name for each in found]


def test_a_look_returns_what_is_printed_and_the_exit_code(seen: DockerStage) -> None:
    look = python(seen, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert look == Look(3, "out\n")
    assert left(seen) == []


def test_a_look_has_the_containers_user_and_environment_and_may_change_nothing(seen: DockerStage) -> None:
    look = python(seen, """
import os, socket
def tried(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"
print(os.getuid(), os.environ["COLOUR"], sorted(os.listdir("/sys/class/net")))
print(tried(lambda: open("/x", "w")), tried(lambda: open("/tmp/x", "w")), tried(lambda: os.setuid(0)))
""")
    assert look.output.splitlines() == ["4711 blue ['lo']", "OSError done PermissionError"]


@pytest.mark.parametrize("program", ["no-such-program", "/nowhere/python3"])
def test_a_program_that_is_not_in_the_image_is_absent(seen: DockerStage, program: str) -> None:
    look = seen.engine.look(seen.container("seen"), [program], "64m", SECONDS, lambda: None)
    assert (look, left(seen)) == (Look(127, "", "absent"), [])


def test_a_look_that_takes_too_long_is_ended(seen: DockerStage) -> None:
    assert python(seen, "import time; time.sleep(600)", seconds=0.5) == Look(137, "", "seconds")
    assert left(seen) == []


def test_a_look_that_takes_too_much_memory_is_ended(seen: DockerStage) -> None:
    assert python(seen, "x = bytearray(256 << 20); x[::4096] = b'x' * len(x[::4096])") == Look(137, "", "memory")
    assert left(seen) == []


def test_what_a_killed_pilot_left_is_in_nobodys_way(seen: DockerStage) -> None:
    seen.client.containers.create(IMAGE, ["true"], name=seen.container("seen-look"), labels=LABELS)
    assert python(seen, "print('seen')").output == "seen\n"


def test_a_look_that_is_interrupted_leaves_nothing(seen: DockerStage) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seen.engine.look(seen.container("seen"), ["sleep", "600"], "64m", SECONDS, interrupt)
    assert left(seen) == []


def test_a_look_sees_the_files_that_were_laid(stage: DockerStage) -> None:
    files = {"green.py": "print('grün')\n"}
    stage.engine.lay(stage.container("seen"), stage.image, "/green", files, {"PYTHONPATH": "/green"}, "eduhub-test")
    assert python(stage, "import green").output == "grün\n"
    volumes = {each["Name"] for each in stage.client.containers.get(stage.container("seen")).attrs["Mounts"]}
    stage.engine.discard(stage.container("seen"))
    assert volumes & {each.id for each in stage.client.volumes.list()} == set()


def test_one_that_does_not_stop_is_killed(stage: DockerStage) -> None:
    wanted = stage.wanted("stubborn", "stubborn")
    stage.engine.run(wanted)
    stage.ready(wanted.name)
    stage.engine.remove(wanted.name, 1)
    assert stage.engine.container(wanted.name) is None


def test_one_that_is_being_removed_by_somebody_else_is_removed(stage: DockerStage) -> None:
    """Both are done when it is gone, whichever of them the engine let do it."""
    for turn in range(3):
        wanted = stage.wanted(f"both-{turn}")
        stage.engine.run(wanted)
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(DockerEngine().remove, wanted.name, 1) for _ in range(4)]
            assert [each.result(SECONDS) for each in both] == [None] * 4
        assert stage.engine.container(wanted.name) is None


def test_a_slot_is_bounded_and_started_again_whatever_happens(stage: DockerStage, tmp_path: Path) -> None:
    command = ("python3", "-c", PROGRAM)
    mounts = [Mount(str(tmp_path), "/run/eduhub"), Mount("", "/var/cache", type="tmpfs")]
    wanted = SlotContainer(
        stage.container("slot"), IMAGE, LABELS, {"A": "b"}, mounts, ["none"], command, "4711", "64m", stop_seconds=7,
    )  # fmt: skip
    stage.engine.run(wanted)
    made = stage.client.containers.get(wanted.name).attrs
    host, config = made["HostConfig"], made["Config"]
    assert (host["RestartPolicy"]["Name"], host["Memory"], host["ReadonlyRootfs"]) == ("always", 64 << 20, True)
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert (config["User"], config["StopTimeout"], "A=b" in config["Env"]) == ("4711", 7, True)
    found = stage.engine.container(wanted.name)
    assert found is not None
    assert found.mounts == ("/run/eduhub", "/var/cache")


def test_a_port_is_published_on_loopback_alone(stage: DockerStage) -> None:
    wanted = SlotContainer(
        stage.container("port"), IMAGE, LABELS, {}, [], ["bridge"], ("python3", "-c", PROGRAM), published=(8080, 0),
    )  # fmt: skip
    stage.engine.run(wanted)
    ((published,),) = stage.client.containers.get(wanted.name).attrs["NetworkSettings"]["Ports"].values()
    assert published["HostIp"] == "127.0.0.1"
