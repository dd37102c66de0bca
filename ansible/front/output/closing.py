"""What opens and closes a run: header, result as JSON, what it leaves, the next command. Pure: returns lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from front.arguments.request import Request
from front.output.disconnected import disconnected_messages
from front.output.fleet import listed, mixed_lines, without
from front.output.host_table import host_table, is_worth_showing
from front.output.layout import next_lines, rendered, wrapped
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED, REVERTED, disconnected, host_exit, result_of
from front.run.outcome import Host, Outcome

CHANGING = frozenset({"deploy", "upgrade", "rollback", "confirm", "destroy"})
# Fields of a host that only some verbs fill.
ON_DEMAND = ("rolled", "releases", "backups", "trace", "patch")
# Answers that the same command gets again, however often it is typed: their own next commands are the ones to type.
OTHER_COMMAND = frozenset({
    "backup_not_fresh", "backup_unknown", "consent_missing", "copy_unknown", "maintenance_unknown", "not_debian",
    "patch_unfinished", "release_unknown", "restore_interrupted", "restore_not_interrupted", "restore_target_unknown",
})  # fmt: skip
# Verbs that one host refuses for all.
ALL_OR_NONE = frozenset({"destroy", "engine", "host.patch", "plone.upgrade"})
LAST_LINES = 8  # shown of what Ansible printed as its own error


def header(request: Request, hosts: Sequence[str], run: str, *, check: bool = False) -> str:
    """Return the line that opens a run."""
    where = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
    changing = ", changing nothing" if check else ""
    return f"{request.verb}: {where} of inventory {request.inventory}, run {run}{changing}"


def document(
    verb: str, outcome: Outcome, code: int, ends: Mapping[str, str | None], names: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what `--json` prints: for status each host's status object, for other verbs the result of each host.

    Of hosts that gave no status, `failed` says why.

    `names`: all hosts that were asked for; a run that did not succeed did not come to all of them.

    `ends`: of each host, since when its live Python has no security fixes, None while it has.
    """
    if verb == "status":
        known = {name: host.status for name, host in outcome.hosts.items() if host.status is not None}
        answers = {"hosts": {name: {**status, "end_of_life": ends.get(name)} for name, status in known.items()}}
        silent = {
            name: {"exit": host_exit(host), "messages": [message.document() for message in host.messages]}
            for name, host in outcome.hosts.items() if host.status is None
        }  # fmt: skip
        return {**answers, "failed": silent} if silent else answers
    hosts = {name: _part(host) for name, host in outcome.hosts.items()}
    left = [name for name in names if name not in hosts] if code else []
    return {"hosts": {**hosts, **{name: {**_part(Host()), "result": result_of(None)} for name in left}}, "exit": code}


def _part(host: Host) -> dict[str, Any]:
    return {
        "result": result_of(host), "exit": host_exit(host), "changed": host.changed, "failed": host.failed,
        "messages": [message.document() for message in host.messages], "status": host.status,
        **{name: value for name in ON_DEMAND if (value := getattr(host, name)) is not None},
    }  # fmt: skip


def hostless_document(code: int, messages: Sequence[str], commands: Sequence[str] = ()) -> dict[str, Any]:
    """Return what `--json` prints where no host has a result: why, and what to type next."""
    return {"hosts": {}, "exit": code, "messages": list(messages), "next": [shlex.split(each) for each in commands]}


def unforeseen(error: Exception) -> str:
    """Return what is said of an error that no refusal foresaw, before any host was touched."""
    return (
        f"Nothing was touched: what the inventory or the environment sets cannot be used ({_cause(error)}); correct "
        "it, or add --verbose to see where it fails."
    )


def ended_badly(error: Exception) -> str:
    """Return what is said of such an error after hosts may have been touched."""
    return f"The run ended by a fault of the toolkit ({_cause(error)}): look at what each host serves."


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def no_host(request: Request, names: Sequence[str]) -> str:
    """Return why a run came to none of the hosts `names`."""
    asked = ", ".join(names)
    return f"No host of the group {request.group} was asked for, and {request.verb} plays on no other: {asked}."


def left_out_line(hosts: Sequence[str]) -> str:
    """Return why a run without a failure is no success: Ansible did not come to some of its hosts."""
    return (
        f"Ansible played nothing on {listed(hosts)}: the inventory names other hosts now than when the run began. "
        "Compare its hosts with `ansible-inventory --graph`."
    )


def failure_lines(outcome: Outcome, request: Request, width: int) -> list[str]:
    """Return why hosts failed, each message below the name of its host."""
    several = len(outcome.hosts) > 1
    return [
        f"{name}: {line}" if not number else f"  {line}"
        for name, host in outcome.hosts.items()
        for message in host.messages
        for number, line in enumerate(rendered(message, request.of_host(name) if several else request, width - 2))
    ]


