"""HEAD against servers that send a body after the head, as Zope does: real sockets, one answer a connection."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, http_parser

from eduhub_bridge.upstream.heads import HeadConnector

PAGE = b"<html>" * 10
FORGED = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def answer(body: bytes, *fields: bytes, interim: bytes = b"") -> bytes:
    lines = [b"HTTP/1.1 203 OK", b"Content-Length: %d" % len(body), *fields, b"", b""]
    return interim + b"\r\n".join(lines)


@asynccontextmanager
async def server(*packets: bytes):
    """Answer each connection with `packets`, each sent when the one before is surely read."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for packet in packets:
                writer.write(packet)
                await writer.drain()
                await asyncio.sleep(0.02)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"


@pytest.fixture(params=["compiled", "python"])
def parser(request, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either of aiohttp's two parsers."""
    if request.param == "python":
        monkeypatch.setattr("aiohttp.client_proto.HttpResponseParser", http_parser.HttpResponseParserPy)
    return request.param


@pytest.mark.parametrize("body", [PAGE, FORGED, b""], ids=["page", "forged", "none"])
@pytest.mark.parametrize("fields", [[], [b"Connection: close"]], ids=["", "close"])
@pytest.mark.parametrize("interim", [b"", INTERIM], ids=["", "interim"])
@pytest.mark.parametrize("cut", ["together", "body-later", "bytes-apart"])
@pytest.mark.usefixtures("parser")
async def test_what_follows_the_head_is_nobodys_answer(body, fields, interim, cut):
    head = answer(body, *fields, interim=interim)
    packets = {
        "together": [head + body],
        "body-later": [head, body],
        "bytes-apart": [head[:-3], head[-3:-2], head[-2:-1], head[-1:] + body[:7], body[7:]],
    }[cut]
    async with server(*packets) as url, ClientSession(connector=HeadConnector()) as session:
        for _ in range(2):
            async with session.head(url) as got:
                assert (got.status, got.headers["Content-Length"]) == (203, str(len(body)))
                assert await got.read() == b""


@pytest.mark.usefixtures("parser")
async def test_a_chunked_body_after_the_head_is_ignored_too():
    head = b"HTTP/1.1 203 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        server(head + b"5\r\nhello\r\n0\r\n\r\n") as url,
        ClientSession(connector=HeadConnector()) as session,
        session.head(url) as got,
    ):
        assert (got.status, await got.read()) == (203, b"")


async def test_no_connection_of_a_head_is_used_again():
    """A forged answer could wait in it."""
    async with server(answer(b"")) as url, ClientSession(connector=HeadConnector()) as session:
        async with session.head(url):
            pass
        assert session.connector is not None
        assert not session.connector._conns
