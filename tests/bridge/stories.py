"""The requests that write. Each story is told to Plone and then through each bridge, and leaves the site as it was.

A story begins with an empty folder /story, where the member may add content; later steps use what earlier ones kept.
"""

from __future__ import annotations

from typing import Any

from tests.bridge.door import PASSWORDS, Request
from tests.bridge.seed import FILE, PNG, upload

BEFORE = (
    Request("DELETE", "/story", user="admin"),
    Request("POST", "/", json={"@type": "Folder", "id": "story", "title": "Story"}, user="admin"),
    Request("POST", "/story/@sharing", user="admin", json={
        "entries": [{"id": "member", "type": "user", "roles": {"Contributor": True, "Editor": True}}]}),
)  # fmt: skip
_ALL = r"(?s)\A.*\Z"  # the list of all transactions ever, which a story makes longer; reads.py compares it
_WHOLE = {"prefer": "return=representation"}


def _do(method: str, path: str, json: Any = None, *, user: str = "admin", **more: Any) -> Request:
    return Request(method, path, json=json, user=user, **more)


def _add(kind: str, name: str, **more: Any) -> Request:
    where = more.pop("where", "/story")
    return _do("POST", where, {"@type": kind, "id": name, "title": name, **more}, keep={name: "json:UID"})


def _multipart(**parts: tuple[str, str, bytes] | str) -> dict[str, Any]:
    body = b""
    for name, part in parts.items():
        file, kind, data = part if isinstance(part, tuple) else ("", "", part.encode())
        head = f'--edge\r\nContent-Disposition: form-data; name="{name}"'
        head += f'; filename="{file}"\r\nContent-Type: {kind}' if file else ""
        body += head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return {
        "body": body + b"--edge--\r\n",
        "fields": {"content-type": "multipart/form-data; boundary=edge", "x-csrf-token": "{csrf}"},
    }


def _tus(path: str, name: str, **more: str) -> Request:
    encoded = "ZmlsZS5wZGY="  # file.pdf
    fields = {"tus-resumable": "1.0.0", "upload-length": str(len(FILE)),
              "upload-metadata": f"filename {encoded},content-type YXBwbGljYXRpb24vcGRm", **more}  # fmt: skip
    return _do("POST", path, user=name, fields=fields, keep={"place": "header:location"})


def _chunk(first: int, last: int, *, user: str = "admin", **more: str) -> Request:
    fields = {"tus-resumable": "1.0.0", "upload-offset": str(first), "content-type": "application/offset+octet-stream"}
    return _do("PATCH", "{place}", user=user, body=FILE[first:last], fields={**fields, **more})


