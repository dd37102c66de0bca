"""Plone's endpoint: the HAProxy before our Plone, and the directory of the socket that Plone listens on."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.store import maintenance_value
from eduhub_pilot.model.facts import Container, Counts

# The engine gives a container the first characters of its id as its host name.
SHORT_ID = 12


@dataclass(frozen=True)
class Endpoint:
    """The endpoint with its sockets below `run`, the host's directory for sockets."""

    run: Path
    clock: Clock

    def hold(self, wanted: bool, timeout: float) -> None:
        """Let requests that find no Plone wait for one, or fail at once. ProxyDownError where HAProxy does not answer.

        HAProxy starts with `wanted` False.
        """
        self._proxy.set_wait(wanted, timeout)

    def refuse_writes(self, reason: str | None, timeout: float) -> None:
        """Answer writes with 503 and `reason`, or take them where it is None. ProxyDownError without HAProxy."""
        self._proxy.set_plone_writes(maintenance_value(reason), timeout)

    def refuses_writes(self, timeout: float) -> bool:
        """Return whether HAProxy can refuse writes: it has its map since the deployment that wrote it."""
        return self._proxy.knows_plone_writes(timeout)

    def counts(self, timeout: float) -> Counts:
        """Return what HAProxy has counted of Plone's answers. ProxyDownError where it does not answer."""
        return self._proxy.counts_of_plone(timeout)

    def busy(self, timeout: float) -> bool:
        """Return whether Plone has a request that may write: of one process, any. ProxyDownError without HAProxy."""
        return self._proxy.busy_plone(timeout)

    def processes(self, timeout: float) -> dict[str, bool]:
        """Return whether each process of Plone answers; empty where there is one. ProxyDownError without HAProxy.

        After a rollback HAProxy may know more of them than there are: one that never was has no socket.
        """
        asked = self._proxy.processes_of_plone(timeout)
        there = {name: answers for name, answers in asked.items() if (self.run / f"plone/{name}.sock").exists()}
        return there if len(there) > 1 else {}

    @property
    def _proxy(self) -> Proxy:
        return Proxy(self.run / "plone-endpoint/admin.sock", "/etc/eduhub/edge", self.clock)

    def waits(self, container: Container) -> bool:
        """Return whether the Plone in a container is prepared and waits for the database."""
        return self._marker(container).exists()

    def forget(self, container: Container) -> None:
        """Remove what a container that does not run, because it was killed, left to say that it waits."""
        self._marker(container).unlink(missing_ok=True)

    def _marker(self, container: Container) -> Path:
        return self.run / f"plone/waiting-{container.id[:SHORT_ID]}"

    def answers(self, path: str, seconds: float) -> int | None:
        """Return the status with which Plone answers `path` on its socket; None without an answer in `seconds`."""
        connection = HTTPConnection("localhost", timeout=seconds)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        try:
            connection.sock.connect(str(self.run / "plone/plone.sock"))
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
        finally:
            with suppress(OSError):
                connection.close()
