"""Listens, serves, and stops gracefully."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
from pathlib import Path
from typing import Iterator, Optional

import uvicorn

from eduhub_bridge import __version__
from eduhub_bridge.server.app import Bridge, create_app
from eduhub_bridge.server.protocol import Protocol
from eduhub_bridge.settings import Listen, Settings, SettingsError, Tcp
from eduhub_bridge.store.database import StoreError
from eduhub_bridge.telemetry.logs import say, take_over
from eduhub_bridge.web.streams import AnswerCutError

_MODE = 0o660
# The edge keeps idle connections for seconds: it is always the one that closes, so no request meets a closed one.
_KEEP_ALIVE_SECONDS = 300
# What a WebSocket's client may say at a time; it only says where it is.
_WS_BYTES = 16384


def listen(where: Listen) -> socket.socket:
    """Return a bound socket; raise SettingsError if the address cannot be had."""
    if isinstance(where, Tcp):
        return _listen_tcp(where)
    if where.is_socket() and not _answers(where):
        with contextlib.suppress(FileNotFoundError):
            where.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~_MODE)  # the mode is right from the first moment on
    try:
        bound.bind(str(where))
    except OSError as error:
        bound.close()
        hint = "another process listens there" if where.is_socket() else (error.strerror or str(error)).lower()
        raise SettingsError(f"EDUHUB_SOCKET {str(where)!r} cannot be listened on: {hint}.") from None
    finally:
        os.umask(mask)
    return bound


def _listen_tcp(where: Tcp) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            where.address, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsError(f"EDUHUB_PORT: cannot listen on {where}: {why}.") from None
    return bound


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


class _Server(uvicorn.Server):
    """uvicorn, but a signal is an order to stop and not a way to die: the process ends with 0."""

    def __init__(self, config: uvicorn.Config, bridge: Bridge) -> None:
        super().__init__(config)
        self._bridge = bridge
        self.stopped_by: Optional[str] = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        yield

    def _stop(self, number: int, _: object) -> None:
        if self.stopped_by is None:
            self.stopped_by = signal.Signals(number).name
            self._bridge.drain(self.config.timeout_graceful_shutdown or 0.0)
            say("stopping", signal=self.stopped_by, grace_seconds=self.config.timeout_graceful_shutdown)
        else:
            self.force_exit = True  # asked twice: somebody is in a hurry
        self.should_exit = True


def serve(settings: Settings, ignored: list[str]) -> None:
    """Serve until SIGTERM or SIGINT; raise SettingsError if the address cannot be had.

    `ignored` are settings that do not exist; the log names them.
    """
    bound = listen(settings.listen)
    inode = _inode(settings.listen)
    take_over(AnswerCutError)
    try:
        bridge = create_app(settings)
    except StoreError as error:
        bound.close()
        raise SettingsError(str(error)) from None
    config = uvicorn.Config(
        bridge, loop="uvloop", http=Protocol, ws="websockets", ws_max_size=_WS_BYTES, lifespan="on",
        interface="asgi3", log_config=None, access_log=False, proxy_headers=False, server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]  # given to wait_for, which takes it
    )  # fmt: skip
    site = settings.plone_origin + settings.plone_path
    server = _Server(config, bridge)
    say("start", version=__version__, python=platform.python_version(), listen=str(settings.listen), plone=site)
    if ignored:
        say("unknown_settings", level="warning", names=ignored)
    try:
        server.run(sockets=[bound])
    finally:
        # Only our own socket: a successor may have put its own in the same place.
        if inode is not None and inode == _inode(settings.listen):
            Path(str(settings.listen)).unlink()
    say("stop", signal=server.stopped_by)


def _inode(where: Listen) -> Optional[int]:
    try:
        return None if isinstance(where, Tcp) else where.stat().st_ino
    except FileNotFoundError:
        return None
