"""What a test does as an operator does it: typing `./invoke`, looking from outside, killing what may be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from builder.catalogue import load, pythons
from tests.rotation import of_the_day

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
# Another one, of another stack and other ports, lets the stories run beside those of somebody else on this machine.
INVENTORY = Path(os.environ.get("EDUHUB_TEST_INVENTORY", CHECKOUT / "tests/rollout/inventory"))
_VARIABLES = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["vars"]
STACK: str = _VARIABLES["eduhub_stack"]
STATE = Path("/var/lib") / STACK
URL = f"http://127.0.0.1:{_VARIABLES['edge_port']}"
PASSWORD = Path("/etc") / STACK / "secrets/plone_admin_password"
LADDER = pythons(load(), "bridge")
# The stories go from OLD to NEW and back: neighbours on the ladder on one day, its ends on another.
OLD, NEW = sorted(of_the_day(LADDER, 2), key=LADDER.index)
OLDEST, NEWEST = LADDER[0], LADDER[-1]
# The load generator makes documents too, as the administrator.
WITH_DOCUMENTS = ("--user", "admin", "--password-file", str(PASSWORD))


@dataclass(frozen=True)
class Operator:
    """Somebody with a checkout and an inventory."""

    inventory: Path = INVENTORY

    def command(self, *words: str) -> list[str]:
        return [str(CHECKOUT / "invoke"), *words, "--inventory", str(self.inventory)]

    def types(self, *words: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run `./invoke words` and return what it printed, stderr included, and its exit code."""
        done = subprocess.run(
            self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip
        print(f"$ ./invoke {' '.join(words)}\n{done.stdout}[exit {done.returncode}]")
        return done

    def upgrades_without_a_python(self, file: Path) -> subprocess.CompletedProcess[str]:
        """Upgrade as a plan in `file` says, which may name no Python: a foreign bridge has none."""
        planned = self.types("plan", "--out", str(file))
        return planned if planned.returncode else self.types("upgrade", "--plan", str(file))

    @contextmanager
    def typing(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run `./invoke words` in a session of its own, as a terminal does; end it if the test did not."""
        running = subprocess.Popen(
            self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGTERM)
                running.wait(timeout=120)

    def status(self) -> dict[str, Any]:
        """The only host's object of `status --json`."""
        done = subprocess.run(
            self.command("status", "--json"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
        (host,) = json.loads(done.stdout)["hosts"].values()
        return dict(host)

    def with_variables(self, folder: Path, **variables: Any) -> Operator:
        """The same operator with an inventory that also sets `variables`."""
        shutil.copytree(self.inventory, folder)
        hosts = yaml.safe_load((folder / "hosts.yml").read_text())
        hosts["all"]["vars"].update(variables)
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
        return Operator(folder)


def folded(text: str) -> str:
    """Return `text` with each run of white space as one space: a table folds its sentences."""
    return " ".join(text.split())


def docker(*words: str) -> str:
    """Run the docker client; return what it printed."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=300, check=True).stdout.strip()


def kill_nine(container: str) -> None:
    """Kill the container's first process as a fault would; `docker kill` would count as the operator's own stop."""
    os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)


def until(what: str, true: Callable[[], Any], seconds: float, pause: float = 0.05) -> Any:
    """Wait until `true()` is; return it. Fails, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := true():
            return answer
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds} s")


def answered_by(path: str = "/health/live") -> str | None:
    """The slot that answers the public address now; None when nobody does."""
    try:
        with urllib.request.urlopen(URL + path, timeout=5) as answer:
            return str(answer.headers["X-EduHub-Slot"])
    except OSError:
        return None


def journal() -> list[dict[str, Any]]:
    """The lines of the host's journal, as far as they are written."""
    path = STATE / "journal.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@dataclass(frozen=True)
class LoadGenerator:
    """The load generator (`tests.load`), a process of its own: started, left running, asked for its result."""

    folder: Path
    process: subprocess.Popen[bytes]

    @classmethod
    @contextmanager
    def running(
        cls, folder: Path, seconds: int, *options: str, url: str = URL, warm: bool = False
    ) -> Iterator[LoadGenerator]:
        """Put load on the public address `url` for `seconds` at most, ended with the block; `options` are its own.

        With `warm`, the block begins once every stream has had answers for some seconds.
        """
        folder.mkdir(exist_ok=True)
        words = [
            sys.executable, "-m", "tests.load", "--url", url, "--seconds", str(seconds),
            "--out", str(folder / "result.json"), "--events", str(folder / "events.jsonl"),
            "--until-file", str(folder / "enough"), *options,
        ]  # fmt: skip
        process = subprocess.Popen(words, cwd=CHECKOUT, stdin=subprocess.DEVNULL)
        try:
            load = cls(folder, process)
            if warm:
                until("the load runs", lambda: load.requests() > 200, 60, pause=0.5)
            yield load
        finally:
            process.kill()
            process.wait()

    def requests(self) -> int:
        """How many requests have ended; fails where the load generator itself did."""
        assert self.process.poll() is None, "the load generator ended by itself"
        events = self.folder / "events.jsonl"
        return len(events.read_text().splitlines()) if events.exists() else 0

    def result(self) -> dict[str, Any]:
        """End the load, and return its result."""
        (self.folder / "enough").touch()
        return self.wait()

    def wait(self) -> dict[str, Any]:
        """Wait for the load to end by itself, and return its result."""
        assert self.process.wait(timeout=600) in {0, 1}
        return dict(json.loads((self.folder / "result.json").read_text()))

    def events(self) -> list[dict[str, Any]]:
        """Every request, in the order they ended."""
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]


def touched(stack: str = STACK) -> str:
    """What a refused command must not change: the stack's containers, when they were made and started."""
    names = docker("ps", "--all", "--quiet", "--filter", f"label=org.eduhub.stack={stack}").split()
    return docker("inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}}", *names) if names else ""
