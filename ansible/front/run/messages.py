"""What a task's result tells the operator. Pure: from what Ansible hands its callbacks to messages with fields.

The pilot and our own modules answer with fields, which are taken as they are (`answers`). Ansible's modules, and
programs that a task runs, give text alone: `failures` shows it, and nothing is ever decided by what it says.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TAIL_LINES = 20  # shown of a failed program's output
OWN_TEXT = frozenset({"fail", "assert", "validate_argument_spec"})  # actions whose message is a text of ours
TASK_FAILED, UNREACHABLE = "task_failed", "host_unreachable"  # codes of what Ansible itself reports
# Ansible offers the names of its layers only as text before the reason: "Task failed: Module failed: No space left".
LAYERS = ("Task failed: ", "Action failed: ", "Module failed: ")
# What it starts with where a module did not answer: what did instead, such as sudo, stands beside it.
NO_ANSWER = "Module result deserialization failed: "
# All that is said where the password of privilege escalation is missing or wrong: by Ansible, and by doas itself. su
# without one shows no prompt that Ansible knows.
PASSWORD = re.compile(
    r"(Missing|Incorrect) \w+ password|Timeout \(\d+s\) waiting for privilege escalation prompt:"
    r"|doas: (Authentication (required|failed)|Authorization required)"
)
# What helps, by what was said; sudo with `requiretty` gets a terminal only where Ansible copies its modules first.
REMEDIES = [
    (PASSWORD, "add --ask-become-pass, or set ansible_become_password in an encrypted file of the inventory"),
    (re.compile(r".*python.*(not found|permission denied|no such file).*", re.IGNORECASE),
     "set ansible_python_interpreter in the inventory to a Python 3 that runs there"),
    (re.compile("sudo: sorry, you must have a tty to run sudo"), "set ansible_pipelining: false in the inventory"),
]
NOT_RUN = {126, 127}  # exit codes of a shell whose program is not there, or cannot be run
COMMAND_FAILED = "non-zero return code"  # all that Ansible says of a program that failed, beside its exit code


@dataclass(frozen=True)
class Message:
    """One thing to tell: a stable `code`, what happened and why, and argument lists of what to type next."""

    code: str
    message: str
    next: Sequence[Sequence[str]] = ()

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Message:
        """Return the message in an answer, a finding, or the outcome file. Raises KeyError or TypeError."""
        commands = tuple(tuple(str(word) for word in command) for command in fields.get("next") or ())
        return cls(str(fields["code"]), str(fields["message"]), commands)

    def document(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return {"code": self.code, "message": self.message, "next": [list(command) for command in self.next]}


@dataclass(frozen=True)
class Answer(Message):
    """One answer of the pilot, or of a module of ours.

    `exit`: what it means for the run (0 done, 1 reverted, 2 refused, 3 needs a person). `findings`: everything that
    stops the run. `data`: all its fields.
    """

    exit: int = 0
    findings: Sequence[Message] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> Sequence[Message]:
        """The findings where there are any, else the answer's own message."""
        return self.findings or (Message(self.code, self.message, self.next),)


def answers(result: Mapping[str, Any]) -> Iterator[Answer]:
    """Yield the answers in a task's result: JSON documents that a program printed, or the fields of a module."""
    for item in items_of(result):
        yield from filter(None, (answer(document) for document in (item, *documents(item))))


def documents(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects among the lines that a program printed."""
    for line in str(item.get("stdout") or "").splitlines():
        with contextlib.suppress(ValueError):
            found = json.loads(line) if line.startswith("{") else None
            if isinstance(found, dict):
                yield found


def answer(fields: Mapping[str, Any]) -> Answer | None:
    """Return the answer that `fields` are; None for anything else."""
    code, message, number = (fields.get(name) for name in ("code", "message", "exit"))
    if not isinstance(code, str) or not isinstance(message, str) or type(number) is not int:
        return None
    try:
        own = Message.from_fields(fields)
        findings = tuple(Message.from_fields(each) for each in fields.get("findings") or ())
    except (KeyError, TypeError, AttributeError):
        return None
    return Answer(own.code, own.message, own.next, number, findings, fields)


def items_of(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of a loop's items, or the one result of a task without a loop."""
    items = result.get("results")
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) and items else [result]


def text_of(result: Mapping[str, Any]) -> str:
    """Return a task's message as text; nothing of a task whose result is to be hidden."""
    text = result.get("censored") or result.get("msg") or ""
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def failures(task: str, action: str, result: Mapping[str, Any], variable: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a failed task, or of its failed items: never its arguments, never a traceback.

    `variable`: the task's own `failure`, with `code` and `next`.
    """
    failed = [item for item in items_of(result) if item.get("failed") or item.get("unreachable")]
    return [
        Message.from_fields({
            "code": variable.get("code") or (UNREACHABLE if item.get("unreachable") else TASK_FAILED),
            "message": reason(item) if action.rsplit(".", 1)[-1] in OWN_TEXT else f"{task}: {reason(item)}",
            "next": variable.get("next"),
        })
        for item in failed or items_of(result)
    ]  # fmt: skip


def reason(result: Mapping[str, Any]) -> str:
    """Return why one task, or one item of a loop, failed; of a program also the end of what it printed."""
    if "censored" in result:
        return "Ansible hides the reason, which may hold a secret."
    crash = [line for line in str(result.get("module_stderr") or "").splitlines() if line.strip()]
    printed = [line for key in ("stdout", "stderr") for line in str(result.get(key) or "").splitlines()]
    tail = [f"  | {line}" for line in printed[-TAIL_LINES:]] if result.get("rc") else []
    text = without_layers(text_of(result).strip()) or "it gave no reason; --verbose shows everything."
    if text.startswith(NO_ANSWER):
        text, crash = instead_of_an_answer(result, crash), []
    remedy = next((remedy for what, remedy in REMEDIES if what.fullmatch(text)), "")
    text, crash = (f"{text.rstrip(':.')}: {remedy}.", []) if remedy else (text, crash)
    if text == COMMAND_FAILED:
        text = f"it ended with exit code {result.get('rc')}."
    if result.get("exception") and "\n" in text:  # a module that died: its text is a traceback, which ends with why
        text = text.splitlines()[-1]
    return "\n".join([f"{text} ({crash[-1]})" if crash else text, *tail])


def instead_of_an_answer(result: Mapping[str, Any], errors: Sequence[str]) -> str:
    """Return the last line of what came instead of a module's answer; a part of an answer may hold a secret.

    A shell says first which program it could not run, such as the Python that Ansible found on the host; what a wrapper
    such as pyenv says after that is no reason.
    """
    if errors and result.get("rc") in NOT_RUN:
        python = (result.get("ansible_facts") or {}).get("discovered_interpreter_python")
        return errors[0].strip() + (f" ({python})" if python else "")
    printed = str(result.get("module_stdout") or "")
    lines = errors or [line for line in printed.splitlines() if line.strip() and "{" not in printed]
    return lines[-1].strip() if lines else f"the host gave no answer, and no reason (exit code {result.get('rc')})."


def without_layers(text: str) -> str:
    """Return the text of an Ansible error without the names of the layers that it came through."""
    while text.startswith(LAYERS):
        text = text.partition(": ")[2]
    return text
