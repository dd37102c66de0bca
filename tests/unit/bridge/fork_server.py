"""Starts bridges by fork of one process that has imported the bridge, which takes a second of CPU each time.

Run as a program, it is that process. It reads one order a line, `{"start": ENVIRONMENT, "log": FILE}` or
`{"poll": PID}`, and answers each with one number or null. When its standard input ends, it kills its bridges and ends.
Python 3.9 can run it: any interpreter that has the bridge's packages may.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class ForkServer:
    """The process that has imported the bridge, of `interpreter`, with the bridge's code in `source`."""

    def __init__(self, interpreter: str, source: Path) -> None:
        self._process = subprocess.Popen(
            [interpreter, __file__], env={**os.environ, "PYTHONPATH": str(source)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, order: dict[str, Any]) -> int | None:
        """Return the answer to an order."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def start(self, environment: dict[str, str], log: Path) -> Forked:
        """Start a bridge with that environment alone; all that it prints goes to the file `log`."""
        pid = self.ask({"start": environment, "log": str(log)})
        assert pid
        return Forked(self, pid)


class Forked:
    """One bridge: the part of `subprocess.Popen` that the tests use."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Return the exit code; raise subprocess.TimeoutExpired when it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["eduhub_bridge"], timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)  # not reaped before it is polled again, so the pid is its own

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def take_orders() -> dict[str, Any] | None:
    """Answer orders until there are no more; in a fork, return the order to become a bridge."""
    children: dict[int, int | None] = {}
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "start" in order:
            pid = os.fork()
            if not pid:
                return order
            children[pid] = None
            answer: int | None = pid
        else:
            answer = children[order["poll"]]
            if answer is None:
                answer = children[order["poll"]] = ended(order["poll"])
        print(json.dumps(answer), flush=True)
    for pid, code in children.items():
        if code is None and ended(pid) is None:
            os.kill(pid, signal.SIGKILL)
    return None


def ended(pid: int) -> int | None:
    """Return the exit code of a child, negative for a signal; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return None
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def become(environment: dict[str, str], log: str) -> None:
    """Be a process that was started with that environment, and writes its output and its errors to `log`."""
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDWR)
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor, number in ((nothing, 0), (printed, 1), (printed, 2)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(printed)


def main() -> int:
    """Import the bridge and what it imports late, then take orders; in a fork, run the bridge."""
    import uvicorn.protocols.websockets.websockets_impl  # noqa: F401, PLC0415
    import uvloop  # noqa: F401, PLC0415

    import eduhub_bridge.server.run  # noqa: PLC0415
    import eduhub_bridge.store.postgres  # noqa: F401, PLC0415
    from eduhub_bridge.__main__ import main as bridge  # noqa: PLC0415

    order = take_orders()
    if order is None:
        return 0
    become(order["start"], order["log"])
    return bridge()


if __name__ == "__main__":
    sys.exit(main())
