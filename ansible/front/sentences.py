"""The sentences in a task's result. Pure: from what Ansible hands its callbacks to lines for the operator."""

from __future__ import annotations

import contextlib
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

TAIL = 20  # lines shown of a failed program's output
SPEAKING = {"fail", "assert", "validate_argument_spec"}  # actions whose messages are sentences of ours
COMMAND, GLUE = re.compile(r"`[^`]*`"), "\0"
WRAPPERS = re.compile(r"^(?:(?:Task|Action|Module) failed: )+")


def pilot_answers(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the answers in a task's result, each with `code` and `say`.

    They are the JSON documents that the pilot printed, and the results of our own modules, which call it `message`.
    """
    for item in items_of(result):
        if isinstance(item.get("code"), int) and isinstance(item.get("message"), str):
            yield {**item, "say": item["message"]}
        for line in str(item.get("stdout") or "").splitlines():
            with contextlib.suppress(ValueError):
                answer = json.loads(line) if line.startswith("{") else {}
                if isinstance(answer.get("code"), int) and isinstance(answer.get("say"), str):
                    yield answer


def items_of(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of a loop's items, or the one result of a task without a loop."""
    items = result.get("results")
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) and items else [result]


def sentences_of(answer: Mapping[str, Any]) -> list[str]:
    """Return what the pilot says to the operator: its findings, where it looked for several, else its sentence."""
    findings = answer.get("findings") or []
    return [_finding(finding["what"], finding["remedy"]) for finding in findings] or [answer["say"]]


def _finding(what: str, remedy: str) -> str:
    """Return both in one: what is a sentence already has its remedy beside it."""
    return f"{what} {remedy}".rstrip() if what.endswith(".") else f"{what}: {remedy.rstrip('.')}."


def message_of(result: Mapping[str, Any]) -> str:
    """Return a task's message as text; nothing of a task whose result is to be hidden."""
    message = result.get("censored") or result.get("msg") or ""
    return "\n".join(map(str, message)) if isinstance(message, list) else str(message)


def failures_of(task: str, action: str, result: Mapping[str, Any]) -> list[str]:
    """Return the sentences of a failed task or of its failed items: never its arguments, never a traceback."""
    items = items_of(result)
    failed = [item for item in items if item.get("failed") or item.get("unreachable")] or items
    if action.rsplit(".", 1)[-1] in SPEAKING:
        return [WRAPPERS.sub("", message_of(item)) for item in failed]
    return [f"{task}: {failure_of(item)}" for item in failed]


def failure_of(result: Mapping[str, Any]) -> str:
    """Return why one task, or one item of a loop, failed; of a program also the end of what it printed."""
    if "censored" in result:
        return "Ansible hides the reason, which may hold a secret."
    message = WRAPPERS.sub("", message_of(result)).strip() or "it gave no reason; --verbose shows everything."
    if "Traceback (most recent call last)" in message:
        message = message.splitlines()[-1]
    message = message.replace("non-zero return code", f"it ended with exit code {result.get('rc')}.")
    crash = [line for line in str(result.get("module_stderr") or "").splitlines() if line.strip()]
    printed = [line for key in ("stdout", "stderr") for line in str(result.get(key) or "").splitlines()]
    tail = [f"  | {line}" for line in printed[-TAIL:]] if result.get("rc") else []
    return "\n".join([f"{message} ({crash[-1]})" if crash else message, *tail])


def new_in(sentences: list[str], said: set[str]) -> list[str]:
    """Return the sentences that are more than repetitions of what was `said`, alone or strung together."""

    def rest(text: str) -> str:
        for known in sorted(said, key=len, reverse=True):
            text = text.replace(known, "")
        return text.strip()

    return [text for text in sentences if rest(text)]


def heads(sentence: str) -> set[str]:
    """Return the forms in which a sentence may be repeated: without the task's name, without what follows its line."""
    first = sentence.splitlines()[0]
    return {sentence, first, sentence.partition(": ")[2] or sentence, first.partition(": ")[2] or first}


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of `text`, sentences folded at `width`.

    Lines that are set in, as logs are, stay as they are; so do words, and commands in backticks: both are copied.
    """
    for line in text.splitlines():
        if line[:1] in {" ", "\t", "|"}:
            yield line
        else:
            whole = COMMAND.sub(lambda command: command[0].replace(" ", GLUE), line)
            folded = textwrap.wrap(whole, width, break_on_hyphens=False, break_long_words=False)
            yield from (part.replace(GLUE, " ") for part in folded)
