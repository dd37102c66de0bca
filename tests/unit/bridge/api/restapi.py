"""What Plone 6.0.13 says, as it was written down from a real one, and how a client of the typed endpoints asks."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.bridge.process import Answer, Process

BASE = "http://bridge.test/plone"
JSON = "Content-Type: application/json"
SUMMARY = {
    "@id": f"{BASE}/courses/t%C3%BCr", "@type": "Document", "description": "d", "review_state": "published",
    "title": "Tür", "type_title": "Page", "image_field": "", "image_scales": None, "UID": "3bb5f79449bf4a28",
    "id": "tür", "created": "2026-11-25T02:26:11+00:00", "modified": "2026-11-25T02:26:12+00:00",
    "Subject": ["a", "b"], "is_folderish": True,
}  # fmt: skip
ITEM = {
    "@components": {"actions": {"@id": f"{BASE}/courses/t%C3%BCr/@actions"}}, "@id": f"{BASE}/courses/t%C3%BCr",
    "@type": "Document", "UID": "3bb5f79449bf4a28", "created": "2026-11-25T02:26:11+00:00", "description": "d",
    "id": "tür", "is_folderish": True, "language": "en", "lock": {"locked": False},
    "modified": "2026-11-25T02:26:12+00:00", "next_item": {}, "parent": {"@id": f"{BASE}/courses"},
    "review_state": "published", "subjects": ["a"], "title": "Tür",
}  # fmt: skip
USER = {
    "@id": f"{BASE}/@users/ada", "description": None, "email": "ada@example.org", "fullname": "Ada", "home_page": None,
    "groups": {"items": [{"id": "AuthenticatedUsers", "title": "AuthenticatedUsers"}], "items_total": 1}, "id": "ada",
    "location": None, "portrait": None, "roles": ["Member"], "username": "ada",
}  # fmt: skip
GROUP = {
    "@id": f"{BASE}/@groups/team", "description": "", "email": "", "groupname": "team", "id": "team",
    "roles": ["Reader"], "title": "Team", "members": {"items": ["ada"], "items_total": 1},
}  # fmt: skip


def ask(bridge: Process, method: str, target: str, document: Any = None, *fields: str) -> Answer:
    """Ask a typed endpoint; `document` is sent as JSON, bytes as they are."""
    if document is None:
        return bridge.get(f"/api/v1{target}", *fields, method=method)
    if not isinstance(document, bytes):
        document, fields = json.dumps(document).encode(), (JSON, *fields)
    return bridge.get(f"/api/v1{target}", f"Content-Length: {len(document)}", *fields, method=method, body=document)


def problem(answer: Answer, status: int) -> dict[str, Any]:
    """Return the problem document that the answer is."""
    document = answer.json()
    assert (answer.status, document["status"], document["type"]) == (status, status, "about:blank")
    assert answer.field("content-type") == ["application/problem+json"]
    return document


def target(seen: Any) -> str:
    """Return what Plone was asked for, below the site."""
    return seen.target.partition("/_vh_plone")[2]
