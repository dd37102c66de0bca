"""Holds a command that an operator is told to type against the command tree: that it parses, and is not refused."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence

from invoke.context import MockContext
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.runners import Result

import tasks
from front.arguments.request import Request

VERBS = [name for names in tasks.namespace.task_names.items() for name in (names[0], *names[1])]
# The options of each verb, by each of its names.
OPTIONS = {name: set(context.flags) for context in tasks.namespace.to_contexts()
           for name in (context.name, *context.aliases)}  # fmt: skip


@functools.cache
def _refusal(words: tuple[str, ...]) -> str:
    if words[:1] and words[0] in VERBS and words[1:] == ("--help",):
        return ""
    try:
        parsed = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(list(words))
    except ParseError as error:
        return str(error)
    if len(parsed) != 1 or parsed.unparsed or parsed.remainder:
        return "it is not one verb with its options"
    (context,) = parsed
    if context.missing_positional_args:
        return f"it lacks {', '.join(str(each.name) for each in context.missing_positional_args)}"
    if context.name != "upgrade":  # the others start programs, which is not to be tried
        return ""
    try:
        tasks.upgrade(MockContext(run=Result(), repeat=True), **context.as_kwargs)
    except Exit as refused:
        return str(refused.message)
    return ""


def refusal(words: Sequence[str]) -> str:
    """Return why `words` cannot be typed, "" where they can; those of other programs than ./invoke are not judged.

    They are typed as an operator of another inventory is told to, with its options for hosts.
    """
    if list(words[:1]) != ["./invoke"] or len(words) < 2:
        return "" if words and words[0] != "./invoke" else "it names no verb"
    if words[1].startswith("--"):  # --list and --help
        return ""
    plain = _refusal(tuple(words[1:]))
    if plain or "--help" in words:
        return plain
    return _refusal(tuple(shlex.split(Request("status", "campus", "host-1").same_hosts(words))[1:]))
