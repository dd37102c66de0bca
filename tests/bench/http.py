"""Parts "http" and "latency": bridges on both Pythons over unix sockets, before one fixed upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from builder.catalogue import Image
from eduhub_pilot.analysis import statistics
from tests.bench import VoidError, cpu, operations, saturation, upstream
from tests.bench.compare import ARMS, BASE, OTHER, added, gain, medians, times
from tests.bench.operations import Operation
from tests.bench.plan import Plan
from tests.bench.stage import DOORS, FILES, Running, Stage, own_user
from tests.load.arrivals import Samples, play, player
from tests.load.client import Client, FailedError, encode

# HAProxy doing the same work, and the upstream itself.
PROXY, DIRECT = "haproxy", "direct"
# The upstream measured twice: what its two differ by is the noise under the added latency.
DIRECT_AGAIN = "direct again"
WARM_REQUESTS = 30
_BEHIND = "http://127.0.0.1:{port}{site}"
_CONFIGURED = {"entrypoint": ["haproxy", "-db", "-f"]}

Say = Callable[[str], None]
Play = Callable[[Any], Any]


@dataclass(frozen=True)
class Subject:
    """What is measured: a running container, and a client of its socket."""

    running: Running
    client: Client


@contextmanager
def subjects(stage: Stage, pair: tuple[Image, Image], edge: Image) -> Iterator[dict[str, Subject]]:
    """Give every arm, running; the clients must be used in one loop."""
    for name, content in operations.documents().items():
        stage.write(name, content)
    stage.write("fixed.cfg", upstream.fixed(DOORS, FILES).encode())
    stage.write("proxy.cfg", upstream.proxy(DOORS, PROXY, upstream.PORT).encode())
    try:
        yield _started(stage, pair, edge)
    finally:
        stage.drop(*ARMS, PROXY, DIRECT)


def _started(stage: Stage, pair: tuple[Image, Image], edge: Image) -> dict[str, Subject]:
    running = {DIRECT: stage.serve(DIRECT, edge, "/ok", command=[f"{FILES}/fixed.cfg"], **_CONFIGURED)}
    running[PROXY] = stage.serve(PROXY, edge, "/ok", command=[f"{FILES}/proxy.cfg"], beside=DIRECT, **_CONFIGURED)
    for arm, image in zip(ARMS, (pair[0], pair[1], pair[0]), strict=True):
        running[arm] = bridge(stage, arm, image, upstream.PORT, beside=DIRECT)
    return {name: Subject(each, Client(f"unix:{each.door}")) for name, each in running.items()}


def bridge(stage: Stage, name: str, image: Image, port: int, *, beside: str) -> Running:
    """Start a bridge, one worker, whose Plone is on 127.0.0.1:`port` of the container `beside`."""
    environment = {
        "PLONE_URL": _BEHIND.format(port=port, site=operations.SITE),
        "EDUHUB_SOCKET": f"{DOORS}/{name}.sock",
    }
    return stage.serve(name, image, "/health/ready", environment=environment, beside=beside, user=own_user())


async def available(client: Client, operation: Operation) -> str:
    """Return the first path of `operation` that answers 200; raise VoidError for none."""
    said = []
    for path in operation.paths:
        reply = await client.ask(encode(path, authorization=operations.TOKEN))
        if reply.status == 200:
            return path
        said.append(f"{path} answers {reply.status}")
    raise VoidError(f"{operation.name} cannot be measured: {', '.join(said)}.")


async def window(
    client: Client, request: bytes, rate: float, seconds: float, seed: int, pid: int
) -> tuple[Samples, float]:
    """Return what a window of open arrivals found, and the CPU seconds that process `pid` needed for each request.

    Raise VoidError where a request failed.
    """
    for _ in range(WARM_REQUESTS):
        await client.expect(request)
    due = statistics.arrivals(rate, seconds, seed)
    before = cpu.seconds(pid)
    samples = await play(client, request, due)
    used = cpu.seconds(pid) - before
    if samples.failures:
        raise VoidError(
            f"{samples.failures.total()} of {samples.requests} requests failed ({dict(samples.failures)}: "
            f"{samples.example}); nothing was measured."
        )
    return samples, used / samples.requests


def measure(stage: Stage, pair: tuple[Image, Image], edge: Image, plan: Plan, say: Say) -> dict[str, Any]:
    """Return the result of part "http"."""
    with subjects(stage, pair, edge) as arms, player() as run:
        paths = {each.name: checked(run, available(arms[OTHER].client, each)) for each in operations.OPERATIONS}
        open_rounds = _open(arms, paths, plan, say, run)
        for subject in arms.values():
            subject.client.close()
        full_rounds = _full(stage, arms, paths, plan, say)
    rows = [_row(name, paths[name], open_rounds[name], full_rounds.get(name)) for name in paths]
    return {
        "rounds": plan.rounds, "rate": plan.rate, "window_seconds": plan.window_seconds,
        "saturation": {"requests": plan.saturation_requests, "connections": plan.connections}, "rows": rows,
    }  # fmt: skip


def checked(run: Play, coroutine: Any) -> Any:
    """Return what `coroutine` returns; raise VoidError where a request of it failed."""
    try:
        return run(coroutine)
    except FailedError as error:
        raise VoidError(f"A request failed ({error.error}: {error}); nothing was measured.") from None


def _through(operation: str) -> tuple[str, ...]:
    """Return the arms of an operation: HAProxy takes part where it does the same work."""
    return (*ARMS, PROXY) if operation == operations.PASS_THROUGH.name else ARMS


def _address(arm: str, path: str) -> str:
    """Return what to ask an arm for: without a bridge, Plone's own address."""
    return path.replace("/plone", operations.SITE, 1) if arm in (PROXY, DIRECT, DIRECT_AGAIN) else path


