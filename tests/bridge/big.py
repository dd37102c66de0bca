"""A fast server in Plone's place, for files of a gigabyte that no disk needs to hold, and a client for them."""

from __future__ import annotations

import hashlib
import socket
import threading
import zlib

SIZE = 1 << 30
BLOCK = hashlib.shake_128(b"big").digest(1 << 20)


def checksum(blocks: int) -> int:
    """Return the CRC-32 of so many blocks."""
    crc = 0
    for _ in range(blocks):
        crc = zlib.crc32(BLOCK, crc)
    return crc


class Warehouse:
    """Serves on loopback: GET sends SIZE bytes, any other method takes a body and answers with its length and CRC."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/Plone"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb", buffering=1 << 20) as file:
            while head := read_head(file):
                line, fields = head
                if line.startswith("GET") and line.split(" ")[1].endswith("/ok"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
                elif line.startswith("GET"):
                    self._send(connection, chunked="chunked" in line)
                else:
                    size, crc = read_body(file, fields)
                    told = f"{size} {crc}".encode()
                    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))

    def _send(self, connection: socket.socket, *, chunked: bool) -> None:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n" + framing + b"\r\n\r\n")
        send_blocks(connection, chunked=chunked)

    def close(self) -> None:
        self._server.close()


def send_blocks(connection: socket.socket, *, chunked: bool) -> None:
    """Send SIZE bytes."""
    piece = b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK
    for _ in range(SIZE // len(BLOCK)):
        connection.sendall(piece)
    if chunked:
        connection.sendall(b"0\r\n\r\n")


def read_head(file) -> tuple[str, dict[str, str]] | None:
    """Return the first line and the fields of what comes, None at the end."""
    lines = []
    while line := file.readline().decode("latin-1").rstrip("\r\n"):
        lines.append(line)
    if not lines:
        return None
    return lines[0], {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines[1:])}


def read_body(file, fields: dict[str, str]) -> tuple[int, int]:
    """Return the size and the CRC-32 of the body that follows."""
    size = crc = 0
    if "transfer-encoding" in fields:
        while length := int(file.readline(), 16):
            read, crc = _read(file, length, crc)
            size += read
            file.readline()
        file.readline()
        return size, crc
    return _read(file, int(fields["content-length"]), 0)


def _read(file, length: int, crc: int) -> tuple[int, int]:
    size = 0
    while size < length and (block := file.read(min(1 << 20, length - size))):
        size += len(block)
        crc = zlib.crc32(block, crc)
    return size, crc