def closing(
    request: Request, names: Sequence[str], outcome: Outcome, code: int, width: int, *, interrupted: bool = False,
    fleet: Sequence[str] | None = None,
) -> list[str]:  # fmt: skip
    """Return what ends a run: table, announcements, and the next command where something went wrong.

    `names` are all hosts that were asked for. `fleet`: the last lines of a run in waves, which knows more.
    """
    hosts = {name: outcome.hosts.get(name) for name in names}
    lines = ["", *host_table(request, hosts, width)] if is_worth_showing(hosts) else []
    for block in announcements(outcome.hosts):
        lines += ["", block]
    if code == DONE and request.verb in CHANGING and not any(host.changed for host in outcome.hosts.values()):
        lines += ["", "Nothing to change: everything is as the inventory says."]
    gone = {name: host for name, host in outcome.hosts.items() if disconnected(host)}
    for text, commands in disconnected_messages(gone, request, names):
        lines += ["", *wrapped(text, width), "When the host is reachable again:", *next_lines(commands)]
    if fleet is not None:
        return lines + (["", *fleet] if fleet else [])
    if request.verb == "status" and (several := mixed_lines(outcome.hosts, request, width)):
        lines += ["", *several]
    others = [host for name, host in outcome.hosts.items() if name not in gone]
    if gone and not any(host.waiting or host_exit(host) for host in others):
        return lines  # nothing is left to say
    if code == REFUSED and not interrupted and needs_other_command(outcome):
        return [*lines, "", *wrapped("Refused: nothing was touched.", width)]
    if code == REVERTED and not interrupted and request.verb == "deploy" and _lacks_copies(outcome):
        text = "Failed: what serves was not touched, and backups are not copied. Fix the cause, then try again."
        return [*lines, "", *wrapped(text, width), *next_lines([request.command])]
    if not code and not interrupted:
        return lines
    text, commands = result(code, request, interrupted=interrupted)
    others_too = _without_unreachable(request, hosts) if code == REFUSED and not interrupted else []
    return [*lines, "", *wrapped(text, width), *next_lines([*commands, *others_too])]


def _without_unreachable(request: Request, hosts: Mapping[str, Host | None]) -> list[str]:
    """Return the same command without the hosts that cannot be reached, where it refused the others for these."""
    lost = [name for name, host in hosts.items() if host and host.unreachable]
    return [without(request, lost).command] if request.verb in ALL_OR_NONE and 0 < len(lost) < len(hosts) else []


def _lacks_copies(outcome: Outcome) -> bool:
    """Whether copies of backups are all that failed: that is before a release begins, and nothing is reverted."""
    codes = [message.code or "" for host in outcome.hosts.values() for message in host.messages]
    return bool(codes) and all(code.startswith("copy_") for code in codes)


def needs_other_command(outcome: Outcome) -> bool:
    """Whether a word of the command line, or one that it lacks, is all that any host objects to."""
    codes = {message.code for host in outcome.hosts.values() for message in host.messages}
    return bool(codes) and codes <= OTHER_COMMAND


def result_lines(code: int, request: Request, width: int, *, interrupted: bool = False) -> list[str]:
    """Return what a run that did not succeed leaves, and what to type next."""
    text, commands = result(code, request, interrupted=interrupted)
    return [*wrapped(text, width), *next_lines(commands)]


def result(code: int, request: Request, *, interrupted: bool) -> tuple[str, list[str]]:
    """Return what a run that did not succeed leaves, and the commands to type next."""
    text, command = _result(code, request, interrupted=interrupted)
    return text, [command] if command else []


def _result(code: int, request: Request, *, interrupted: bool) -> tuple[str, str]:
    fix = "" if interrupted else " Fix the cause, then try again."
    if code == REVERTED and request.verb.startswith("plone."):
        return f"Failed: the site is as it was.{fix}", request.command
    if code == REVERTED and request.verb in {"drain", "host.patch"}:
        return f"Reverted: the host takes traffic as before.{fix}", request.command
    if code == REVERTED and request.verb not in CHANGING:
        return "Failed: nothing was touched. Start no rollout before the cause is fixed.", request.command
    if code == REVERTED and request.verb == "confirm":  # nothing is left that could be confirmed
        return "Reverted: the previous release is live again. Fix the cause, then start a new rollout.", request.status
    if code == NEEDS_PERSON and interrupted and request.verb == "host.patch":
        text = "Interrupted: a host may be drained and locked. --take-over goes on from there, and undrains it."
        return text, request.without_recovery("--take-over")
    return {
        DONE: ("The release had been confirmed before the interruption, and is live.", ""),
        REVERTED: (f"Reverted: the previous release is live again.{fix}", request.command),
        REFUSED: (f"{'Interrupted' if interrupted else 'Refused'}: nothing was touched.{fix}", request.command),
        NEEDS_PERSON: ("A person is needed: the status shows what each host serves.", request.status),
    }[code]


def last_words(stderr: str) -> list[str]:
    """Return the end of what Ansible printed as its own error: no traceback, no empty line, no label.

    Of an Ansible that died before its callback wrote anything, this text is all that there is.
    """
    lines, inside = [], False
    for line in stderr.splitlines():
        inside = line.startswith("Traceback ") or (inside and line[:1] in {" ", ""})
        if line.strip() and not inside:
            lines.append(line.removeprefix("[ERROR]: "))
    return lines[-LAST_LINES:]


def announcements(hosts: Mapping[str, Host]) -> Iterable[str]:
    """Yield each announced block once, with the hosts that announced it where there are several."""
    found: dict[str, list[str]] = {}
    for name, host in hosts.items():
        for block in host.announced:
            found.setdefault(block, []).append(name)
    for block, names in found.items():
        yield block if len(hosts) == 1 else f"{', '.join(names)}:\n{block}"
