"""A gigabyte passes through the bridge in either direction, whole, while its memory grows by less than 32 MiB."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.bridge import stack
from tests.bridge.big import BLOCK, SIZE, Warehouse, checksum, read_body, read_head, send_blocks
from tests.bridge.memory import MIB, Resident

if TYPE_CHECKING:
    from collections.abc import Iterator

GROWTH = 32 * MIB
# Far more than it takes; a transfer that hangs must end the test.
SECONDS = 120


@pytest.fixture(scope="module")
def crc() -> int:
    return checksum(SIZE // len(BLOCK))


@pytest.fixture(scope="module", params=stack.PYTHONS, ids=lambda python: f"py{python}")
def bridge(request, engine) -> Iterator[stack.Server]:
    """A bridge before a server that sends and takes as fast as it can; warm, as imports are not the transfer's."""
    warehouse = Warehouse()
    with stack.bridge(engine, stack.Server(warehouse.url, None), request.param) as server:
        for _ in range(20):
            assert server.ask("PUT", "/plone/warm", data=b"x" * MIB).status_code == 201
        yield server
    warehouse.close()


def connect(bridge: stack.Server, head: str) -> socket.socket:
    host, _, port = bridge.url.rpartition("/")[2].partition(":")
    connection = socket.create_connection((host, int(port)), SECONDS)
    connection.sendall(f"{head} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n".encode())
    return connection


@pytest.mark.parametrize("path", ["file", "chunked"])
def test_a_download_is_streamed(bridge, crc, path):
    memory = Resident(bridge.container)
    before = memory.begin()
    with connect(bridge, f"GET /plone/{path}") as connection, connection.makefile("rb", buffering=1 << 20) as file:
        connection.sendall(b"\r\n")
        line, fields = read_head(file)
        assert line.split(" ")[1] == "200"
        assert read_body(file, fields) == (SIZE, crc)
    assert memory.peak - before < GROWTH


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_an_upload_is_streamed(bridge, crc, chunked):
    memory = Resident(bridge.container)
    before = memory.begin()
    with connect(bridge, "PUT /plone/file") as connection, connection.makefile("rb") as file:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
        connection.sendall(framing + b"\r\n\r\n")
        send_blocks(connection, chunked=chunked)
        line, _ = read_head(file)
        assert line.split(" ")[1] == "201"
        assert file.read() == f"{SIZE} {crc}".encode()
    assert memory.peak - before < GROWTH
