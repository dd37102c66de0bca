"""`python -m eduhub_bridge.health`: ends with 0 if the bridge answers /health/live, for an image's HEALTHCHECK.

Only the standard library, and little of it: it runs every few seconds.
"""

from __future__ import annotations

import os
import socket
import sys

from eduhub_bridge.settings import SettingsError, Tcp, listen_on

_SECONDS = 3.0
_REQUEST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, and where that answers


def main() -> int:
    """Return 0 for an answer 200; otherwise say why not and return 1, or 2 for a bad setting."""
    try:
        where = listen_on(os.environ)
    except SettingsError as error:
        print(f"eduhub_bridge.health: {error}", file=sys.stderr)
        return 2
    try:
        if isinstance(where, Tcp):
            address = _EVERYWHERE.get(where.address, where.address)
            connection = socket.create_connection((address, where.port), _SECONDS)
        else:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(_SECONDS)
            connection.connect(str(where))
        with connection:
            connection.sendall(_REQUEST)
            head = connection.recv(64)
    except OSError as error:
        print(f"eduhub_bridge.health: no answer on {where}: {error}", file=sys.stderr)
        return 1
    if head.startswith(b"HTTP/1.1 200 "):
        return 0
    print(f"eduhub_bridge.health: {where} answers {head.splitlines()[:1]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
