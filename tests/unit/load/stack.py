"""A stack that misbehaves on purpose: a list of faults, each used once, and an exact count of what it was asked."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FILE = bytes(range(256)) * 1024
USER, PASSWORD = "admin", "planted-secret"
_BASIC, _TOKEN = "Basic YWRtaW46cGxhbnRlZC1zZWNyZXQ=", "Bearer planted-token"


@dataclass
class Stack:
    """Serves on a unix socket. `faults` go to requests whose target matches `victims`."""

    path: Path
    faults: deque[str] = field(default_factory=deque)
    victims: str = "/health/live"
    slot: str = "blue"
    release: str = "20261124T000000Z-py3.9-0123abcd"
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    documents: list[tuple[str, str]] = field(default_factory=list)
    slow_bodies: list[float] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"unix:{self.path}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve as long as the block lasts, on the loop that runs."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        try:
            yield
        finally:
            self._server.close()

    def leave(self) -> None:
        """Accept no more connections; those there are go on."""
        self._server.close()

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, target)) for _, target, _ in self.asked)

    @contextmanager
    def on_a_port(self) -> Iterator[str]:
        """Serve on loopback in a thread, for a load generator that is a process of its own; yield the address."""
        loop = asyncio.new_event_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, sock=listening), loop).result()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                self.asked.append((method, target, number))
                await self._answer(method, target, fields, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, method, target, fields, reader, writer) -> None:
        fault = self.faults.popleft() if self.faults and re.search(self.victims, target) else ""
        if fault in ("reset", "close", "garbage", "hang"):
            await self._no_answer(fault, writer)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        sent = await reader.readexactly(int(fields.get("content-length", 0)))
        if target == "/plone/@querystring-search":
            self.slow_bodies.append(loop.time() - begun)
        status, kind, body = self._page(method, target, fields, sent)
        if fault == "forget":  # made, and made again by somebody who asked twice
            self.documents.append(("copy", self.documents[-1][1]))
        status = int(fault) if fault.isdigit() else status
        wrong = {"empty": b"", "other": b'{"error": "not what you asked for"}', "swap": bytes(len(body))}
        body = wrong.get(fault, body)
        # As an edge answers when nobody listens: in its own name.
        who = f"X-EduHub-Slot: {self.slot}\r\nX-EduHub-Release: {self.release}\r\n" if status != 503 else ""
        length = f"Content-Length: {len(body)}\r\n" if fault != "unbounded" else ""
        writer.write(f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{who}{length}\r\n".encode())
        writer.write(body[: len(body) // 2] if fault == "truncate" else body)
        await writer.drain()
        if fault in ("truncate", "unbounded"):
            raise ConnectionResetError

    async def _no_answer(self, fault, writer) -> None:
        if fault == "hang":
            await asyncio.sleep(5)
        if fault == "reset":
            if (taken := writer.get_extra_info("socket")).family == socket.AF_INET:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if fault == "garbage":
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        raise ConnectionResetError

    def _page(self, method, target, fields, sent) -> tuple[int, str, bytes]:
        path = urlsplit(target).path
        if path.startswith("/plone/") and fields["accept"] != "application/json":
            return 404, "application/json", b"{}"  # as Plone answers its services to those who accept anything else
        if path == "/file":
            return 200, "application/octet-stream", FILE
        if path == "/text":
            return 200, "text/plain", b"whatever"
        if path.endswith("/missing"):
            return 404, "application/json", b"{}"
        if path.startswith("/plone/submissions") and fields.get("authorization") not in (_BASIC, _TOKEN):
            return 401, "application/json", b"{}"
        answer = {"@id": self.url + target}
        if path.endswith("/@login"):
            answer = {"token": "planted-token"}
        elif path.endswith("/@search"):
            query = parse_qs(urlsplit(target).query)
            found = [each for each in self.documents if query["Title"][0] in each[1].split()]
            start, size = int(query["b_start"][0]), int(query["b_size"][0])
            items = [{"@id": f"{self.url}/{name}", "title": title} for name, title in found[start : start + size]]
            answer = {"items": items, "items_total": len(found)}
        elif method == "POST" and path == "/plone/submissions":
            document = json.loads(sent)
            self.documents.append((document["id"], document["title"]))
            return 201, "application/json", json.dumps({"id": document["id"]}).encode()
        elif path == "/health/live":
            answer = {"status": "live"}
        return 200, "application/json", json.dumps(answer).encode()
