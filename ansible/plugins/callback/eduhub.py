"""What the operator sees of a playbook: a line a phase and host while it runs.

While a shift moves traffic, a terminal shows how it stands, in lines that are rewritten: both slots of the one host, or
a line for each of several. Anything else gets a line a step.

It also writes what happened to the file named by EDUHUB_OUTCOME, for ansible/front to judge. With EDUHUB_SILENT=1 that
is all it does: beside Ansible's own callback for `--verbose`, alone for `--json`.

Task variables it knows: `phase` (also of blocks, roles and plays) names the line; `say: true` makes the task's message
the line's sentence; `announce: true` keeps the message for the end of the run; `code: N` is the exit code that a
failure of this task stands for.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped] # has no types

sys.path.append(str(Path(__file__).resolve().parents[2]))  # where front is, also for an Ansible started by hand
from front import sentences
from front.typed import located
from front.view import View, cut, view_of

DOCUMENTATION = """
name: eduhub
type: stdout
short_description: a line a phase and host, and an outcome file
description: What operators of the EduHub stack see of a run.
"""

SETUP = "setup"  # the phase of tasks that name none
UNDOING = "revert"  # the phase in which the pilot's codes 1 and 2 are no complaints: undone, nothing to undo
MARKS = {"ok": ("✓", "32"), "changed": ("●", "33"), "failed": ("✗", "31")}  # with their colours


class HostRun:
    """What one host did: the phase it is in, and its part of the outcome file."""

    def __init__(self) -> None:
        self.outcome: dict[str, Any] = {
            "phase": "", "phases": [], "failed": None, "unreachable": False, "changed": 0, "pilot": {}, "code": None,
            "says": [], "announced": [], "status": None, "report": None,
            "rolled": None, "until": None,
        }  # fmt: skip
        self.task = ""
        self.view: View | None = None
        self.steps = 0  # of the shift, that were told
        self.within: float | None = None  # so many seconds after it is lost, the host has ended its rollout by itself
        self.said: set[str] = set()
        self.enter("")

    def complain(self, complaints: list[str], *also: str) -> None:
        """Keep the complaints that were not made before; `also` are the same in other words."""
        new = sentences.new_in(complaints, self.said)
        self.failed = True
        self.failures += new
        self.outcome["says"] += new
        self.said |= {*also, *(form for complaint in new for form in sentences.heads(complaint))}

    def enter(self, phase: str) -> None:
        self.phase = self.outcome["phase"] = phase
        self.started = time.monotonic()
        self.ran, self.failed, self.changes, self.sentence = False, False, 0, ""
        self.failures: list[str] = []


class CallbackModule(CallbackBase):  # type: ignore[misc] # its base has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "eduhub"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        # Taken out of the environment: an Ansible that a task starts shall not write there too.
        self._outcome = os.environ.pop("EDUHUB_OUTCOME", "")
        self._silent = os.environ.pop("EDUHUB_SILENT", "0") == "1"
        self._terminal = sys.stdout.isatty() and not self._silent and os.environ.get("TERM") != "dumb"
        self._colour = self._terminal and "NO_COLOR" not in os.environ
        self._column = int(os.environ.get("EDUHUB_COLUMN", "9"))
        self._again = os.environ.get("EDUHUB_AGAIN", "")
        self._hosts: defaultdict[str, HostRun] = defaultdict(HostRun)
        self._play_vars: dict[str, Any] = {}
        self._printing = threading.Lock()
        self._over = threading.Event()

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ARG002 - Ansible's signature
        self._write_outcome(ended=False)
        if self._terminal:
            threading.Thread(target=self._show_life, daemon=True).start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play_vars = play.get_vars()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        run = self._hosts[host.get_name()]
        phase = str((self._play_vars | task.get_vars()).get("phase", SETUP))
        if phase != run.phase:
            self._close(host.get_name(), run)
            run.enter(phase)
            self._write_outcome(ended=False)
        run.task = task.get_name().rsplit(" : ", 1)[-1]
        self._show(host.get_name(), run, None)

    def v2_runner_retry(self, result: Any) -> None:
        if view := view_of(result.result):
            self._show(result.host.get_name(), self._hosts[result.host.get_name()], view)

    def v2_runner_on_ok(self, result: Any) -> None:
        variables = result.task.get_vars()
        if variables.get("announce"):  # it is no part of a phase
            self._hosts[result.host.get_name()].outcome["announced"].append(sentences.message_of(result.result))
            return
        run = self._take(result)
        if variables.get("say"):
            run.sentence = sentences.message_of(result.result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        run = self._take(result)
        if not ignore_errors:
            self._fail(run, result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        run = self._take(result)
        if not result.task.ignore_unreachable:
            run.outcome["unreachable"] = True
            if run.within is not None:
                until = datetime.now(UTC) + timedelta(seconds=run.within)
                run.outcome["until"] = until.isoformat(timespec="seconds").replace("+00:00", "Z")
            self._fail(run, result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._over.set()
        for name, run in self._hosts.items():
            self._close(name, run)
            totals = stats.summarize(name)
            run.outcome["changed"] = totals["changed"]
            if not totals["failures"] and not totals["unreachable"]:  # whatever failed was rescued
                run.outcome |= {"failed": None, "code": None, "says": []}
            if not self._outcome:  # started by hand: nobody else closes the run
                self._print(*run.outcome["announced"], f"{name}: {json.dumps(totals)[1:-1]}")
        self._write_outcome(ended=True)

    def _take(self, result: Any) -> HostRun:
        """Note that a task ended on its host, and what the pilot said in it."""
        run = self._hosts[result.host.get_name()]
        if not run.ran:
            run.ran = True
            run.outcome["phases"].append(run.phase)
        run.changes += bool(result.is_changed())
        if result.task.get_vars().get("asks"):  # what is only asked decides nothing by itself
            return run
        for answer in sentences.pilot_answers(result.result):
            run.sentence = answer["say"]
            run.outcome["pilot"][run.phase] = answer["code"]
            run.outcome |= {name: answer[name] for name in ("status", "report", "rolled") if answer.get(name)}
            run.within = answer.get("within", run.within)
            if answer["code"] > 2 * (run.phase == UNDOING):
                run.complain(sentences.sentences_of(answer), answer["say"])
            run.said.add(answer["say"])
        return run

    def _fail(self, run: HostRun, result: Any) -> None:
        """Note that a task failed: the first failure names the phase, its sentence is shown."""
        name = result.task.get_name().rsplit(" : ", 1)[-1]
        if not any(sentences.pilot_answers(result.result)):
            run.complain(sentences.failures_of(name, result.task.action, result.result))
        if run.outcome["failed"] is None:
            run.outcome |= {"failed": run.phase, "code": result.task.get_vars().get("code")}
        self._close(result.host.get_name(), run)

    def _close(self, name: str, run: HostRun) -> None:
        """Print the line of the phase that `run` is leaving, if anything ran in it."""
        if not run.ran or self._silent or (run.failed and not run.failures and not run.sentence):
            return  # nothing ran, or it only said again why the run had failed
        state = "failed" if run.failures else "changed" if run.changes else "ok"
        plain = f"{run.changes} change{'s' * (run.changes != 1)}" if run.changes else "ok"
        sentence = located("\n".join(run.failures) or run.sentence or plain, self._again)
        left = f"{name:<{self._column}}  {run.phase:<9}  "
        seconds = f"{time.monotonic() - run.started:.1f} s"
        width = columns() - len(left) - 4
        first, *more = list(sentences.wrapped(sentence, max(width - len(seconds) - 2, 20))) or [""]
        mark, colour = MARKS[state]
        mark = f"\033[{colour}m{mark}\033[0m" if self._colour else mark
        self._print(f"  {mark} {left}{first:<{max(width - len(seconds), 20)}}{seconds}")
        self._print(*(" " * (len(left) + 4) + line for line in more))
        run.ran = False

    def _print(self, *lines: str) -> None:
        with self._printing, contextlib.suppress(OSError):  # a reader that went away is no reason to stop
            self._transient()
            for line in lines:
                self._display.display(line)
            sys.stdout.flush()

    def _show(self, name: str, run: HostRun, view: View | None) -> None:
        """Take in how traffic stands now, if it moves; where nothing can be rewritten, tell each step once it is over.

        Before the first step, and with nobody asking, there is nothing to tell.
        """
        last, run.view = run.view, view
        stays = last and view and (view.percent, view.to) == (last.percent, last.to)
        if last and not stays and last.rows and (last.percent or run.steps):
            run.steps += 1
            if not self._terminal and not self._silent:
                self._print(f"  … {name:<{self._column}}  {run.phase:<9}  {last.line}")

    def _show_life(self) -> None:
        """Rewrite some lines once a second while a phase lasts, in a terminal only, to show that it is alive."""
        while not self._over.wait(1.0):
            lines = self._living()
            with self._printing:
                if lines and not self._over.is_set():
                    self._transient(*lines)

    def _living(self) -> list[str]:
        """Return what lasts: how traffic stands, where it moves, else the task that the youngest phase is at."""
        hosts, now = list(self._hosts.items()), time.monotonic()
        moving = [(name, run, run.view) for name, run in hosts if run.view]
        if not moving:
            name, run = max(hosts, key=lambda pair: pair[1].started, default=("", HostRun()))
            who = name if len(hosts) == 1 else f"{len(hosts)} hosts"
            return [self._left(who, run, now) + run.task] if now - run.started > 2 else []
        if len(moving) > 1:
            return [self._left(name, run, now) + view.line for name, run, view in moving]
        name, run, view = moving[0]
        return [self._left(name, run, now) + view.title, *(" " * (self._column + 6) + row for row in view.table)]

    def _left(self, who: str, run: HostRun, now: float) -> str:
        return f"  … {who:<{self._column}}  {run.phase:<9}  {now - run.started:.0f} s  "

    def _transient(self, *lines: str) -> None:
        """Show lines that the next ones overwrite: the cursor stays where they begin, whatever comes then is in order.

        Past Python's buffers, whose locks a fork could copy while held.
        """
        if not self._terminal:
            return
        width, height = terminal()
        shown = [cut(line, width - 1) for line in lines[: height - 1]]
        up = f"\033[{len(shown) - 1}A" if len(shown) > 1 else ""
        os.write(sys.stdout.fileno(), ("\r\033[J" + "\n".join(shown) + up).encode())

    def _write_outcome(self, *, ended: bool) -> None:
        """Write what is known, by temporary file and rename, so that a reader never sees half of it."""
        if self._outcome:
            hosts = {name: run.outcome for name, run in self._hosts.items()}
            half = Path(f"{self._outcome}.half")
            half.write_text(json.dumps({"hosts": hosts, "ended": ended}), encoding="utf-8")
            half.rename(self._outcome)


def terminal() -> tuple[int, int]:
    """Return how many columns and lines the terminal has now, whatever the environment says; not fewer than two."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 80, 24
    return max(size.columns or 80, 2), max(size.lines or 24, 2)


def columns() -> int:
    """Return how many characters a line may have."""
    return min(max(shutil.get_terminal_size((100, 24)).columns, 60), 110)
