"""Serves the WSGI application with waitress, and stops gracefully."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from eduhub_plone.access import AccessLog
from eduhub_plone.turn import identity, unlink_own

READS = ("GET", "HEAD", "OPTIONS", "PROPFIND", "TRACE")
# What clients post though it reads, and what writes nothing that other content shares.
READING_POSTS = ("@querystring-search", "@login", "@login-renew", "@logout")
STOP_SECONDS = 8.0  # Docker kills after 10


class OneWriteAtATime(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Waitress's threads for requests that read, and a single one, in order of arrival, for those that write.

    Two writes at once always conflict in ZODB, on a counter that all content shares; Zope then repeats one of
    them up to three times, asleep for seconds in a thread, and ends 2 to 8 % of them with 500.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writer = ThreadedTaskDispatcher()
        self.writer.set_thread_count(1)

    def add_task(self, task: Any) -> None:
        """Queue a connection whose next request is complete."""
        request = task.requests[0]
        service = request.path.rstrip("/").rpartition("/")[2]
        if request.command in READS or (request.command == "POST" and service in READING_POSTS):
            super().add_task(task)
        else:
            self.writer.add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Stop the threads as they become idle, at the latest after `timeout` seconds each."""
        self.writer.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


class Handed:
    """WSGI middleware for requests that come by a Unix socket, whose address Zope could not read."""

    def __init__(self, application: Callable[..., Iterable[bytes]], port: int) -> None:
        self.application = application
        self.port = str(port)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ.update(REMOTE_ADDR="127.0.0.1", REMOTE_HOST="127.0.0.1", REMOTE_PORT="0", SERVER_PORT=self.port)
        return self.application(environ, start_response)


def serve(
    application: Callable[..., Iterable[bytes]], port: int, threads: int, socket: str | None = None,
    *, at_port: bool = True,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT, then finish what was begun, for at most STOP_SECONDS.

    `socket`: path of a Unix socket to serve as well, or alone without `at_port`. There a proxy opens a connection for
    each request, so none that was accepted is left without its answer, and one that comes later finds no server there,
    which is safe to repeat.
    """
    sockets: dict[int, Any] = {}
    dispatcher = OneWriteAtATime()
    dispatcher.set_thread_count(threads)
    logged = AccessLog(application)

    def listening(application: Callable[..., Iterable[bytes]], **address: Any) -> Any:
        return create_server(
            application,
            map=sockets,
            _dispatcher=dispatcher,
            clear_untrusted_proxy_headers=False,
            max_request_body_size=1 << 30,
            connection_limit=1000,  # waitress stops accepting at its limit, and idle kept-alive ones count
            asyncore_use_poll=True,  # select stops at file descriptor 1023
            **address,
        )

    # The container's own network; what is published is the host's choice.
    server = listening(logged, host="0.0.0.0", port=port) if at_port else None  # noqa: S104
    handed, own = None, None
    if socket:
        made = f"{socket}.{os.getpid()}"
        handed = listening(Handed(logged, port), unix_socket=made, unix_socket_perms="660")
        Path(made).replace(socket)
        own = identity(Path(socket))
    stops: list[int] = []

    def stop(number: int, _frame: Any) -> None:
        stops.append(number)
        (server or handed).pull_trigger()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # What was loaded until now lives as long as the process: the collector need not walk through it again.
    gc.collect()
    gc.freeze()
    where = f"port {port}" if at_port else socket
    logging.getLogger("plone").info("Plone serves %s with %d threads and one for writing.", where, threads)
    while not stops:
        wasyncore.loop(timeout=1, use_poll=True, map=sockets, count=1)
    logging.getLogger("plone").info("Plone stops.")
    if server:
        server.del_channel(sockets)
        server.socket.close()
    if handed and socket:
        # First no connection can come any more, then every one that came is let in.
        unlink_own(Path(socket), own)
        accept_all(handed)
        handed.del_channel(sockets)
        handed.socket.close()
    deadline = time.monotonic() + STOP_SECONDS
    while ((server and busy(server)) or (handed and handed.active_channels)) and time.monotonic() < deadline:
        wasyncore.loop(timeout=0.1, use_poll=True, map=sockets, count=1)
    dispatcher.shutdown(timeout=max(0.0, deadline - time.monotonic()))


def accept_all(server: Any) -> None:
    """Accept every connection that waits in the backlog."""
    known = -1
    while len(server.active_channels) > known:
        known = len(server.active_channels)
        server.handle_accept()


def busy(server: Any) -> bool:
    """Return whether a request is being received, worked on or answered."""
    channels = list(server.active_channels.values())
    return any(channel.request or channel.requests or channel.total_outbufs_len for channel in channels)
