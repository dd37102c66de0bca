"""A server in Plone's place that keeps content as plone.restapi does, as far as jobs and live events ask.

Faults are planted by the test: `fault(method, what)` makes the next such write misbehave, before or after it is kept.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import unquote

from aiohttp import web

SITE = "/Plone"
TYPES = ("Document", "Folder")
_EDITORS = frozenset({"admin", "editor"})


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()


def token(user: str, mark: str = "1") -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"sub": user, "mark": mark}).encode()).decode().rstrip("=")
    return f"Bearer head.{payload}.signature"


@dataclass
class Item:
    path: str
    type: str
    uid: str
    fields: dict[str, Any]
    created: str
    modified: str
    state: str = "private"
    history: list[dict[str, Any]] = field(default_factory=list)


class Restapi:
    """Serves on loopback in a thread of its own. `writes` is what was kept, in order; `asked` every request.

    `fields` holds the header fields of each of `asked`, names in lower case.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.items: dict[str, Item] = {}
        self.writes: list[tuple[str, str]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.fields: list[dict[str, str]] = []
        self.faults: list[tuple[str, str]] = []
        self.revoked: set[str] = set()
        self.delay = 0.0
        self.record = True

    def start(self, port: int = 0) -> Restapi:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, started), daemon=True)
        self._thread.start()
        assert started.wait(5)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SITE}"

    def _run(self, port: int, started: threading.Event) -> None:
        self._loop = asyncio.new_event_loop()

        async def main() -> web.AppRunner:
            app = web.Application(client_max_size=1 << 26)
            app.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            started.set()
            return runner

        runner = self._loop.run_until_complete(main())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def fault(self, method: str, what: str) -> None:
        """`what`: "500 before", "500 after", "drop before", "drop after", "wait after" (a second), "turned away"."""
        self.faults.append((method, what))

    def put(self, path: str, kind: str = "Document", **fields: Any) -> Item:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        state = fields.pop("state", "private")
        item = Item(path, kind, f"{next(self._numbers) * 7919 % 1000003:06d}", fields, now, now, state)
        self.items[path] = item
        return item

    # Answers

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        target = request.raw_path.partition("?")[0]
        if target == f"{SITE}/ok":
            return web.Response(text="OK")
        host, _, below = target.partition("/VirtualHostRoot/_vh_plone")
        base = "{}://{}/plone".format(*host.removeprefix("/VirtualHostBase/").split("/")[:2]).replace(":80/", "/")
        names = [name for name in unquote(below).split("/") if name not in ("", "++api++")]
        path = "/" + "/".join(names)
        cookies = request.headers.get("cookie", "").split("__ac=")
        session = cookies[1] if cookies[1:] else request.headers.get("x-session-of", "")
        user = session or self._user(request.headers.get("authorization", ""))
        if self.record:
            self.asked.append((request.method, path, user))
            self.fields.append({name.lower(): value for name, value in request.headers.items()})
        context, _, service = path.partition("/@")
        context = context or "/"
        if service.startswith("users/"):
            name = service.removeprefix("users/")
            return web.json_response({"id": name, "username": name}) if user in (name, "admin") else _no(401)
        if service == "search":
            return self._search(request, user, base)
        if context != "/" and context not in self.items:
            return _no(404, "NotFound")
        if context != "/" and not self._sees(user, self.items[context]):
            return _no(401, "Unauthorized")
        if request.method == "GET":
            return self._read(context, service, base)
        if user not in _EDITORS:
            return _no(401, "Unauthorized")
        return await self._written(request, context, service, base)

    def _user(self, authorization: str) -> str:
        scheme, _, rest = authorization.partition(" ")
        if authorization in self.revoked or not rest:
            return ""
        if scheme == "Basic":
            name, _, password = base64.b64decode(rest).decode().partition(":")
            return name if password == "secret" else ""  # noqa: S105
        payload = rest.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "==="))["sub"]

    @staticmethod
    def _sees(user: str, item: Item) -> bool:
        return item.state == "published" or user in _EDITORS

    def _read(self, context: str, service: str, base: str) -> web.Response:
        if service == "types":
            return web.json_response([{"@id": f"{base}/@types/{name}", "addable": True} for name in TYPES])
        if service == "actions":
            offered = {"object": [{"id": "edit"}], "object_buttons": [{"id": "delete"}, {"id": "cut"}]}
            return web.json_response(offered)
        if context == "/":
            return web.json_response({"@id": base, "@type": "Plone Site"})
        item = self.items[context]
        if service == "workflow":
            offered = [] if item.state == "published" else [{"@id": f"{base}{context}/@workflow/publish"}]
            return web.json_response({"history": item.history, "transitions": offered})
        return web.json_response(self._document(item, base))

    @staticmethod
    def _document(item: Item, base: str) -> dict[str, Any]:
        return {
            **item.fields, "@id": base + item.path, "@type": item.type, "UID": item.uid, "created": item.created,
            "modified": item.modified, "review_state": item.state,
        }  # fmt: skip

    def _search(self, request: web.Request, user: str, base: str) -> web.Response:
        query = request.query
        found = [item for item in self.items.values() if self._sees(user, item)]
        if query.get("UID.range") == "min":
            found = [item for item in found if item.uid >= query["UID.query"]]
        if "UID" in query:
            found = [item for item in found if item.uid in query.getall("UID")]
        if query.get("path.depth") == "0" and "path.query" not in query:
            return web.json_response({"items": [{"@id": base, "UID": "root"}], "items_total": 1})
        if "path.query" in query:
            found = [item for item in found if item.path in query.getall("path.query")]
        if "portal_type" in query:
            found = [item for item in found if item.type in query.getall("portal_type")]
        sort = query.get("sort_on", "created")
        for name in ("created", "modified"):
            if f"{name}.query" in query:
                since = query[f"{name}.query"][:16]
                found = [item for item in found if getattr(item, name)[:16] >= since]
        downwards = query.get("sort_order") == "descending"
        found.sort(key=lambda item: getattr(item, sort.lower()), reverse=downwards)
        start, size = int(query.get("b_start", 0)), int(query.get("b_size", 25))
        page = [self._document(item, base) for item in found[start : start + size]]
        return web.json_response({"items": page, "items_total": len(found)})

    async def _written(self, request: web.Request, context: str, service: str, base: str) -> web.StreamResponse:
        body = json.loads(await request.read() or b"{}")
        fault = next((each for each in self.faults if each[0] == request.method), None)
        if fault:
            self.faults.remove(fault)
        what = fault[1] if fault else ""
        if self.delay:
            await asyncio.sleep(self.delay)
        if what == "500 before":
            return _no(500, "ConflictError")
        if what == "turned away":
            return web.Response(status=503, headers={"EduHub-Writes": "closed"}, text="closed")
        if what == "drop before":
            request.transport.abort()  # type: ignore[union-attr]
            return web.Response()
        answer = self._write(request.method, context, service, body, base)
        if request.method == "PATCH" and request.headers.get("prefer") == "return=representation":
            answer = web.json_response(self._document(self.items[context], base))
        if what == "wait after":
            await asyncio.sleep(1)
        if what == "500 after":
            return _no(500, "ConflictError")
        if what == "drop after":
            request.transport.abort()  # type: ignore[union-attr]
        return answer

    def _write(self, method: str, context: str, service: str, body: Any, base: str) -> web.Response:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        if service == "move":
            return self._move(context, body, base)
        if service.startswith("workflow/"):
            item = self.items[context]
            if item.state == "published":
                return _no(400, "WorkflowException")
            item.state, item.modified = "published", now
            item.history.append({"action": "publish", "review_state": "published"})
            self.writes.append(("publish", context))
            return web.json_response({"action": "publish", "review_state": "published"})
        if method == "POST":
            path = f"{context.rstrip('/')}/{body.get('id') or f'item-{time.time_ns()}'}"
            if path in self.items:
                return _no(400, "BadRequest", "The id is invalid - it is already in use.")
            if body["@type"] not in TYPES:
                return _no(403, "Forbidden", "Disallowed subobject type")
            fields = {name: value for name, value in body.items() if name not in ("@type", "id")}
            item = self.put(path, body["@type"], **fields)
            self.writes.append(("create", path))
            return web.json_response(self._document(item, base), status=201, headers={"Location": base + path})
        if method == "PATCH":
            self.items[context].fields.update(body)
            self.items[context].modified = now
            self.writes.append(("change", context))
        if method == "DELETE":
            for path in [each for each in self.items if each == context or each.startswith(f"{context}/")]:
                del self.items[path]
            self.writes.append(("delete", context))
        return web.Response(status=204)

    def _move(self, context: str, body: Any, base: str) -> web.Response:
        moved = []
        for source in body["source"]:
            item = self.items.pop(source, None)
            if item is not None:
                item.path = f"{context.rstrip('/')}/{source.rpartition('/')[2]}"
                self.items[item.path] = item
                self.writes.append(("move", item.path))
                moved.append({"source": base + source, "target": base + item.path})
        return web.json_response(moved)


def _no(status: int, kind: str = "Unauthorized", message: str = "no") -> web.Response:
    return web.json_response({"type": kind, "message": message, "traceback": ["secret line"]}, status=status)