_ACTION = {"type": "plone.actions.Workflow", "transition": "publish"}
_CONDITION = {"type": "plone.conditions.PortalType", "check_types": ["Document"]}
STORIES: dict[str, list[Request]] = {
    "content of each type": [
        step
        for kind, fields in {
            "Document": {"description": "Straße", "subjects": ["á"], "text": {"data": "<p>x</p><script>y</script>"}},
            "News Item": {"image": upload(PNG, "image/png", "n.png")},
            "Event": {"start": "2027-01-01T10:00:00", "end": "2027-01-01T11:00:00", "whole_day": False},
            "Link": {"remoteUrl": "{base}/courses"},
            "File": {"file": upload(FILE, "application/pdf", "ü.pdf")},
            "Image": {"image": upload(PNG, "image/png", "i.png")},
            "Folder": {},
            "Collection": {"query": [], "limit": 3},
        }.items()
        for step in (
            _do(
                "POST",
                "/story",
                {"@type": kind, "title": f"A {kind}", **fields},
                user="member",
                keep={"item": "json:@id", "uid": "json:UID"},
            ),
            _do("GET", "{item}", user="member"),
            _do("PATCH", "{item}", {"title": "Better"}, user="member"),
            _do("PATCH", "{item}", {"title": "Best"}, fields=_WHOLE),
            _do("GET", "/resolveuid/{uid}"),
            _do("DELETE", "{item}", user="member"),
            _do("GET", "{item}"),
        )
    ],
    "the order of a folder": [
        _add("Document", "one"),
        _add("Document", "two"),
        _add("Document", "three"),
        _do("PATCH", "/story", {"ordering": {"obj_id": "three", "delta": "top"}}),
        _do("GET", "/story"),
        _do("PATCH", "/story", {"ordering": {"obj_id": "three", "delta": 1, "subset_ids": ["x"]}}),
        _do("PATCH", "/story", {"sort": {"on": "sortable_title", "order": "ascending"}}),
        _do("GET", "/story"),
        _do("PATCH", "/story/one", {"title": "x", "relatedItems": ["{two}"]}),
        _do("DELETE", "/story/two"),
        _do("GET", "/@linkintegrity?uids={one}"),
    ],
    "no right to do so": [
        _add("Document", "one"),
        _do("PATCH", "/story/one", {"title": "x"}, user=""),
        _do("DELETE", "/story/one", user=""),
        _do("POST", "/story", {"@type": "Document"}, user=""),
        _do("POST", "/", {"@type": "Document"}, user="member"),
        _do("POST", "/story/one/@workflow/publish", user="member"),
        _do("POST", "/@addons/none/install", user="member"),
        _do("PATCH", "/@registry", {"plone.site_title": "x"}, user="member"),
        _do("POST", "/@groups", {}, user="member"),
        _do("POST", "/story/one/@sharing", {"entries": []}, user=""),
        _do("PATCH", "/@users/admin", {}, user="member"),
    ],
    "workflow": [
        _add("Document", "one"),
        _do("POST", "/story/one/@workflow/submit", {"comment": "please"}, user="member"),
        _do("POST", "/story/one/@workflow/publish", {"comment": "yes", "effective": "2027-01-01T00:00:00"}),
        _do("GET", "/story/one/@workflow"),
        _do("GET", "/story/one/@history"),
        _do("GET", "/story/one", user=""),
        _do("POST", "/story/one/@workflow/publish"),
        _do("POST", "/story/one/@workflow/retract"),
    ],
    "copies and moves": [
        _add("Folder", "from"),
        _add("Folder", "to"),
        _add("Document", "one", where="/story/from"),
        _do("POST", "/story/to/@copy", {"source": "{base}/story/from/one"}),
        _do("POST", "/story/to/@copy", {"source": ["/story/from/one", "{one}"]}, user="member"),
        _do("POST", "/story/to/@move", {"source": "/story/from/one"}),
        _do("GET", "/story/to"),
        _do("POST", "/story/to/@move", {"source": "{base}/story/to"}),
        _do("GET", "/story/from/one"),
        _do("GET", "/story/from/one", fields={"accept": "text/html"}),
        _do("PATCH", "/story/to/one", {"id": "uno"}),
    ],
    "locks": [
        _add("Document", "one"),
        _do("POST", "/story/one/@lock", user="member", keep={"lock": "json:token"}),
        _do("GET", "/story/one/@lock"),
        _do("PATCH", "/story/one", {"title": "x"}),
        _do("PATCH", "/story/one/@lock", user="member"),
        _do("PATCH", "/story/one", {"title": "y"}, fields={"lock-token": "{lock}"}, user="member"),
        _do("DELETE", "/story/one/@lock", {"force": True}),
        _do("GET", "/story/one/@lock"),
        _do("POST", "/story/one/@lock", {"timeout": 60, "stealable": False}),
        _do("DELETE", "/story/one"),
        _do("POST", "/@lock"),
        _do("PATCH", "/@lock"),
        _do("DELETE", "/@lock"),
    ],
    "earlier versions": [
        _add("Document", "one"),
        _do("PATCH", "/story/one", {"title": "two", "changeNote": "second"}),
        _do("GET", "/story/one/@history"),
        _do("GET", "/story/one/@history/0"),
        _do("GET", "/story/one?version=0"),
        _do("PATCH", "/story/one/@history", {"version": 0}),
        _do("GET", "/story/one"),
        _do("PATCH", "/story/one/@history", {}),
    ],
    "working copies": [
        _add("Document", "one"),
        _do("POST", "/story/one/@workingcopy", keep={"copy": "json:@id"}),
        _do("GET", "/story/one/@workingcopy"),
        _do("PATCH", "{copy}", {"title": "worked on"}),
        _do("GET", "{copy}/@workingcopy"),
        _do("PATCH", "{copy}/@workingcopy"),
        _do("GET", "/story/one"),
        _do("POST", "/story/one/@workingcopy", keep={"copy": "json:@id"}),
        _do("DELETE", "{copy}/@workingcopy"),
        _do("GET", "{copy}"),
    ],
    "comments": [
        _add("Document", "one"),
        _do("PATCH", "/story/one", {"allow_discussion": True}),
        _do("POST", "/story/one/@workflow/publish"),
        _do("POST", "/story/one/@comments", {"text": "Hé <b>"}, user="member", keep={"comment": "header:location"}),
        _do("POST", "{comment}", {"text": "Reply"}, keep={"reply": "header:location"}),
        _do("GET", "/story/one/@comments", user=""),
        _do("PATCH", "{comment}", {"text": "Changed"}, user="member"),
        _do("PATCH", "{comment}", {"text": "x"}, user=""),
        _do("POST", "/story/one/@comments", {}),
        _do("POST", "/story/one/@comments", {"text": "x"}, user=""),
        _do("DELETE", "{reply}"),
        _do("DELETE", "{comment}"),
        _do("GET", "/story/one/@comments"),
    ],
    "sharing": [
        _add("Document", "one"),
        _do("GET", "/story/one/@sharing"),
        _do(
            "POST",
            "/story/one/@sharing",
            {
                "inherit": False,
                "entries": [{"id": "staff", "type": "group", "roles": {"Reader": True, "Editor": False}}],
            },
        ),
        _do("GET", "/story/one/@sharing?search=staff"),
        _do("GET", "/story/one", user="member"),
        _do("POST", "/story/one/@sharing", {"entries": "x"}, fields=_WHOLE),
    ],
    "aliases": [
        _add("Document", "one"),
        _do("POST", "/story/one/@aliases", {"items": [{"path": "/uno"}, {"path": "/eins"}]}),
        _do("GET", "/story/one/@aliases"),
        _do("GET", "/uno", user="member"),
        _do("GET", "/eins", fields={"accept": "text/html"}),
        _do("POST", "/story/one/@aliases", {"items": [{"path": "/uno"}]}),
        _do("DELETE", "/story/one/@aliases", {"items": [{"path": "/uno"}]}),
        _do("POST", "/@aliases", {"items": [{"path": "/due", "redirect-to": "/story/one"}]}),
        _do("GET", "/@aliases?q=/due"),
        _do("DELETE", "/@aliases", {"items": [{"path": "/due"}, {"path": "/eins"}]}),
        _do("GET", "/due"),
        _do("POST", "/@aliases", {"items": [{"path": "no", "redirect-to": "/none"}]}),
    ],
    "translations": [
        _add("Document", "one", where="/en"),
        _add("Document", "eins", where="/de"),
        _do("POST", "/en/one/@translations", {"id": "{base}/de/eins"}),
        _do("GET", "/en/one/@translations"),
        _do("POST", "/en/one/@translations", {"id": "/de/eins"}),
        _do("DELETE", "/en/one/@translations", {"language": "de"}),
        _do(
            "POST",
            "/de",
            {"@type": "Document", "id": "uno", "title": "x", "translation_of": "/en/one", "language": "de"},
        ),
        _do("POST", "/en/one/@translations", {"id": "none"}),
        _do("DELETE", "/en/one/@translations", {"language": "fr"}),
        _do("DELETE", "/en/one"),
        _do("DELETE", "/de/eins"),
        _do("DELETE", "/de/uno"),
    ],
    "relations": [
        _add("Document", "one"),
        _add("Document", "two"),
        _do("POST", "/@relations", {"items": [{"relation": "relatedItems", "source": "{one}", "target": "{two}"}]}),
        _do("GET", "/@relations?source={one}"),
        _do("GET", "/story/one"),
        _do("POST", "/@relations", {"items": [{"relation": "relatedItems", "source": "none", "target": "{two}"}]}),
        _do("POST", "/@relations/rebuild", {"flush": 0}),
        _do("DELETE", "/@relations", {"items": [{"relation": "relatedItems", "source": "{one}", "target": "{two}"}]}),
        _do("GET", "/@relations?source={one}"),
    ],
    "content rules": [
        _do(
            "POST",
            "/@controlpanels/content-rules",
            {
                "title": "Rule",
                "description": "",
                "event": "Object added to this container",
                "enabled": True,
                "stopExecuting": False,
                "cascading": False,
            },
            keep={"rule": "json:@id"},
        ),
        _do("GET", "/@controlpanels/content-rules"),
        _do("GET", "{rule}"),
        _do("POST", "{rule}/condition", _CONDITION),
        _do("POST", "{rule}/action", _ACTION),
        _do("GET", "{rule}"),
        _do("POST", "/story/@content-rules/rule-1"),
        _do("GET", "/story/@content-rules"),
        _do("PATCH", "/story/@content-rules", {"form.button.Bubble": True, "rule_ids": ["rule-1"]}),
        _do("PATCH", "/story/@content-rules", {"form.button.Nothing": True}),
        _do("DELETE", "/story/@content-rules", {"rule_ids": ["rule-1"]}),
        _do("DELETE", "{rule}"),
    ],
    "users": [
        _do(
            "POST",
            "/@users",
            {"username": "{who}", "email": "ada@campus.example", "password": "Right-Horse-1", "roles": ["Member"]},
        ),
        _do("POST", "/@users", {"username": "{who}", "email": "ada@campus.example", "password": "Right-Horse-1"}),
        _do("GET", "/@users/{who}"),
        _do("POST", "/@users", {"username": "bob", "email": "no", "password": "x"}),
        _do(
            "PATCH",
            "/@users/{who}",
            {"fullname": "Ada Löve", "roles": {"Reviewer": True}, "portrait": upload(PNG, "image/png", "a.png")},
        ),
        _do("GET", "/@portrait/{who}"),
        _do("PATCH", "/@users/{who}", {"portrait": None}),
        _do("GET", "/@users/{who}", user="member"),
        _do("POST", "/@users/{who}/reset-password", {"old_password": "Right-Horse-1", "new_password": "Other-Horse-2"}),
        _do("POST", "/@users/{who}/reset-password", {"reset_token": "none", "new_password": "x"}, user=""),
        _do("PATCH", "/@users/member", {"description": "me"}, user="member"),
        _do("PATCH", "/@users/member", {"description": ""}),
        _do("DELETE", "/@users/{who}", user="member"),
        _do("DELETE", "/@users/{who}?delete_memberareas=0"),
        _do("GET", "/@users/{who}"),
        _do("POST", "/@users", {"username": "eve", "email": "e@campus.example", "password": "Right-Horse-1"}, user=""),
    ],
    "groups": [
        _do("POST", "/@groups", {"groupname": "tutors", "title": "Tutors", "roles": ["Editor"], "users": ["member"]}),
        _do("POST", "/@groups", {"groupname": "tutors"}),
        _do("GET", "/@groups/tutors"),
        _do("PATCH", "/@groups/tutors", {"title": "All tutors", "users": {"member": False}, "roles": []}),
        _do("GET", "/@groups/tutors"),
        _do("DELETE", "/@groups/tutors"),
        _do("DELETE", "/@groups/tutors"),
        _do("GET", "/@principals?search=tut"),
    ],
    "tokens": [
        _do(
            "POST",
            "/@login",
            {"login": "member", "password": PASSWORDS["member"]},
            user="",
            keep={"token": "json:token"},
        ),
        _do("GET", "/story", user="", fields={"authorization": "Bearer {token}"}),
        _do("GET", "/@registry", user="", fields={"authorization": "Bearer {token}"}),
        _do(
            "POST",
            "/story",
            {"@type": "Document", "title": "By token"},
            user="",
            fields={"authorization": "Bearer {token}"},
        ),
        _do("POST", "/@login-renew", user="", fields={"authorization": "Bearer {token}"}, keep={"newer": "json:token"}),
        _do("GET", "/story", user="", fields={"authorization": "Bearer {newer}"}),
        _do("POST", "/@login-renew", user=""),
        _do("POST", "/@logout", user="", fields={"authorization": "Bearer {newer}"}),
        _do("GET", "/story", user="", fields={"authorization": "Bearer {newer}x"}),
    ],
    "a session of the pages": [
        _do(
            "POST",
            "/login",
            user="",
            body=f"__ac_name=member&__ac_password={PASSWORDS['member']}&buttons.login=Log+in".encode(),
            fields={"content-type": "application/x-www-form-urlencoded", "accept": "text/html"},
            keep={"session": "header:set-cookie"},
        ),
        _do("GET", "/story", user="", fields={"cookie": "{session}"}),
        _do("GET", "/logout", user="", fields={"cookie": "{session}", "accept": "text/html"}),
    ],
    "control panels": [
        _do("PATCH", "/@controlpanels/editing", {"ext_editor": True}),
        _do("GET", "/@controlpanels/editing"),
        _do("PATCH", "/@controlpanels/editing", {"ext_editor": False}),
        _do("PATCH", "/@controlpanels/editing", {"ext_editor": "no"}),
        _do("PATCH", "/@controlpanels/none", {}),
        _do("PATCH", "/@controlpanels/editing", {"ext_editor": True}, user="member"),
        _do("POST", "/@controlpanels/dexterity-types", {"title": "Talk", "description": ""}),
        _do("GET", "/@controlpanels/dexterity-types/talk"),
        _do("PATCH", "/@controlpanels/dexterity-types/talk", {"title": "Speech"}),
        _do("DELETE", "/@controlpanels/dexterity-types/talk"),
    ],
    "the registry": [
        _do("PATCH", "/@registry", {"plone.site_title": "Another"}),
        _do("GET", "/@registry/plone.site_title"),
        _do("GET", "/@site"),
        _do("PATCH", "/@registry", {"plone.site_title": "Plone site"}),
        _do("PATCH", "/@registry", {"plone.site_title": 7}),
    ],
    "types": [
        _do("POST", "/@controlpanels/dexterity-types", {"title": "Talk", "description": ""}),
        _do("POST", "/@types/talk", {"factory": "Text line (String)", "title": "Speaker"}),
        _do("GET", "/@types/talk"),
        _do("POST", "/@types/talk", {"factory": "fieldset", "title": "More"}),
        _do("PATCH", "/@types/talk", {"fieldsets": [{"id": "more", "title": "Even more", "fields": ["speaker"]}]}),
        _do("PATCH", "/@types/talk/speaker", {"title": "Who"}),
        _do("PUT", "/@types/talk", {"layouts": ["view"], "fieldsets": [], "properties": {}}),
        _do("GET", "/@types/talk/speaker"),
        _do("POST", "/story", {"@type": "talk", "title": "x", "speaker": "Ada"}),
        _do("DELETE", "/@types/talk/speaker"),
        _do("DELETE", "/@types/talk/none"),
        _do("DELETE", "/@controlpanels/dexterity-types/talk"),
    ],
    "add-ons": [
        _do("POST", "/@addons/plone.session/install"),
        _do("GET", "/@addons/plone.session"),
        _do("POST", "/@addons/plone.session/upgrade"),
        _do("POST", "/@addons/plone.session/uninstall", fields=_WHOLE),
        _do("POST", "/@addons/none/install"),
        _do("POST", "/@addons/plone.session/profiles/default"),
    ],
    "undo": [
        _add("Document", "one"),
        _do("PATCH", "/story/one", {"title": "changed"}),
        _do("GET", "/@transactions", keep={"last": "json:0.id"}, volatile=(_ALL,)),
        _do("PATCH", "/@transactions", {"transaction_ids": ["{last}"]}),
        _do("GET", "/story/one"),
        _do("PATCH", "/@transactions", {"transaction_ids": ["none"]}),
    ],
    "an upload in parts": [
        _tus("/story/@tus-upload", "member"),
        _do("HEAD", "{place}", user="member", fields={"tus-resumable": "1.0.0"}),
        _chunk(0, 60_000, user="member"),
        _do("HEAD", "{place}", user="member", fields={"tus-resumable": "1.0.0"}),
        _chunk(10, 20, user="member"),
        _chunk(60_000, len(FILE), user="member"),
        _do("HEAD", "{place}", user="member", fields={"tus-resumable": "1.0.0"}),
        _do("GET", "/story/file.pdf", user="member"),
        _do("GET", "/story/file.pdf/@@download/file", user="member", fields={"range": "bytes=59990-60009"}),
        _tus("/story/file.pdf/@tus-replace", "admin"),
        _chunk(0, len(FILE)),
        _do("GET", "/story/file.pdf"),
        _tus("/story/@tus-upload", "admin", **{"tus-resumable": "0.1.0"}),
        _tus("/story/@tus-upload", ""),
        _do("PATCH", "/story/@tus-upload/none", body=b"x", fields={"tus-resumable": "1.0.0", "upload-offset": "0"}),
    ],
    "an upload to the site": [
        _tus("/@tus-upload", "admin"),
        _do("HEAD", "{place}", fields={"tus-resumable": "1.0.0"}),
        _chunk(0, len(FILE)),
        _do("GET", "/file.pdf"),
        _do("DELETE", "/file.pdf"),
    ],
    "an upload of a form": [
        _do("GET", "/@@authenticator/token", keep={"csrf": "body:"}),
        _do("POST", "/story/fileUpload", **_multipart(file=("ü.png", "image/png", PNG))),
        _do("GET", "/story/u.png"),
        _do("POST", "/story/fileUpload", **_multipart(file=("f.pdf", "application/pdf", FILE))),
        _do("GET", "/story/f.pdf"),
        _do("GET", "/story/f.pdf/@@download/file"),
        _do("POST", "/story/fileUpload", user="", **_multipart(file=("f.pdf", "application/pdf", FILE))),
    ],
    "letters": [
        _do(
            "POST",
            "/@email-send",
            {"to": "a@campus.example", "message": "x", "name": "n", "from": "b@campus.example", "subject": "s"},
        ),
        _do("POST", "/@email-notification", {"from": "a@campus.example", "message": "m", "name": "n", "subject": "s"}),
    ],
    "repairs": [_do("POST", "/@upgrade", {"dry_run": True}), _do("POST", "/@upgrade", {"dry_run": False})],
}
