"""Command lines as they are typed: the one that was, and others about the same hosts. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

# Playbooks that are no verb of their own: what is typed to play them.
TYPED = {"engine": ["deploy"], "releases": ["rollback", "--list"]}
# As sentences name them: in backticks, without an inventory, which a host does not know. Some verbs take none.
NAMED = re.compile(r"`\./invoke ((?!images\.|-)(?:(?!--inventory)[^`])+)`")


def typed(verb: str, inventory: str, limit: str, values: Mapping[str, Any]) -> str:
    """Return the command line that asks for the same again."""
    words = ["./invoke", *TYPED.get(verb, [verb])]
    for name, value in values.items():
        option = f"--{name.removeprefix('eduhub_').replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    words += ["--inventory", inventory] if inventory != "local" else []
    words += ["--limit", limit] if limit else []
    return shlex.join(words)


def beside(again: str, *words: str, limit: str | None = None) -> str:
    """Return `./invoke words` for the inventory and the hosts of the command line `again`; `limit` names others."""
    given = shlex.split(again)
    inventory = _option(given, "--inventory")
    hosts = _option(given, "--limit") if limit is None else ["--limit", limit] if limit else []
    return shlex.join(["./invoke", *words, *inventory, *hosts])


def anew(again: str, option: str) -> str:
    """Return the command line `again` with `option`, and without what else says how to deal with a run before it."""
    verb, *given = shlex.split(again)[1:]
    given = [word for word in given if word not in {"--resume", "--take-over"}]
    return shlex.join(["./invoke", verb, *given, option])


def status(again: str) -> str:
    """Return the command line that shows the state of all hosts of the inventory that `again` is about."""
    return beside(again, "status", limit="")


def located(text: str, again: str) -> str:
    """Return `text`, the commands that it names being about the inventory and the hosts of the command line `again`."""
    options = beside(again).removeprefix("./invoke")
    return NAMED.sub(lambda named: f"`./invoke {named[1]}{options}`", text)


def _option(words: list[str], name: str) -> list[str]:
    return words[words.index(name) :][:2] if name in words else []
