"""Where a bridge answers otherwise than Plone, and why: all of it. alike.py lists what is not compared at all."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bridge.door import Request


@dataclass(frozen=True)
class Refusal:
    """A request that the bridge refuses as a problem document with `status`, though Plone would answer it."""

    request: Request
    status: int
    reason: str


_CLIMBS = "Path steps upwards and virtual host names could leave the site; the bridge passes none on."
REFUSED = (
    Refusal(Request("GET", "/compat/../courses"), 400, _CLIMBS),
    Refusal(Request("GET", "/compat/%2e%2e/courses"), 400, _CLIMBS),
    Refusal(Request("GET", "/VirtualHostRoot/compat"), 400, _CLIMBS),
    Refusal(Request("GET", "/_vh_other/compat"), 400, _CLIMBS),
    Refusal(
        Request("GET", "/compat/document", "x-note: café, in Latin-1", fields={"x-note": "caf\xe9"}),
        400, "A field must be UTF-8; other bytes cannot be passed on unchanged.",
    ),
    Refusal(
        Request("INVENTED", "/compat/document"),
        400, "The method is in no standard; Plone treats it as GET.",
    ),
)  # fmt: skip
# What Plone itself does behind any virtual host, so not a difference of the bridge's, but of Plone's own port.
VIRTUAL_HOSTING = (
    "Paths in queries count from the site: `path=/courses` here is `path=/Plone/courses` at Plone's own port.",
    "Links point to the address that the client called.",
)
# What the bridge is for; docs/patterns.md says when.
PROTECTION = (
    "A page for anonymous readers may be some seconds old, if it was changed without this bridge.",
    "If too many requests wait for Plone, or it fails, the bridge answers 502, 503 or 504 with a problem document.",
)
# Of the protocol, seen by a client only if it looks.
PROTOCOL = (
    "Field names come in lower case.",
    "The reason phrase is the standard's for the status.",
    "Plone sends a body after HEAD; the bridge sends none, as the standard says.",
    "`Expect: 100-continue` is answered by the bridge.",
    "An answer that is no HTTP by the standard, such as one with two `Content-Length`, is 502.",
)
