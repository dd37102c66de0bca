"""Plays one playbook for an operator: starts ansible-playbook, and ends it, undoing the run, when interrupted."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from front.arguments.request import Request
from front.run.outcome import Outcome

# How an interrupted ansible-playbook is stopped, which has workers to end: signals, and seconds to wait after each.
STOP_SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
# What ansible.cfg and the playbooks decide, and no environment that is meant for other playbooks: in which order hosts
# and tasks come, whether one host's failure ends the play, where roles and modules are, what a host logs.
DECIDED_HERE = frozenset({
    "ANSIBLE_ACTION_PLUGINS", "ANSIBLE_ANY_ERRORS_FATAL", "ANSIBLE_ENABLE_TASK_DEBUGGER", "ANSIBLE_FORCE_HANDLERS",
    "ANSIBLE_GATHERING", "ANSIBLE_INJECT_FACT_VARS", "ANSIBLE_LIBRARY", "ANSIBLE_MODULE_UTILS", "ANSIBLE_NO_LOG",
    "ANSIBLE_NO_TARGET_SYSLOG", "ANSIBLE_PRIVATE_ROLE_VARS", "ANSIBLE_ROLES_PATH", "ANSIBLE_RUN_TAGS",
    "ANSIBLE_SKIP_TAGS", "ANSIBLE_STRATEGY", "ANSIBLE_TASK_TIMEOUT",
})  # fmt: skip
RECOVERY_SECONDS = 300.0
RECOVERY = "recover"


def new_id() -> str:
    """Return the id of a run: when it began, in UTC, and two random bytes."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class Run:
    """One run of one playbook.

    `inventory`: the path of the request's inventory; `column`: the width of the host names; `several`: whether it is
    about more than one. `only`: play on these hosts
    alone, side by side; without, on all that the request names. `canary`: the one that rehearses the rollback.
    `planned`: the fingerprint of each host in the plan that the run is held to. `serving`: the hosts of the inventory
    that take traffic, `idle`: those that are known to take none, where that was asked.
    """

    request: Request
    inventory: Path
    checkout: Path
    verbose: bool = False
    check: bool = False
    json: bool = False
    column: int = 9
    several: bool = False
    only: Sequence[str] = ()
    canary: str = ""
    planned: Mapping[str, str] = field(default_factory=dict)
    serving: Sequence[str] = ()
    idle: Sequence[str] = ()
    id: str = field(default_factory=new_id)
    owner: str = field(default_factory=lambda: f"{user()}@{socket.gethostname()}")

    def command(self, playbook: str) -> list[str]:
        """Return the words that play ansible/playbooks/`playbook`.yml for this run."""
        given: dict[str, Any] = {"eduhub_run": self.id, "eduhub_owner": self.owner, "eduhub_verb": self.request.verb}
        given |= {"eduhub_checkout": str(self.checkout)}
        given |= {"eduhub_batch": len(self.only), "eduhub_canary": self.canary} if self.only else {}
        given |= {"eduhub_fingerprints": dict(self.planned)} if self.planned else {}
        given |= {"eduhub_serving": list(self.serving)} if self.serving else {}
        given |= {"eduhub_idle": list(self.idle)} if self.idle else {}
        limit = ",".join(self.only) or self.request.limit
        words = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory", str(self.inventory)]
        words += ["--limit", limit] if limit else []
        words += ["--check", "--diff"] if self.check else []
        words += ["-v"] if self.verbose else []
        words += ["--extra-vars", json.dumps({**given, **self.request.values})]
        return [*words, f"ansible/playbooks/{playbook}.yml"]

    def environment(self, outcome: Path) -> dict[str, str]:
        """Return the environment for ansible-playbook; the callback writes what happened to the file `outcome`."""
        silent = self.verbose or self.json
        return {
            **{name: value for name, value in os.environ.items() if name not in DECIDED_HERE},
            "ANSIBLE_CONFIG": str(self.checkout / "ansible/ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(self.checkout / "ansible/plugins/callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "eduhub",
            "ANSIBLE_STDOUT_CALLBACK": "default" if self.verbose else "eduhub",
            "EDUHUB_COLUMN": str(self.column),
            "EDUHUB_OUTCOME": str(outcome),
            "EDUHUB_REQUEST": self.request.to_json(),
            "EDUHUB_SEVERAL": "1" if self.several else "0",
            "EDUHUB_SILENT": "1" if silent else "0",
            "LC_ALL": "C.UTF-8",
        }


@dataclass(frozen=True)
class Played:
    """How a run ended: Ansible's exit code, what the callback wrote, and what Ansible printed as its own error."""

    returned: int
    outcome: Outcome | None
    stderr: str
    interrupted: bool


class Signals:
    """Counts what asks this process to end (Ctrl-C, SIGTERM, a closed terminal) instead of dying of it."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._note) for number in ENDING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def user() -> str:
    """Return who runs this; the number where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def show(*lines: str, stream: TextIO | None = None) -> None:
    """Print lines, if there are any; a terminal that has gone away is no reason to stop."""
    out = stream or sys.stdout
    try:
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def note(line: str) -> None:
    """Print a line on stderr: `--json` stays one document on stdout."""
    # What Ansible's callback was about to rewrite is over.
    rest = "\033[J" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else ""
    show(f"{line}{rest}", stream=sys.stderr)


def play(run: Run, playbook: str, signals: Signals) -> Played:
    """Play `playbook` until it ends or a signal comes; then end it and say that it was interrupted."""
    return supervised(run, playbook, lambda child: wait_or_stop(child, signals))


def recover(run: Run, signals: Signals) -> Played:
    """Undo what the interrupted `run` left, on every host; a signal does not stop that, it is only acknowledged."""
    note(f"Undoing run {run.id}, please wait.")
    heard = signals.count  # before it starts: every later signal is acknowledged
    return supervised(run, RECOVERY, lambda child: wait_regardless(child, signals, heard), relay=True)


def supervised(
    run: Run, playbook: str, wait: Callable[[subprocess.Popen[str]], bool], *, relay: bool = False
) -> Played:
    """Start ansible-playbook in a session of its own, so that a Ctrl-C reaches us alone, and `wait` for its end.

    With `relay` its output comes through us: it must outlive a terminal that closes.
    """
    with tempfile.TemporaryDirectory(prefix="eduhub-") as folder:
        outcome, errors = Path(folder, "outcome.json"), Path(folder, "stderr")
        with errors.open("w") as stderr:
            child = subprocess.Popen(
                run.command(playbook), cwd=run.checkout, env=run.environment(outcome), text=True,
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if relay else None,
                stderr=None if run.verbose else stderr,
            )  # fmt: skip
            relaying = threading.Thread(target=pass_on, args=(child.stdout or (),), daemon=True)
            relaying.start()
            interrupted = wait(child)
            relaying.join(timeout=5)
        return Played(child.returncode, written(outcome), errors.read_text(errors="replace"), interrupted)


def pass_on(lines: Iterable[str]) -> None:
    """Print what a child prints, as it comes."""
    for line in lines:
        show(line.rstrip("\n"))


def wait_or_stop(child: subprocess.Popen[str], signals: Signals) -> bool:
    """Wait for `child`; end it when a signal comes. Return whether one did."""
    while not ended(child, 0.1):
        if signals.count:
            note("\nInterrupted: stopping, please wait.")
            stop(child)
            return True
    return False


def wait_regardless(child: subprocess.Popen[str], signals: Signals, heard: int) -> bool:
    """Wait for `child`, acknowledging the signals after the first `heard`, for RECOVERY_SECONDS at most.

    Return whether it had to be ended.
    """
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not ended(child, 0.1):
        if signals.count > heard:
            heard = signals.count
            note("Undoing, please wait.")
        if time.monotonic() > deadline:
            stop(child)
            return True
    return False


def stop(child: subprocess.Popen[str]) -> None:
    """End our own child: as Ctrl-C does, then harder."""
    for number, seconds in STOP_SIGNALS:
        child.send_signal(number)
        if ended(child, seconds):
            return


def ended(child: subprocess.Popen[str], seconds: float) -> bool:
    """Wait up to `seconds` for `child`; return whether it has ended."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def written(path: Path) -> Outcome | None:
    """Return the outcome that the callback wrote; None when it did not come to that."""
    try:
        return Outcome.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
