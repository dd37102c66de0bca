"""`python -m tests.bridge.document` prints docs/reference/compatibility.md: what is compared, from the tables."""

from __future__ import annotations

import re
import sys
from collections import defaultdict

from tests.bridge import alike, exceptions
from tests.bridge.door import Request
from tests.bridge.reads import TABLE, readings
from tests.bridge.stories import STORIES

# What an address is of that a story keeps.
KEPT = {"{place}": "/@tus-upload/x", "{comment}": "/@comments/x", "{rule}": "/@controlpanels/x"}
WHAT = {"": "Content", "page": "Pages of the classic interface", "file": "Files and images"}
INTRODUCTION = """\
# Compatibility

*Printed by `python -m tests.bridge.document` from the tables of `tests/bridge`; a contract test holds it to them.*

An unmodified client of plone.restapi works with the bridge: change its base address and nothing else. The test
`pytest tests/bridge/test_same_answers.py` sends every request below to a real, seeded, classic
Plone and to a bridge in front of it, once for each Python. It compares status, every header field but those listed, and
body. {readings} read-only requests are sent without credentials, as a member and as the administrator. {steps} requests
that write form {stories} scenarios, each sent to Plone and to each bridge from the same initial content. Every service
that this Plone registers is among them; a test reads Plone's own list.
"""


BESIDE = """
## What else is tested, on each Python

- `test_big_transfers.py`: a gigabyte either way, with a length or chunked, arrives whole, and the bridge's memory grows
  by less than 32 MiB.
- `test_graceful_stop.py`: twenty stops behind the edge. No request fails once drained, streams end whole, WebSockets
  close with 1012.
- `test_live_edge.py`: event streams and WebSockets outlast the edge's timeouts while nothing happens, and continue in
  the other slot after a switch, with no event missed and none sent twice.
- `test_faults.py`: Plone stopped, paused, slow, resetting connections, answering garbage, half or without end, its
  queue full. The bridge names the fault, stored pages are still answered, its memory grows by less than 32 MiB, and
  it answers again within 5 s of Plone.
- `test_edge_input.py`: no request is smuggled past the edge; oversized, forged and malformed requests are refused; no
  client gets another's page; no secret is logged. A request that HAProxy cannot read, or whose head is longer than
  15 KiB, gets 400 with HAProxy's own page; every other refusal is a problem document.
- `test_openapi.py`, `test_api.py`: the typed endpoints answer exactly what their document says.
"""


def service(path: str, about: str = "") -> str:
    """Return what a path asks for: a service's name, or a word of WHAT."""
    for kept, place in KEPT.items():
        path = path.replace(kept, place)
    part = next((part for part in path.partition("?")[0].split("/") if re.fullmatch(r"@[a-z-]+", part)), "")
    if not part and re.search(r"/@@(download|images|display)|fileUpload", path):
        return WHAT["file"]
    return part or (WHAT["page"] if about == "page" else WHAT[""])


def _table(head: str, rows: list[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows])


def _asked() -> str:
    counted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    requests: list[Request] = [each.request for each in readings()]
    requests += [step for steps in STORIES.values() for step in steps]
    for each in requests:
        counted[service(each.path, each.about)][each.method] += 1
    rows = [
        f"| {name if name in WHAT.values() else f'`{name}`'} "
        f"| {', '.join(f'{method} {number}' for method, number in sorted(methods.items()))} |"
        for name, methods in sorted(counted.items())
    ]
    return _table("| asked | requests |", rows)


def document() -> str:
    """Return the page."""
    steps = sum(map(len, STORIES.values()))
    fields = [f"| `{name}` | {why} |" for name, why in alike.NOT_COMPARED.items()]
    refused = [
        f"| `{each.request.name.replace('|', '%7C')}` | {each.status} | {each.reason} |" for each in exceptions.REFUSED
    ]
    told = "; ".join(sorted(STORIES))
    volatile = [f"- {why}" for why in alike.VOLATILE.values()]
    parts = [
        INTRODUCTION.format(readings=len(TABLE), steps=steps, stories=len(STORIES)),
        "## What is asked\n", _asked(), f"\nThe scenarios: {told}.\n",
        "## Where the bridge differs\n",
        "It refuses, though Plone would answer:\n", _table("| request | status | because |", refused),
        "\nAnd in the protocol:\n", *(f"- {line}" for line in exceptions.PROTOCOL),
        "\nTo protect Plone ([how](../patterns.md)):\n", *(f"- {line}" for line in exceptions.PROTECTION),
        "\nAs behind any virtual host:\n", *(f"- {line}" for line in exceptions.VIRTUAL_HOSTING),
        "\n## What is not compared\n", _table("| field | because |", fields),
        "\nNor what Plone itself answers differently each time:\n", *volatile,
        f"- what a scenario creates: {', '.join(alike.MADE)}; one thing must still be the same in all answers",
        "- patterns for single requests in `reads.py`, with their reasons", BESIDE.rstrip("\n"),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
