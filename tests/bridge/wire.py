"""A network between a bridge and a Plone that can be spoilt, also on connections that are open already."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

SLOW_SECONDS = 0.7
GARBAGE = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
FLOOD = [b"HTTP/1.1 200 OK\r\nX: ", *[bytes([120]) * 65536] * 1600]  # 100 MiB of one field


class Wire:
    """Passes bytes on between `url` and Plone; `trouble` says what happens to them.

    refused: nobody listens. silent: requests arrive nowhere. slow: they arrive SLOW_SECONDS late. garbage: they are
    answered with what is no HTTP. flood: with a header that does not end. reset: connections are reset instead of
    answered. cut: answers break off.
    """

    def __init__(self, port: int, site: str) -> None:
        self._plone = port
        self._trouble = ""
        self._open: set[socket.socket] = set()
        self._listen(0)
        self.port = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/{site}"

    @property
    def trouble(self) -> str:
        return self._trouble

    @trouble.setter
    def trouble(self, what: str) -> None:
        if self._trouble == "refused" != what:
            self._listen(self.port)
        self._trouble = what
        if what == "refused":
            self._server.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts; closing alone would let one more in
            self._server.close()
        if what in ("refused", ""):
            # What hangs now, hangs for ever: its bytes are lost.
            for each in list(self._open):
                reset(each)

    def _listen(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, bridge: socket.socket) -> None:
        with contextlib.suppress(OSError), bridge, socket.create_connection(("127.0.0.1", self._plone)) as plone:
            self._open.add(bridge)
            threading.Thread(target=self._answers, args=(plone, bridge), daemon=True).start()
            while data := bridge.recv(65536):
                if self._trouble == "slow":
                    time.sleep(SLOW_SECONDS)
                if self._trouble == "garbage":
                    bridge.sendall(GARBAGE)
                elif self._trouble == "flood":
                    for block in FLOOD:
                        bridge.sendall(block)
                elif self._trouble == "reset":
                    reset(bridge)
                elif self._trouble != "silent":
                    plone.sendall(data)
        self._open.discard(bridge)

    def _answers(self, plone: socket.socket, bridge: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := plone.recv(65536):
                if self._trouble == "cut":
                    head, _, body = data.partition(b"\r\n\r\n")
                    bridge.sendall(head + b"\r\n\r\n" + body[:10])
                    time.sleep(0.05)  # a reset overtakes what was not read yet
                    reset(bridge)
                bridge.sendall(data)
            bridge.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.trouble = "refused"


def reset(connection: socket.socket) -> None:
    """End a connection with RST."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # wakes whoever reads from it
    connection.close()
