"""Asks a front host: HAProxy's admin socket, an address of the site, programs, files."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Optional

SECONDS = 5


def admin_socket(stack: str) -> Path:
    """Return where HAProxy of a stack has its admin socket."""
    return Path("/var/lib", stack, "run/edge/admin.sock")


def drain_file(stack: str) -> Path:
    """Return the map by which HAProxy of a stack knows whether the host is drained."""
    return Path("/var/lib", stack, "edge/drain.map")


def answers(address: str, port: int) -> bool:
    """Return whether HTTP is spoken at an address; a host that is drained or has no bridge answers too."""
    return _status(address, port) is not None


def is_serving(address: str, port: int) -> bool:
    """Return whether a front host at an address takes requests: it is not drained, and knows a bridge host."""
    return _status(address, port) == HTTPStatus.OK


def _status(address: str, port: int) -> Optional[int]:
    host = f"[{address}]" if ":" in address else address
    try:
        # No proxy of the host's environment, which would answer itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{host}:{port}/health/host", timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, HTTPException):
        return None


def spoken(path: Path, command: str) -> str:
    """Return HAProxy's answer to a command on its admin socket. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(path))
        client.sendall(f"{command}\n".encode())
        parts = []
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


def printed(*words: str) -> str:
    """Return what a program printed; nothing where it failed or is missing."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=4 * SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def text_of(path: Path) -> str:
    """Return the text of a file; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
