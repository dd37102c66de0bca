"""What people really ask for, from the edge's log: paths for the gate `contract`, without anybody's secrets. Pure.

That log has no query strings and no headers, so neither can be asked again; the address of who asked is never read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from eduhub_pilot.adapters.docker import LINE_CHARACTERS
from eduhub_pilot.gates.contract.requests import Request

# A month of a quiet site, some minutes of a busy one; the engine keeps 30 MB of the log.
LINES = 20_000
_GOOD_PATH = re.compile(r"/[!-~]*")
# Left out when in doubt: there are more paths than will be asked.
PRIVATE = re.compile(
    r"[0-9a-f]{16}"  # a digest, a UUID without its dashes
    r"|[0-9a-f]{8}-[0-9a-f]{4}-"
    r"|(?=[a-z_=+]*\d)[a-z0-9_=+]{20}"  # a token: long, with a digit, and no dash as in the name of a page
    r"|(?-i:(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{16})"  # the same with dashes: pages are named in lower case
    r"|passw|reset|token|secret|session|log(?:in|out)|auth|saml|jwt|confirm|verif|invit|activat|subscri"
    r"|(?:@|%40)[^/]*\.",  # somebody's address
    re.IGNORECASE,
)


def _good_read(line: str) -> str | None:
    """Return the path of a read of the public that was answered well, as role edge's `log-format` has it, or None."""
    try:
        said = json.loads(line)
        wanted = (said["frontend"], said["method"], said["status"]) == ("public", "GET", 200)
        return said["path"] if wanted and _GOOD_PATH.fullmatch(said["path"]) else None
    except (ValueError, TypeError, KeyError):  # what HAProxy says of itself
        return None


def sampled(lines: Iterable[str], most: int) -> list[Request]:
    """Return at most `most` reads from HAProxy's log: half asked for most often, half taken evenly from the rest.

    The same log gives the same requests.
    """
    # A line of full length may have been cut, and the path in it with it.
    whole = (line for line in lines if len(line) < LINE_CHARACTERS)
    found = (path for line in whole if (path := _good_read(line)))
    counted = Counter(path for path in found if not PRIVATE.search(path))
    paths = sorted(counted, key=lambda path: (-counted[path], path))
    often, rest = paths[: (most + 1) // 2], paths[(most + 1) // 2 :]
    room = min(most // 2, len(rest))
    spread = [rest[place * len(rest) // room] for place in range(room)]
    # As the bridge's clients ask; without it Plone would answer each with its pages for people.
    return [Request(path, headers=(("Accept", "application/json"),)) for path in [*often, *spread]]
