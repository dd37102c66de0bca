"""How a verb ends: what is shown of it, and its exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.rollout import Fleet
from front.images.ladder import ended_lines, ends, today
from front.output import closing
from front.output.fleet import ending, mixed_document
from front.output.layout import columns, next_lines
from front.output.trace_table import trace_table
from front.report import files
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED, fleet_exit, partly, run_exit, waits
from front.run.outcome import Outcome
from front.run.play import Played, Run, note, show
from front.verbs import checkout, trace


def told(words: Sequence[str], code: int, messages: Sequence[str], commands: Sequence[str]) -> int:
    """Say why nothing can be played, and what to type next; with --json also as a document. Return the exit code."""
    show(*(f"invoke: {message}" for message in messages), *next_lines(commands), stream=sys.stderr)
    if "--json" in words:
        show(json.dumps(closing.hostless_document(code, messages, commands), indent=2))
    return code


def hostless(request: Request, code: int, why: Sequence[str], *, data: bool, interrupted: bool = False) -> int:
    """Show the end of a run that no host has a result of: the lines `why`, and what is left; return its exit code."""
    lines = [*why, *([""] if why else []), *closing.result_lines(code, request, columns(), interrupted=interrupted)]
    show(*lines, stream=sys.stderr if data else sys.stdout)
    if data:
        text, commands = closing.result(code, request, interrupted=interrupted)
        show(json.dumps(closing.hostless_document(code, [*why, text], commands), indent=2))
    return code


def closed(run: Run, names: Sequence[str], done: Played, waves: Fleet | None, needed: Sequence[str] = ()) -> int:
    """Show the result of a run; return its exit code.

    `needed`: the hosts without which it is no success, though Ansible took it for one.
    """
    request, width = run.request, columns()
    code = (fleet_exit if waves else run_exit)(done.returned, done.outcome)
    left_out = [name for name in needed if done.outcome and name not in done.outcome.hosts] if code == DONE else []
    if left_out:
        code = NEEDS_PERSON
        note(closing.left_out_line(left_out))
    if done.outcome is None or not done.outcome.ended:
        words = closing.last_words(done.stderr)
        return hostless(request, code, words, data=run.json, interrupted=done.interrupted)
    check_some(request, names, done.outcome, code)
    if request.verb == "trace" and code == DONE:
        trace.check_found(request.values["eduhub_request"], names, done.outcome)
    if request.verb == "report":
        show(*files.written(request, names, done.outcome, checkout.PATH, data=run.json))
    elif run.json:
        for line in closing.failure_lines(done.outcome, request, width):
            note(line)
        over = ends(done.outcome, checkout.ladder(), today())
        document = closing.document(request.verb, done.outcome, code, over, names)
        document |= mixed_document(done.outcome.hosts, request) if request.verb == "status" else {}
        show(json.dumps(document, indent=2))
    elif (traced := trace_table(done.outcome.hosts)) and code == DONE:
        show("", *traced)
    else:
        show(*(["", *traced] if traced else []))  # of those hosts that could be asked
        hosts, last = done.outcome.hosts, None
        in_turns = request.verb in {"deploy", "rollback"}
        if waves or partly(hosts.values()) or (in_turns and any(map(waits, hosts.values()))):
            why = waves.why if waves else ""
            last = ending(request, hosts, code, why, width, interrupted=done.interrupted)
        show(*closing.closing(request, names, done.outcome, code, width, interrupted=done.interrupted, fleet=last))
        if request.verb != "destroy":
            show(*ended_lines(done.outcome, checkout.ladder(), request, today(), width))
    return code


def check_some(request: Request, names: Sequence[str], outcome: Outcome, code: int) -> None:
    """Raise RefusalError where a run was over without coming to any of the hosts `names`."""
    if code == REFUSED and not outcome.hosts:
        raise RefusalError(closing.no_host(request, names))
