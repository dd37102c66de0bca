"""`preflight`: whatever of the host would stop a rollout, all at once, each with its remedy. Changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.memory import MEMORY, SLOT_MEMORY, available, size
from eduhub_pilot.gates.contract.gate import secret
from eduhub_pilot.gates.contract.requests import credentials_of
from eduhub_pilot.gates.criteria import criteria
from eduhub_pilot.model.errors import EngineDownError, ProxyDownError, RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import Record, Spec, parse_spec
from eduhub_pilot.model.state import HostState, stamp

PLONE_SECONDS = 20.0

Finding = tuple[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", help="id of the run")
    parser.add_argument("--verb", help="what the run does; deploy starts by itself what is stopped")
    parser.add_argument("--take-over", action="store_true", help="the run takes the lock, or goes on with its run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    spec = parse_spec(options.spec) if options.spec else None
    return preflight(host, options.run, options.verb, options.take_over, spec)


def preflight(
    host: Host, run: str | None, verb: str | None = None, take_over: bool = False, spec: Spec | None = None
) -> Outcome:
    """Return 0 and no findings, or 2 and all of them; with `spec`, whether every gate could judge that release.

    Beside them `python`, the one that is live, as "3.11"; None where there is none, or an image of somebody else.

    No finding is what the run itself ends: a lock that is its own or that it may `take_over`; and for `verb` deploy,
    which starts what is stopped, an edge, a live slot or a Plone of ours that does not answer.
    """
    found = [*_gates(host, spec), *_files(host), *(() if take_over else _lock(host, run))]
    python = None
    try:
        state = host.store.state()
    except RefusedError as error:
        found.append((error.say, "Nothing else could be checked."))
    else:
        record = host.known(state.live.release if state.live else None)
        if verb != "deploy":
            found += [*_map(host, state), *_engine(host, state), *_edge(host, state), *_live(host, state, record)]
        found += _plone(host)
        found += _memory(MEMORY.read_text(), record)
        python = record.python if record else None
    findings = [{"what": what, "remedy": remedy} for what, remedy in found]
    if not findings:
        return Outcome(0, "Nothing stands in the way of a rollout.", False, {"findings": [], "python": python})
    say = "\n".join(f"{what} {remedy}" for what, remedy in found)
    return Outcome(2, say, False, {"findings": findings, "python": python})


def _gates(host: Host, spec: Spec | None) -> Iterator[Finding]:
    try:
        judged_by = criteria(host.settings.gates, spec)
        for name in credentials_of(judged_by.contract.requests):
            secret(host, name)
    except RefusedError as error:
        yield error.say, "docs/gates.md has what each gate takes."


def _files(host: Host) -> Iterator[Finding]:
    for release in host.store.releases():
        try:
            record = host.store.record(release)
        except RefusedError as error:
            yield error.say, "Until then that release cannot be rolled back to."
        else:
            if not record.intact:
                file = f"{host.store.shown}/releases/{release}/release.json"
                yield (
                    f"{file} was changed since it was written, and what it says now was never proven.",
                    "Put it back as it was, or move its folder away: until then that release is not rolled back to.",
                )
    try:
        host.store.share()
    except RefusedError as error:
        yield error.say, "HAProxy reads it when it starts."


def _map(host: Host, state: HostState) -> Iterator[Finding]:
    with suppress(RefusedError):  # which is a finding already
        host.store.share()
        if wrong := host.astray(state):
            yield wrong, "HAProxy reads it when it starts."


def _lock(host: Host, run: str | None) -> Iterator[Finding]:
    try:
        lock = host.store.lock()
    except RefusedError as error:
        yield error.say, ""
        return
    if lock and lock.run != run and not lock.stale(host.clock.now()):
        keep = "`./invoke confirm` keeps what it did, `./invoke rollback` does not; " if lock.step == "shifted" else ""
        yield (
            f"{lock.owner} holds the lock since {stamp(lock.since)} (run {lock.run}, {lock.verb}, step {lock.step}).",
            f"Wait for it; {keep}`./invoke {lock.verb} --take-over` undoes what it did.",
        )


def _engine(host: Host, state: HostState) -> Iterator[Finding]:
    try:
        live = host.engine.container(host.settings.container(state.live.slot)) if state.live else None
        plone = host.engine.container(host.settings.container("plone"))
    except EngineDownError as error:
        yield error.say, "`systemctl status docker` says why; then try again."
        return
    if state.live and not (live and live.runs):
        yield (
            f"The container of the live slot {state.live.slot} is {live.state if live else 'absent'}: nothing serves.",
            f"`docker logs {host.settings.container(state.live.slot)}` says why; `./invoke deploy` starts a new one.",
        )
    if plone and (not plone.runs or plone.health == "unhealthy"):
        yield (
            f"Plone's container {plone.name} is {plone.health if plone.runs else plone.state}.",
            f"`docker logs {plone.name}` says why.",
        )


def _edge(host: Host, state: HostState) -> Iterator[Finding]:
    if not state.live:
        return
    try:
        host.proxy.now(patience=2)
    except ProxyDownError as error:
        edge = host.settings.container("edge")
        yield error.say, f"`docker logs {edge}` says why; `./invoke deploy` starts it."


def _live(host: Host, state: HostState, record: Record | None) -> Iterator[Finding]:
    if not state.live:
        return
    if record is None:
        yield (
            f"The record of the live release {state.live.release} is missing or unreadable.",
            "`./invoke deploy` makes a new release of what the inventory says.",
        )
        return
    seconds = host.settings.probe_seconds
    answer = host.ask(host.settings.private_endpoints[state.live.slot], record.spec.health_path, seconds)
    if not answer.good:
        said = answer.trouble or answer.status
        yield (
            f"The live slot {state.live.slot} is not healthy: {record.spec.health_path} answers {said}.",
            f"`docker logs {host.settings.container(state.live.slot)}` says why. Does Plone answer it?",
        )


def _plone(host: Host) -> Iterator[Finding]:
    if not host.settings.plone:
        return
    answer = host.ask(host.settings.plone, "/", PLONE_SECONDS)
    if answer.status is None or answer.status >= 500:
        yield (
            f"Plone does not answer at {host.settings.plone} ({answer.trouble or answer.status}).",
            "Start it, or correct plone_url (or plone_address and plone_port) in the inventory.",
        )


def _memory(meminfo: str, record: Record | None) -> Iterator[Finding]:
    needed = str((record.spec.fields.get("memory") if record else None) or SLOT_MEMORY)
    free, want = available(meminfo), size(needed)
    if free is not None and want and free < want:
        yield (
            f"{free >> 20} MiB of memory are free, and one more slot may take {needed}.",
            "Stop what else runs here, add memory, or lower bridge_memory.",
        )
