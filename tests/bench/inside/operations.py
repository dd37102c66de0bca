"""Runs in an image of the bridge, on its Python: times the application within one process, by pyperf.

    operations.py LOOPS VALUES WARMUPS wanted.json

`wanted.json` names the operations, their paths and the directory with the upstream's answers. The mock upstream is a
socket of the same process and loop, so its own few microseconds are part of each number, on either Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from eduhub_bridge import settings
from eduhub_bridge.server.app import create_app

# Of single requests, one value is the mean of LOOPS * INNER.
INNER = 20


class Mock(asyncio.Protocol):
    """Answers each request at once with what was prepared for its path."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1].partition(b"?")[0]
        name = b"ok" if path.endswith(b"/ok") else b"page" if b"/courses/" in path else path.rpartition(b"/")[2]
        self._transport.write(self._answers.get(name, self._answers[b"site"]))


def prepared(directory: Path) -> dict[bytes, bytes]:
    """Return whole answers by the last part of the path."""
    files = {b"site": "site.json", b"courses": "listing.json", b"page": "page.json", b"ok": "ok.json"}
    answers = {}
    for name, file in files.items():
        body = (directory / file).read_bytes()
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: private\r\nContent-Length: "
        answers[name] = head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body
    return answers


class Caller:
    """Calls the application as its server would, with no server in between."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def ask(self, path: str, token: bytes) -> int:
        """Return the status of the answer to one GET, read to its end."""
        raw, _, query = path.encode().partition(b"?")
        headers = [(b"host", b"bridge.test"), (b"accept", b"application/json"), (b"authorization", token)]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": raw.decode(), "raw_path": raw, "query_string": query, "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("bridge.test", 80), "state": {},
        }  # fmt: skip
        asked, status = False, 0

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.sleep(3600)  # the client stays
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        await self._app(scope, receive, send)
        return status


class Lifespan:
    """Starts and stops the application, as its server would."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._stop = asyncio.Event()
        self._said: asyncio.Queue[str] = asyncio.Queue()

    async def start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._task = asyncio.ensure_future(self._app(scope, self._receive, self._send))
        self._order = ["lifespan.startup"]
        if await self._said.get() != "lifespan.startup.complete":
            raise RuntimeError("the application does not start")

    async def stop(self) -> None:
        self._stop.set()
        await self._task

    async def _receive(self) -> Any:
        if self._order:
            return {"type": self._order.pop()}
        await self._stop.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Any) -> None:
        await self._said.put(message["type"])


async def first_good(caller: Caller, paths: list[str]) -> str:
    """Return the first path that answers 200."""
    statuses = []
    for path in paths:
        statuses.append(await caller.ask(path, b"Bearer bench"))
        if statuses[-1] == 200:
            return path
    raise RuntimeError("no 200 from any of {}: {}".format(paths, statuses))


class Clocks:
    """Runs work in the loop; pyperf is told the wall time, and the CPU time of each value is kept beside it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Any, inner: int) -> None:
        self._loop, self._work, self._inner = loop, work, inner
        self.cpu: list[float] = []

    def __call__(self, loops: int) -> float:
        wall, cpu = time.perf_counter(), time.process_time()
        self._loop.run_until_complete(self._work(loops))
        self.cpu.append((time.process_time() - cpu) / loops / self._inner)
        return time.perf_counter() - wall


def workload(caller: Caller, path: str, users: int) -> Any:
    """Return what is timed, and how many requests one loop of it is."""
    tokens = [b"Bearer user%d" % number for number in range(users)]

    async def one_by_one(loops: int) -> None:
        for _ in range(loops * INNER):
            if await caller.ask(path, b"Bearer bench") != 200:
                raise RuntimeError(path + " no longer answers 200")

    async def at_once(loops: int) -> None:
        for _ in range(loops):
            statuses = await asyncio.gather(*[caller.ask(path, token) for token in tokens])
            if set(statuses) != {200}:
                raise RuntimeError("{} users at once got {}".format(users, sorted(set(statuses))))

    return (at_once, users) if users else (one_by_one, INNER)


def main() -> None:
    """Time every operation and print one JSON object: paths, seconds of wall and CPU time, pyperf's own benchmarks."""
    import pyperf  # noqa: PLC0415 - mounted into the images, not installed here

    loops, values, warmups, file = sys.argv[1:5]
    wanted = json.loads(Path(file).read_text())
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    answers = prepared(Path(wanted["documents"]))
    server: Any = loop.run_until_complete(loop.create_server(lambda: Mock(answers), "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    app = create_app(settings.read({"PLONE_URL": "http://127.0.0.1:{}/Plone".format(port)}))
    life, caller = Lifespan(app), Caller(app)
    loop.run_until_complete(life.start())
    # --worker: this process measures by itself; the rounds, and the processes that they take, are the caller's.
    runner = pyperf.Runner(program_args=[sys.argv[0]])
    runner.parse_args(["--worker", "--loops", loops, "--values", values, "--warmups", warmups])
    found, benchmarks = {}, []
    with contextlib.redirect_stdout(io.StringIO()):
        for operation in wanted["operations"]:
            path = loop.run_until_complete(first_good(caller, operation["paths"]))
            work, inner = workload(caller, path, operation["users"])
            clocks = Clocks(loop, work, inner)
            bench = runner.bench_time_func(operation["name"], clocks, inner_loops=inner)
            benchmarks.append(bench)
            measured = {"wall": list(bench.get_values()), "cpu": clocks.cpu[int(warmups) :]}
            found[operation["name"]] = {"path": path, **measured}
        text = io.StringIO()
        pyperf.BenchmarkSuite(benchmarks).dump(text)
    loop.run_until_complete(life.stop())
    result = {"python": platform.python_version(), "operations": found, "pyperf": json.loads(text.getvalue())}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
