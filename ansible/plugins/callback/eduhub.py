"""What the operator sees of a playbook: a line a phase and host while it runs.

While a shift moves traffic, a terminal shows its state in lines that are rewritten: both slots of the one host, or a
line for each of several. Anything else gets a line a step.

It also writes what happened to the file named by EDUHUB_OUTCOME, for ansible/front to judge. With EDUHUB_SILENT=1 that
is all it does: beside Ansible's own callback for `--verbose`, alone for `--json`. EDUHUB_REQUEST is what the operator
asked for, EDUHUB_SEVERAL whether that is for several hosts.

Task variables it reads:
- `phase` (also of blocks, roles and plays) names the line;
- `show: true` makes the task's message the line's text;
- `announce: true` keeps the message for the end of the run: a mapping with the lines of `message` and the commands of
  `next`;
- `advisory: true`: the answer is for the playbook alone, and decides nothing;
- `failure: {code: STR, next: [[ARG, ...], ...]}`: the code and next commands of a failure of this task;
  `failure: {findings: true}`: it fails with the findings of the last task that had any;
- `reported: true`: a failure of this task repeats a failure that an answer or a task before it has reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

sys.path.append(str(Path(__file__).resolve().parents[2]))  # where front is, also for an Ansible started by hand
from front.arguments.request import Request
from front.output.layout import NARROWEST, columns, cut, next_lines, rendered
from front.output.traffic import TrafficView, traffic_in
from front.run.messages import Answer, Message, answers, failures, text_of

DOCUMENTATION = """
name: eduhub
type: stdout
short_description: a line a phase and host, and an outcome file
description: What operators of the EduHub stack see of a run.
"""

# Fields of answers that are kept in the outcome.
ANSWERED = (
    "status", "report", "python", "plone_python", "plone_version", "rolled", "releases", "backups", "trace", "plan",
    "patch",
)  # fmt: skip
SETUP = "setup"  # the phase of tasks that name none
REVERT = "revert"  # the phase in which an exit of 1 or 2 is no failure: reverted, or nothing to revert
MARKS = {"ok": ("✓", "32"), "changed": ("●", "33"), "failed": ("✗", "31")}  # with their colours
PHASE_COLUMN = 9
SIDE_BY_SIDE = 30  # columns that a message needs beside host and phase; in fewer it goes below them


class HostRun:
    """What one host did: the phase it is in, and its part of the outcome file."""

    def __init__(self) -> None:
        self.outcome: dict[str, Any] = {
            "phase": "", "phases": [], "failed": None, "unreachable": False, "changed": 0,
            "changed_in": [], "exits": {},
            "messages": [], "announced": [], "until": None, **dict.fromkeys(ANSWERED),
        }  # fmt: skip
        self.task = ""
        self.findings: list[Message] = []  # of the last module that returned some
        self.traffic: TrafficView | None = None
        self.steps = 0  # of the shift, that were shown
        self.within: float | None = None  # so many seconds after a disconnect, the host has ended its rollout by itself
        self.enter("")

    def fail(self, messages: Iterable[Message]) -> None:
        """Keep the messages of a failure, each once."""
        self.failed = True
        for message in messages:
            document = message.document()
            if document not in self.outcome["messages"]:
                self.outcome["messages"].append(document)
                self.failures.append(message)

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        self.phase = self.outcome["phase"] = phase
        self.started = time.monotonic()
        self.ran, self.failed, self.changes = False, False, 0
        self.message: Message | None = None
        self.notes: list[Message] = []
        self.failures: list[Message] = []


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
        self._request = Request.from_json(os.environ.get("EDUHUB_REQUEST", '{"verb": ""}'))
        self._several = os.environ.get("EDUHUB_SEVERAL") == "1"
        self._hosts: defaultdict[str, HostRun] = defaultdict(HostRun)
        self._play_vars: dict[str, Any] = {}
        self._printing = threading.Lock()
        self._over = threading.Event()

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ARG002 - Ansible's signature
        self._write_outcome(ended=False)
        if self._terminal:
            threading.Thread(target=self._show_progress, daemon=True).start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        # With `serial` each batch of hosts is a play: the hosts of the one before have ended their last phase.
        for name, run in self._hosts.items():
            self._close(name, run)
        self._play_vars = play.get_vars()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        run = self._hosts[host.get_name()]
        phase = str((self._play_vars | task.get_vars()).get("phase", SETUP))
        if phase != run.phase:
            self._close(host.get_name(), run)
            run.enter(phase)
            self._write_outcome(ended=False)
        run.task = task.get_name().rsplit(" : ", 1)[-1]
        self._show_step(host.get_name(), run, None)

    def v2_runner_retry(self, result: Any) -> None:
        if traffic := traffic_in(result.result):
            self._show_step(result.host.get_name(), self._hosts[result.host.get_name()], traffic)

    def v2_runner_on_ok(self, result: Any) -> None:
        variables = result.task.get_vars()
        if variables.get("announce"):  # it is no part of a phase
            announced = result.result["msg"]
            commands = [self._request.same_hosts(each) for each in announced["next"]]
            block = "\n".join([*announced["message"], "", *next_lines(commands)])
            self._hosts[result.host.get_name()].outcome["announced"].append(block)
            return
        run = self._take(result)
        if variables.get("show"):
            run.message = Message("", text_of(result.result))

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
            if not totals["failures"] and not totals["unreachable"]:  # each failure was rescued
                run.outcome |= {"failed": None, "messages": []}
            if not self._outcome:  # started by hand: no front closes the run
                self._print(*run.outcome["announced"], f"{name}: {json.dumps(totals)[1:-1]}")
        self._write_outcome(ended=True)

    def _take(self, result: Any) -> HostRun:
        """Note that a task ended on its host, and what was answered in it."""
        run = self._hosts[result.host.get_name()]
        if not run.ran:
            run.ran = True
            run.outcome["phases"].append(run.phase)
        if result.is_changed():
            run.changes += 1
            if run.phase not in run.outcome["changed_in"]:
                run.outcome["changed_in"].append(run.phase)
        if found := result.result.get("findings"):
            self._keep_findings(run, found)
        if not result.task.get_vars().get("advisory"):
            for answer in answers(result.result):
                self._take_answer(run, answer)
        return run

    def _keep_findings(self, run: HostRun, found: Any) -> None:
        with contextlib.suppress(KeyError, TypeError):
            # What verify finds has the next command in its message; here that is shown beside it.
            run.findings = [
                Message.from_fields({**each, "message": each.get("what") or each["message"]}) for each in found
            ]

    def _take_answer(self, run: HostRun, answer: Answer) -> None:
        run.message = Message(answer.code, answer.message, answer.next)
        run.notes += [Message("", text) for text in answer.data.get("notes") or ()]
        run.outcome["exits"][run.phase] = answer.exit
        run.outcome |= {name: answer.data[name] for name in ANSWERED if answer.data.get(name) is not None}
        run.within = answer.data.get("within", run.within)
        if answer.exit > 2 * (run.phase == REVERT):
            run.fail(answer.messages)

    def _fail(self, run: HostRun, result: Any) -> None:
        """Note that a task failed: the first failure names the phase, its message is shown."""
        variables = result.task.get_vars()
        reported = variables.get("reported") and run.outcome["messages"]
        if reported:
            run.failed = True
        elif not any(answer.exit for answer in answers(result.result)):
            name = result.task.get_name().rsplit(" : ", 1)[-1]
            told = variables.get("failure") or {}
            found = run.findings if told.get("findings") else []
            run.fail(found or failures(name, result.task.action, result.result, told))
            if "exit" in told:  # as an answer of the pilot has it
                run.outcome["exits"][run.phase] = told["exit"]
        if run.outcome["failed"] is None:
            run.outcome["failed"] = run.phase
        self._close(result.host.get_name(), run)

    def _close(self, name: str, run: HostRun) -> None:
        """Print the line of the phase that `run` is leaving, if anything ran in it."""
        if not run.ran or self._silent or (run.failed and not run.failures and not run.message):
            return  # nothing ran, or it only repeated why the run had failed
        state = "failed" if run.failures else "changed" if run.changes else "ok"
        plain = f"{run.changes} change{'s' * (run.changes != 1)}" if run.changes else "ok"
        messages = [*(run.failures or [run.message or Message("", plain)]), *run.notes]
        request = self._request.of_host(name) if self._several and run.failures else self._request
        left = f"{name:<{self._column}}  {run.phase:<{PHASE_COLUMN}}  "
        seconds = f"{time.monotonic() - run.started:.1f} s"
        width = columns() - len(left) - 4
        mark, colour = MARKS[state]
        mark = f"\033[{colour}m{mark}\033[0m" if self._colour else mark
        if width < SIDE_BY_SIDE:
            lines = [line for each in messages for line in rendered(each, request, max(columns() - 4, NARROWEST))]
            self._print(f"  {mark} {left.rstrip()}  {seconds}", *(f"    {line}" for line in lines))
        else:
            text = max(width - len(seconds) - 2, NARROWEST)
            first, *more = [line for each in messages for line in rendered(each, request, text)] or [""]
            self._print(f"  {mark} {left}{first:<{width - len(seconds)}}{seconds}")
            self._print(*(" " * (len(left) + 4) + line for line in more))
        run.ran = False

    def _print(self, *lines: str) -> None:
        with self._printing, contextlib.suppress(OSError):  # a reader that went away does not stop the run
            self._transient()
            for line in lines:
                self._display.display(line)
            sys.stdout.flush()

    def _show_step(self, name: str, run: HostRun, traffic: TrafficView | None) -> None:
        """Take in how traffic stands; where lines cannot be rewritten, print each step once it is over.

        Before the first step, and without requests, there is nothing to show.
        """
        last, run.traffic = run.traffic, traffic
        stays = last and traffic and (traffic.percent, traffic.to) == (last.percent, last.to)
        if last and not stays and last.rows and (last.percent or run.steps):
            run.steps += 1
            if not self._terminal and not self._silent:
                self._print(f"  … {name:<{self._column}}  {run.phase:<{PHASE_COLUMN}}  {last.line}")

    def _show_progress(self) -> None:
        """Rewrite some lines once a second while a phase lasts, in a terminal only."""
        while not self._over.wait(1.0):
            lines = self._progress()
            with self._printing:
                if lines and not self._over.is_set():
                    self._transient(*lines)

    def _progress(self) -> list[str]:
        """Return how traffic stands where it is shifted, else the task that the latest phase is at."""
        hosts, now = list(self._hosts.items()), time.monotonic()
        shifting = [(name, run, run.traffic) for name, run in hosts if run.traffic]
        if not shifting:
            name, run = max(hosts, key=lambda pair: pair[1].started, default=("", HostRun()))
            where = name if len(hosts) == 1 else f"{len(hosts)} hosts"
            return [self._left(where, run, now) + run.task] if now - run.started > 2 else []
        if len(shifting) > 1:
            return [self._left(name, run, now) + traffic.line for name, run, traffic in shifting]
        name, run, traffic = shifting[0]
        return [self._left(name, run, now) + traffic.title, *(" " * (self._column + 6) + row for row in traffic.table)]

    def _left(self, where: str, run: HostRun, now: float) -> str:
        return f"  … {where:<{self._column}}  {run.phase:<{PHASE_COLUMN}}  {now - run.started:.0f} s  "

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
