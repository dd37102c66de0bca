"""Each fault of the matrix, done to the machine or to its operator, and undone once its time is over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.rollout.faults.host import INNER, NAME, URL, Host
from tests.rollout.faults.judge import Blow
from tests.rollout.operator import docker, until

CUT_SECONDS = 8
# A run of the pilot is a process of one word after the package's name; it is killed as soon as it is seen.
KILL_PILOT = """
import os, signal, sys, time
words = sys.argv[1].split()
until = time.monotonic() + 90
while time.monotonic() < until:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if file.read().split("\\0")[:4] == ["python3", "-m", "eduhub_pilot", *words]:
                    os.kill(int(pid), signal.SIGKILL)
                    sys.exit(0)
        except OSError:
            pass
    time.sleep(0.02)
sys.exit(1)
"""


def strike(host: Host, fault: str, slot: str, running: subprocess.Popen[str]) -> Blow:
    """Do `fault` while the command `running` moves traffic to `slot`; return how the public may feel it."""
    began = time.time()
    cuts, dark = BLOWS[fault](host, slot, running)
    return Blow(began, time.time(), cuts, dark)


def mend(host: Host, fault: str) -> None:
    """Undo what does not go away by itself; to be called in any case, and again without harm."""
    if fault == "disk":
        (host.state / "fill").unlink(missing_ok=True)
    if fault in {"plone", "reboot"}:
        host.does(f"docker start {INNER}-plone")
        until("Plone answers", plone_answers, 120, pause=0.5)
    if fault in {"dockerd", "reboot", "ssh"}:
        # Three starts within a minute are what systemd allows; this is the only machine that is struck so often.
        host.does("systemctl reset-failed docker ssh; systemctl start docker ssh")


def plone_answers() -> bool:
    """Return whether Plone answers through the edge, asked for what no bridge has stored."""
    page = f"{URL}/plone/@search?b_size=1&asked={time.time_ns()}"
    return subprocess.run(["curl", "-fsSo", "/dev/null", "-m", "10", "-H", "Accept: application/json", page],
                          capture_output=True, timeout=20, check=False).returncode == 0  # fmt: skip


def kill_operator(running: subprocess.Popen[str], host: Host) -> None:
    """Kill -9 everything that the command started, its ssh connections too, which are nobody's children."""
    for pid in [running.pid, *_descendants(running.pid), *_naming(str(host.key))]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(after[1]), []).append(int(stat.parent.name))
    found, ahead = [], [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def _naming(word: str) -> list[int]:
    """Return the processes whose command line names `word`: the key is this test's alone."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in line.read_bytes():
                found.append(int(line.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def _controller(host: Host, _slot: str, running: subprocess.Popen[str]) -> tuple[None, bool]:
    kill_operator(running, host)
    return None, False


def _ctrl_c(_host: Host, _slot: str, running: subprocess.Popen[str]) -> tuple[None, bool]:
    os.killpg(running.pid, signal.SIGINT)
    return None, False


def _ssh(host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[None, bool]:
    host.does("systemctl stop ssh; pkill -9 -x sshd")
    docker("exec", "--detach", NAME, "sh", "-c", f"sleep {CUT_SECONDS}; systemctl start ssh")
    return None, False


def _dockerd(host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[None, bool]:
    host.does("pkill -9 -x dockerd")
    return None, False


def _haproxy(host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[str, bool]:
    host.does("pkill -9 -x haproxy")
    return "edge", False


def _kill_container(host: Host, slot: str) -> None:
    host.does(f"kill -9 $(docker inspect -f '{{{{.State.Pid}}}}' {INNER}-{slot})")


def _new(host: Host, slot: str, _running: subprocess.Popen[str]) -> tuple[str, bool]:
    _kill_container(host, slot)
    return slot, False


def _old(host: Host, slot: str, _running: subprocess.Popen[str]) -> tuple[str, bool]:
    old = {"blue": "green", "green": "blue"}[slot]
    _kill_container(host, old)
    return old, False


def _reboot(_host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[str, bool]:
    docker("kill", NAME)
    docker("start", NAME)
    return "edge", True


def _disk(host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[None, bool]:
    with suppress(OSError), (host.state / "fill").open("wb", buffering=0) as file:
        for size in (65536, 512, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    return None, False


def _plone(host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[None, bool]:
    host.does(f"docker kill {INNER}-plone")
    return None, True


def _pilot(_host: Host, _slot: str, _running: subprocess.Popen[str]) -> tuple[None, bool]:
    return None, False  # done by `PilotKiller`, which has to be there before the pilot is


BLOWS: dict[str, Callable[[Host, str, subprocess.Popen[str]], tuple[str | None, bool]]] = {
    "controller": _controller, "ctrl-c": _ctrl_c, "ssh": _ssh, "pilot": _pilot, "dockerd": _dockerd,
    "haproxy": _haproxy, "new": _new, "old": _old, "reboot": _reboot, "disk": _disk, "plone": _plone,
}  # fmt: skip


class PilotKiller:
    """Waits in the machine for a pilot that does `verb`, and kills the first one that it sees."""

    def __init__(self, verb: str) -> None:
        words = ["docker", "exec", NAME, "python3", "-c", KILL_PILOT, verb]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def done(self) -> bool:
        """Whether it has killed one; AssertionError when it gave up."""
        code = self.process.poll()
        assert code in {None, 0}, f"no pilot to kill: {self.process.communicate()[0]}"
        return code == 0

    def end(self) -> None:
        """Stop waiting."""
        self.process.kill()
        self.process.communicate(timeout=10)
