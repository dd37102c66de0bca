"""What the site holds before the comparison begins: every type, and an item for each service to speak about."""

from __future__ import annotations

import base64
import hashlib

from tests.bridge.door import PASSWORDS, Answer, Door, Request

FILE = hashlib.shake_128(b"compat").digest(100_000)
# 16 x 16, red: small enough to read here, large enough to scale.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGUlEQVR4nGP4z8BAEmIYVTGqYlTFqIoBqwAAl3z/AdCYjlAAAAAASUVORK5CYII="
)


def upload(data: bytes, kind: str, name: str) -> dict[str, str]:
    """Return a file as plone.restapi takes it in JSON."""
    return {"data": base64.b64encode(data).decode(), "encoding": "base64", "content-type": kind, "filename": name}


def _add(where: str, kind: str, name: str, **more: object) -> Request:
    keep = {name.replace("-", "_"): "json:UID"}
    return Request("POST", where, json={"@type": kind, "id": name, "title": name.title(), **more}, keep=keep)


def _publish(path: str) -> Request:
    return Request("POST", f"{path}/@workflow/publish", json={"include_children": True})


_HTML = {"content-type": "text/html", "encoding": "utf-8"}
SITE = (
    Request("PATCH", "/@registry", json={
        "plone.app.discussion.interfaces.IDiscussionSettings.globally_enabled": True,
        "plone.app.discussion.interfaces.IDiscussionSettings.edit_comment_enabled": True,
        "plone.available_languages": ["en", "de"],
    }),
    Request("POST", "/@addons/plone.app.multilingual/install"),
    Request("POST", "/@addons/plone.app.iterate/install"),
    Request("POST", "/@users", json={
        "username": "member", "email": "member@campus.example", "fullname": "Márta Member", "roles": ["Member"],
        "password": PASSWORDS["member"],
    }),
    Request("PATCH", "/@users/member", json={"portrait": upload(PNG, "image/png", "member.png")}),
    Request("POST", "/@groups", json={"groupname": "staff", "title": "Staff", "users": ["member"], "roles": []}),
)  # fmt: skip
CONTENT = (
    _add("/", "Folder", "compat", description="Käse & cheese"),
    _add("/compat", "Document", "document", subjects=["été", "a b"], text={
        "data": "<p>Read <a href='resolveuid/{compat}'>its folder</a>.</p>", **_HTML}),
    _add("/compat", "News Item", "news", image=upload(PNG, "image/png", "red.png"), image_caption="Red"),
    _add("/compat", "Event", "event", start="2027-03-01T08:00:00+00:00", end="2027-03-01T09:00:00+00:00"),
    _add("/compat", "Link", "link", remoteUrl="https://campus.example/x?y=z"),
    _add("/compat", "File", "file", file=upload(FILE, "application/pdf", "réport.pdf")),
    _add("/compat", "Image", "picture", image=upload(PNG, "image/png", "red.png")),
    _add("/compat", "Collection", "collection", query=[
        {"i": "portal_type", "o": "plone.app.querystring.operation.selection.any", "v": ["Document"]}]),
    _add("/compat", "Document", "talked-about", allow_discussion=True),
    _add("/compat", "Document", "revised"),
    _add("/compat", "Document", "related", relatedItems=["{document}"]),
    _add("/compat", "Document", "shared"),
    _add("/compat", "Document", "checked-out"),
    _add("/compat", "Document", "locked"),
    _add("/compat", "Folder", "ruled"),
    _publish("/compat"),
    _add("/compat", "Document", "draft"),
    Request("POST", "/compat/talked-about/@comments", json={"text": "First"}, keep={"comment": "header:location"}),
    Request("POST", "/compat/talked-about/@comments", json={"text": "Second <b>"}),
    Request("PATCH", "/compat/revised", json={"title": "Again", "changeNote": "better"}),
    Request("PATCH", "/compat/revised", json={"title": "And again"}),
    Request("POST", "/compat/shared/@sharing", json={
        "entries": [{"id": "member", "type": "user", "roles": {"Editor": True}}], "inherit": False}),
    Request("POST", "/compat/shared/@aliases", json={"items": [{"path": "/once-shared"}]}),
    Request("POST", "/compat/checked-out/@workingcopy"),
    # A lock of Plone ends after ten minutes unless it is refreshed; this one holds as long as the comparison takes.
    Request("POST", "/compat/locked/@lock", json={"timeout": 86_400}),
    _add("/en", "Document", "page"),
    _add("/de", "Document", "seite", language="de"),
    Request("POST", "/en/page/@translations", json={"id": "{base}/de/seite"}),
)  # fmt: skip


def seed(door: Door) -> None:
    """Make the content, as the administrator; raise AssertionError where Plone refuses."""
    kept: dict[str, str] = {}
    for step in (*SITE, *CONTENT):
        request = Request(**{**vars(step.filled(kept)), "user": "admin"})
        answer = door.ask(request)
        assert answer.status < 300, f"{request.name}: {answer.status} {answer.body[:2000]!r}"
        kept.update(remember(step, answer, door))


def remember(step: Request, answer: Answer, door: Door) -> dict[str, str]:
    """Return what a step keeps of its answer; addresses of the site become paths below it."""
    kept = {}
    for name, where in step.keep.items():
        kind, _, place = where.partition(":")
        if kind == "body":
            found = answer.body.decode()
        elif kind == "header":
            found = answer.field(place)
        else:
            found = answer.json()
            for part in place.split("."):
                found = found[int(part)] if isinstance(found, list) else found[part]
        kept[name] = str(found).removeprefix(door.base)
    return kept
