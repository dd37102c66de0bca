"""What is asked of the bridge, and what the fixed upstream behind it answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SITE = "/Plone"
# A caller of its own: what is asked with it is nobody else's answer, so no cache and no single-flight takes part.
TOKEN = "Bearer bench"  # noqa: S105 - nobody checks it
_SAYS = (
    "Every analysis in this course begins with a plot. A table of means hides two peaks, an outlier and a typing "
    "error equally well; a strip of points hides none of them. Bring your own measurements to the second hour."
)


@dataclass(frozen=True)
class Operation:
    """One thing to ask for. The first of `paths` that answers 200 is measured: not every bridge has them all."""

    name: str
    paths: tuple[str, ...]
    to_plone: bool = True


HEALTH = Operation("health", ("/health",), to_plone=False)
PASS_THROUGH = Operation("pass-through", ("/plone/@site",))
LIST = Operation("content list", ("/api/v1/content/children?path=/courses", "/plone/courses"))
READ = Operation("content read", ("/api/v1/content?path=/courses/plots", "/plone/courses/plots"))
OPERATIONS = (HEALTH, PASS_THROUGH, LIST, READ)
# In process only: this many callers at once, each asking for what PASS_THROUGH asks.
MULTI_USER = "multi-user"
USERS = 50


@dataclass(frozen=True)
class Claim:
    """A row of the source document: its figures in microseconds of wall time, or words where it has none."""

    row: str
    before_us: float | None
    after_us: float | None
    words: str


SOURCE: Mapping[str, Claim] = {
    PASS_THROUGH.name: Claim("Plone API bridge", 935, 684, "26.9% faster"),
    LIST.name: Claim("Content operations", 1040, 822, "21.2% faster"),
    READ.name: Claim("Content operations", 1040, 822, "21.2% faster"),
    HEALTH.name: Claim("Health", 917, 732, "20.2% faster"),
    MULTI_USER: Claim("Multi-user", None, None, "over 1,000 requests/s"),
}


def documents() -> dict[str, bytes]:
    """Return the upstream's answers by the name of their file: as plone.restapi words them, always the same."""
    items = [_item(f"lesson-{number}") for number in range(25)]
    site = {"@id": f"{SITE}/@site", "plone.site_title": "EduHub", "plone.default_language": "en", "features": {}}
    listing = {**_item("courses"), "@type": "Folder", "items": items, "items_total": len(items)}
    page = {
        **_item("plots"), "UID": "0" * 32, "parent": _item("courses"), "created": "2025-01-01T00:00:00+00:00",
        "modified": "2025-01-01T00:00:00+00:00", "language": "en", "subjects": ["statistics"], "version": "current",
        "text": {"content-type": "text/html", "data": f"<p>{_SAYS}</p>" * 12, "encoding": "utf-8"},
    }  # fmt: skip
    said = {"site.json": site, "listing.json": listing, "page.json": page, "ok.json": {"status": "OK"}}
    return {name: json.dumps(document, indent=1).encode() for name, document in said.items()}


def _item(name: str) -> dict[str, Any]:
    address = f"http://bridge.test/plone/courses/{name}".replace("courses/courses", "courses")
    return {
        "@id": address, "@type": "Document", "id": name, "title": name.replace("-", " ").title(),
        "description": _SAYS[:120], "review_state": "published", "type_title": "Page", "is_folderish": False,
    }  # fmt: skip
