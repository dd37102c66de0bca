"""Checks the values of the command line that are one of a few, or a number, before any host is asked. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from settings.made import span

# By verb: the variable of an option, how it is typed, and what it may be; "" is for what may be left out.
CHOICES = {
    "host.patch": ("eduhub_reboot", "--reboot", ("auto", "always", "never", "")),
    "maintenance": ("eduhub_state", "maintenance", ("on", "off")),
    "plone.restore": ("eduhub_to", "--to", ("scratch", "live", "served", "")),
}
WITHIN = "eduhub_confirm_within"


def check(request: Request, within: Mapping[str, Any]) -> None:
    """Raise RefusalError for a value that no host would take.

    `within`: the description of the setting that --confirm-within stands for.
    """
    check_choice(request)
    check_within(request, within)


def check_choice(request: Request) -> None:
    """Raise RefusalError where an option is none of the few things that it may be."""
    if request.verb not in CHOICES:
        return
    name, typed, allowed = CHOICES[request.verb]
    given = str(request.values.get(name) or "")
    if given in allowed:
        return
    words = [each for each in allowed if each]
    near = get_close_matches(given.lower(), words, n=1) or words
    wrong = f"not {given!r}" if given else "and neither was given"
    raise RefusalError(
        f"{typed} is {', '.join(words[:-1])} or {words[-1]}, {wrong}. Nothing was touched.",
        next_commands=[replace(request, values={**request.values, name: word}).command for word in near],
    )


def check_within(request: Request, within: Mapping[str, Any]) -> None:
    """Raise RefusalError where --confirm-within is no number of seconds that a host would wait."""
    given = str(request.values.get(WITHIN) or "")
    try:
        seconds = float(given or within["default"])
    except ValueError:
        seconds = math.nan
    least, most = within.get("least", within.get("above", -math.inf)), within.get("most", math.inf)
    if not least <= seconds <= most:
        later = replace(request, values={**request.values, WITHIN: within["default"]})
        raise RefusalError(
            f"--confirm-within is {given!r}, but must be {span(within)}. Nothing was touched.",
            next_commands=[later.command],
        )
