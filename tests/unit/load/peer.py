"""A server on a unix socket that does what it is told, in simulated seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"

# Answers one request, given its head; returns whether the connection stays open.
Answering = Callable[[bytes, asyncio.StreamWriter], Coroutine[Any, Any, bool]]


@asynccontextmanager
async def serving(path: Path, answering: Answering, **options: Any) -> AsyncIterator[list[int]]:
    """Serve as long as the block lasts; yields a list with a number for each connection."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        try:
            while await answering(await reader.readuntil(b"\r\n\r\n"), writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, str(path), **options)
    try:
        yield connections
    finally:
        server.close()


def always(answer: bytes, *, close: bool = False) -> Answering:
    """Return what answers each request alike, and closes the connection after it where `close` is set."""

    async def answering(_: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        return not close

    return answering
