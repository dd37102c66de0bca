"""A server in Plone's place that behaves as its path says and keeps what it was sent, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any

SITE = "/Plone"
BLOCK = bytes(range(256)) * 256  # 64 KiB


@dataclass
class Seen:
    """One request as it arrived: `connection` numbers the connections, `sent` counts bytes answered so far."""

    connection: int
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    sent: int = 0
    lost: bool = False

    def field(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name]


@dataclass
class Plone:
    """Serves on loopback in a thread of its own, between start() and stop()."""

    seen: list[Seen] = field(default_factory=list)
    ok: int = 200
    probes: int = 0
    slow: float = 0.0
    trouble: str = ""
    says: list[str] = field(default_factory=list)
    running: bool = False
    pids: int = 0
    port: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    inside: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    told: dict[tuple[str, str], tuple[str, bytes, tuple[str, ...]]] = field(default_factory=dict)

    def tell(self, method: str, path: str, status: str, document: Any, *fields: str) -> None:
        """Let plone.restapi's way of answering be: `document` as JSON, bytes as they are."""
        if not isinstance(document, bytes):
            document, fields = json.dumps(document).encode(), ("Content-Type: application/json", *fields)
        self.told[method, path] = (status, document, fields)

    def start(self, port: int = 0) -> Plone:
        self._loop = asyncio.new_event_loop()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(5)
        self.running = True
        return self

    def stop(self) -> None:
        self.running = False
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._listening.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SITE}"

    def _run(self, started: threading.Event) -> None:
        async def main() -> None:
            await asyncio.start_server(self._serve, sock=self._listening, limit=1 << 20)
            started.set()

        self._loop.run_until_complete(main())
        self._loop.run_forever()

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._loop.run_until_complete(end())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pids += 1
        number, answered = self.pids, 0
        try:
            while (seen := await _head(reader, number)) is not None:
                await self._answer(seen, reader, writer, answered)
                answered += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answered: int
    ) -> None:
        if seen.target == f"{SITE}/ok":
            self.probes += 1
            return await _say(writer, f"{self.ok} Whatever", b"OK")
        self.seen.append(seen)
        behaviour = seen.target.partition("?")[0].rpartition("/_vh_plone/")[2].removesuffix("/@@download")
        if behaviour == "early":
            return await _say(writer, "413 Too Large", b"no")
        seen.body = await _body(seen, reader)
        if behaviour == "stale" and answered:
            raise ConnectionResetError  # the connection was kept alive, and dies when it is used again
        below = seen.target.partition("?")[0].partition("/_vh_plone")[2].lstrip("/")
        if (seen.method, below) in self.told:
            status, document, fields = self.told[seen.method, below]
            return await _say(writer, status, document, *fields, alone=seen.method == "HEAD")
        behaviour = self.trouble or behaviour
        handler = getattr(self, f"_{behaviour.rpartition('/')[2].replace('-', '_')}", self._hello)
        self.inside[seen.method] = self.inside.get(seen.method, 0) + 1
        self.most[seen.method] = max(self.most.get(seen.method, 0), self.inside[seen.method])
        try:
            return await handler(seen, writer)
        finally:
            self.inside[seen.method] -= 1

    async def _hello(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.slow)
        await _say(writer, "200 OK", b"hello", "Content-Type: text/plain", "X-Plone: yes")

    async def _headers(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(
            writer, "200 Very Fine", b"x", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2, c", "Connection: X-Private",
            "X-Private: yes", "Keep-Alive: timeout=5", "Trailer: X", "ETag: \"caf\xe9\"",
            "Date: Sat, 01 Jan 2000 00:00:00 GMT",
        )  # fmt: skip

    async def _whoami(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.slow)
        await _say(writer, "200 OK", ", ".join(seen.field("authorization") + seen.field("cookie")).encode(), *self.says)

    async def _gzip(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "200 OK", gzip.compress(BLOCK, mtime=0), "Content-Encoding: gzip", "Vary: Accept-Encoding")

    async def _range(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        first, last = (int(end) for end in seen.field("range")[0].partition("=")[2].split("-"))
        part = BLOCK[first : last + 1]
        await _say(writer, "206 Partial Content", part, f"Content-Range: bytes {first}-{last}/{len(BLOCK)}")

    async def _redirect(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "302 Found", b"", "Location: http://elsewhere.example/x")

    async def _nothing(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def _unchanged(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: "7"\r\n\r\n')

    async def _head_with_body(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        """As Zope does: the body follows a HEAD too. This one, a file somebody uploaded, looks like an answer."""
        body = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(body)

    async def _head_and_body(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        """The same in one packet, as Zope does with what is short."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")

    async def _head_only(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")

    async def _chunked(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-T: 1\r\n\r\n")

    async def _digest(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "201 Created", hashlib.sha256(seen.body).hexdigest().encode())

    async def _endless(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """64 MiB, counted as far as the other side takes them."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1024 * len(BLOCK)))
        try:
            for _ in range(1024):
                writer.write(BLOCK)
                await writer.drain()
                seen.sent += len(BLOCK)
        except ConnectionError:
            seen.lost = True
            raise

    async def _drip(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Two bytes, the second when `release` is set."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        seen.lost = not await self._released()
        writer.write(b"b")

    async def _wait(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await self._released()
        await _say(writer, "200 OK", b"late")

    async def _released(self) -> bool:
        return await asyncio.get_running_loop().run_in_executor(None, self.release.wait, 10)

    async def _count(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """How often it was asked for, or 304 if the client's condition says that it has what `says` says."""
        await asyncio.sleep(self.slow)
        said = {value for _, _, value in (line.partition(": ") for line in self.says)}
        if said.intersection(seen.field("if-none-match") + seen.field("if-modified-since")):
            writer.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
            return
        number = sum("count" in each.target for each in self.seen)
        await _say(writer, "200 OK", b"%d" % number, "X-Plone: yes", *self.says)

    async def _status(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, f"{seen.target.partition('?')[2]} Whatever", b"said")

    async def _refused(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "401 Unauthorized", b"no")

    async def _long(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "200 OK", 32 * BLOCK)

    async def _long_chunked(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _each in range(32):
            writer.write(b"10000\r\n" + BLOCK + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def _block(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "200 OK", BLOCK)

    async def _broken(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "500 Internal Server Error", b"bug")

    async def _broken_late(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await self._released()
        await _say(writer, "500 Internal Server Error", b"bug")

    async def _key_error(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "503 Service Unavailable", b"KeyError", "X-Powered-By: Zope (www.zope.dev)")

    async def _unavailable(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "503 Service Unavailable", b"busy")

    async def _closed(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "503 Service Unavailable", b"closed", "Retry-After: 60", "EduHub-Writes: closed")

    async def _silent(self, _: Seen, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async def _silent_inside(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await asyncio.sleep(5)

    async def _drip_head(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        """A byte every 0.1 s: never silent, and never done."""
        await self._dripped(writer, b"HTTP/1.1 200 OK\r\nX: ")

    async def _drip_body(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        await self._dripped(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    async def _dripped(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(head)
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    async def _hang_up(self, _: Seen, __: asyncio.StreamWriter) -> None:
        raise ConnectionResetError

    async def _garbage(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async def _cut(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        raise ConnectionResetError

    async def _cut_chunked(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        raise ConnectionResetError

    async def _reset(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await asyncio.sleep(0.05)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def _head(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    pairs = [(name, value.strip()) for name, _, value in (each.partition(":") for each in fields)]
    return Seen(connection, method, target, pairs)


async def _body(seen: Seen, reader: asyncio.StreamReader) -> bytes:
    if seen.field("transfer-encoding"):
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body
    return await reader.readexactly(int((seen.field("content-length") or ["0"])[0]))


async def _say(writer: asyncio.StreamWriter, status: str, body: bytes, *fields: str, alone: bool = False) -> None:
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""])
    writer.write(head.encode("latin-1") + (b"" if alone else body))
    await writer.drain()
