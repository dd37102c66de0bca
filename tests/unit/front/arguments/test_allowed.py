"""What the command line offers a choice of, or a range, is checked before any host is asked."""

from __future__ import annotations

from typing import Any

import pytest

from eduhub_pilot.commands.plone.restore import TARGETS
from front.arguments.allowed import check
from front.arguments.refusal import RefusalError
from front.arguments.request import Request

WITHIN = {"type": "float", "unit": "seconds", "least": 10, "most": 86400, "default": 600}


@pytest.mark.parametrize(
    ("verb", "values"),
    [
        *(("host.patch", {"eduhub_reboot": word}) for word in ("auto", "always", "never", "")),
        ("host.patch", {}),
        ("maintenance", {"eduhub_state": "on"}),
        ("plone.restore", {}),
        *(("plone.restore", {"eduhub_to": target}) for target in TARGETS),
        ("rollback", {"eduhub_to": "20260101T000000Z-0001"}),
        ("upgrade", {"eduhub_confirm_within": "10"}),
        ("upgrade", {"eduhub_confirm_within": 86400}),
    ],
)
def test_it_takes_what_there_is(verb, values):
    check(Request(verb, values=values), WITHIN)


WRONG: list[tuple[str, dict[str, Any], str, list[str]]] = [
    (
        "host.patch", {"eduhub_reboot": "allways"}, "--reboot is auto, always or never, not 'allways'.",
        ["host.patch --reboot always"],
    ),
    ("maintenance", {"eduhub_state": "of"}, "maintenance is on or off, not 'of'.", ["maintenance off"]),
    (
        "maintenance", {}, "maintenance is on or off, and neither was given.",
        ["maintenance on", "maintenance off"],
    ),
    (
        "plone.restore", {"eduhub_to": "Live"}, "--to is scratch, live or served, not 'Live'.",
        ["plone.restore --to live"],
    ),
    *(
        (
            "upgrade", {"eduhub_python": "3.11", "eduhub_confirm_within": given},
            f"--confirm-within is {given!r}, but must be from 10 to 86400 seconds.",
            ["upgrade --python 3.11 --confirm-within 600"],
        )
        for given in ("soon", "9.9", "nan", "-1", "1e9", "true")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "values", "text", "commands"), WRONG)
def test_any_other_is_refused_with_what_to_type_about_the_same_hosts(verb, values, text, commands):
    with pytest.raises(RefusalError) as refused:
        check(Request(verb, "campus", "h1", values, check=verb == "host.patch"), WITHIN)
    more = " --check" if verb == "host.patch" else ""
    assert refused.value.messages == (f"{text} Nothing was touched.",)
    assert refused.value.next_commands == [
        f"./invoke {command}{more} --inventory campus --limit h1" for command in commands
    ]