def _open(
    arms: dict[str, Subject], paths: dict[str, str], plan: Plan, say: Say, run: Play
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return, for each operation and arm, a list over the rounds of CPU microseconds and of p50 milliseconds."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {
        name: {arm: {"cpu_us": [], "p50_ms": []} for arm in _through(name)} for name in paths
    }
    work = [(name, arm) for name in paths for arm in _through(name)]
    for number, (name, arm) in statistics.interleaved(work, plan.rounds):
        say(f"round {number + 1} of {plan.rounds}, {name} at {plan.rate:g}/s, {arm}")
        request = encode(_address(arm, paths[name]), authorization=operations.TOKEN)
        one = window(arms[arm].client, request, plan.rate, plan.window_seconds, number, arms[arm].running.pid)
        samples, used = checked(run, one)
        found[name][arm]["cpu_us"].append(used * 1e6)
        found[name][arm]["p50_ms"].append(statistics.median(samples.ms))
    return found


def _full(
    stage: Stage, arms: dict[str, Subject], paths: dict[str, str], plan: Plan, say: Say
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return, for health and pass-through and each arm, CPU microseconds and requests a second at saturation."""
    names = [name for name in paths if name in (operations.HEALTH.name, operations.PASS_THROUGH.name)]
    found: dict[str, dict[str, dict[str, list[float]]]] = {
        name: {arm: {"cpu_us": [], "rate": []} for arm in _through(name)} for name in names
    }
    work = [(name, arm) for name in names for arm in _through(name)]
    for number, (name, arm) in statistics.interleaved(work, plan.rounds):
        say(f"round {number + 1} of {plan.rounds}, {name} at saturation, {arm}")
        running = arms[arm].running
        before = cpu.seconds(running.pid)
        done = saturation.run(
            running.door, [_address(arm, paths[name])], plan.saturation_requests, plan.connections, stage.files,
            f"authorization: {operations.TOKEN}",
        )  # fmt: skip
        found[name][arm]["cpu_us"].append((cpu.seconds(running.pid) - before) / done.requests * 1e6)
        found[name][arm]["rate"].append(done.rate)
    return found


def _row(
    name: str, path: str, at_rate: dict[str, dict[str, list[float]]], full: dict[str, dict[str, list[float]]] | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"operation": name, "path": path, "open": _loaded(at_rate)}
    row["open"]["p50_ms"] = medians({arm: values["p50_ms"] for arm, values in at_rate.items()})
    if full:
        row["saturated"] = _loaded(full)
        row["saturated"]["rate"] = medians({arm: values["rate"] for arm, values in full.items()})
    row["rounds"] = {"open": at_rate, "saturated": full}
    return row


def _loaded(found: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    rounds = {arm: values["cpu_us"] for arm, values in found.items()}
    row: dict[str, Any] = {"cpu_us": medians(rounds), "cpu": gain(rounds)}
    if PROXY in rounds:
        row["times_haproxy"] = {arm: times(rounds[arm], rounds[PROXY]) for arm in ARMS}
    return row


def latency(stage: Stage, pair: tuple[Image, Image], edge: Image, plan: Plan, say: Say) -> dict[str, Any]:
    """Return the result of part "latency": what a bridge adds to the same upstream asked directly."""
    order = (DIRECT, BASE, OTHER, DIRECT_AGAIN)
    rounds: dict[str, list[Samples]] = {arm: [] for arm in order}
    with subjects(stage, pair, edge) as arms, player() as run:
        arms[DIRECT_AGAIN] = arms[DIRECT]
        path = operations.PASS_THROUGH.paths[0]
        for number, arm in statistics.interleaved(order, plan.rounds):
            say(f"round {number + 1} of {plan.rounds}, {plan.latency_rate:g}/s for {plan.latency_seconds:g} s, {arm}")
            request = encode(_address(arm, path), authorization=operations.TOKEN)
            # The same arrivals for every arm of a round.
            one = window(
                arms[arm].client, request, plan.latency_rate, plan.latency_seconds, number, arms[arm].running.pid
            )
            rounds[arm].append(checked(run, one)[0])
    return {
        "rounds": plan.rounds, "rate": plan.latency_rate, "window_seconds": plan.latency_seconds,
        "rows": [_latency_row(arm, rounds) for arm in order],
    }  # fmt: skip


def _latency_row(arm: str, rounds: dict[str, list[Samples]]) -> dict[str, Any]:
    every = [ms for samples in rounds[arm] for ms in samples.ms]
    lag = [ms for samples in rounds[arm] for ms in samples.lag]
    shares = {"p50": 0.5, "p99": 0.99}

    def by_round(which: str, share: float) -> list[float]:
        return [statistics.quantile(samples.ms, share) for samples in rounds[which]]

    row: dict[str, Any] = {
        "arm": arm,
        "requests": len(every),
        "ms": {name: statistics.quantile(every, share) for name, share in shares.items()} | {"max": max(every)},
        "lag_ms": {name: statistics.quantile(lag, share) for name, share in shares.items()},
    }
    if arm != DIRECT:
        row["added_ms"] = {
            name: added(by_round(arm, share), by_round(DIRECT, share)) for name, share in shares.items()
        }
    return row
