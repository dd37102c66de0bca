"""`preflight`: every finding on this host that would stop a rollout. Changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress

from eduhub_pilot.adapters import cgroup
from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.memory import MEMORY, SLOT_MEMORY, available, size
from eduhub_pilot.commands.plone.backup import foreign, recent
from eduhub_pilot.gates.contract.gate import secret
from eduhub_pilot.gates.contract.requests import credentials_of
from eduhub_pilot.gates.criteria import criteria
from eduhub_pilot.model.errors import EngineDownError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import answered
from eduhub_pilot.model.outcome import Finding, Outcome, finding_of
from eduhub_pilot.model.release import Record, Spec, parse_spec
from eduhub_pilot.model.state import HostState, Lock, stamp
from eduhub_pilot.rollout.admission import idle, idle_lock
from eduhub_pilot.rollout.plone import container_down, unconfirmed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", help="id of the run")
    parser.add_argument("--verb", help="what the run does; deploy starts what is stopped")
    parser.add_argument("--take-over", action="store_true", help="the run takes the lock over, or resumes")
    parser.add_argument("--first", action="store_true", help="nothing is on the host yet: judge the settings alone")
    parser.add_argument("--backup-days", type=float, default=0, help="how old the last backup may be; 0: any age")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    spec = parse_spec(options.spec) if options.spec else None
    if options.first:
        return first(host, spec)
    return preflight(host, options.run, options.verb, options.take_over, spec, options.backup_days)


def preflight(
    host: Host, run: str | None, verb: str | None = None, take_over: bool = False, spec: Spec | None = None,
    backup_days: float = 0,
) -> Outcome:  # fmt: skip
    """Return every finding at once; with `spec` also whether every gate has a criterion for that release.

    The data holds `python`, the live one, as "3.11"; None where nothing is live, or a foreign image is.

    Left out is what the run itself resolves: a lock that it holds or may `take_over`; and for `verb` deploy, which
    starts what is stopped, an edge, a live slot or a Plone of ours that does not answer. The institution's own Plone is
    asked by the module host_readiness.
    """
    findings = [*_gates(host, spec), *_files(host), *(() if take_over else _lock(host, run, verb))]
    findings += [*_backup(host, backup_days), *_plone_upgrade(host)]
    python = None
    try:
        state = host.store.state()
    except RefusedError as error:
        findings.append(finding_of(error, "No further check was possible."))
    else:
        record = host.known(state.live.release if state.live else None)
        if verb != "deploy":
            findings += [*_map(host, state), *_engine(host, state), *_edge(host, state), *_live(host, state, record)]
        findings += _memory(MEMORY.read_text(), record, _freed(host, state))
        python = record.python if record else None
    return _judged(findings, python)


def first(host: Host, spec: Spec | None) -> Outcome:
    """Return every finding in the settings and the specification, before anything is on the host."""
    return _judged(list(_gates(host, spec, secrets=False)), None)


def _judged(findings: Sequence[Finding], python: str | None) -> Outcome:
    if not findings:
        return Outcome("preflight_passed", "Preflight has no finding.", False, {"python": python})
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    message = f"Preflight has {count}. Nothing was changed."
    return Outcome("preflight_failed", message, False, {"python": python}, findings=findings)


def _gates(host: Host, spec: Spec | None, *, secrets: bool = True) -> Iterator[Finding]:
    try:
        judged_by = criteria(host.settings.gates, spec)
        for name in credentials_of(judged_by.contract.requests) if secrets else ():
            secret(host, name)
    except RefusedError as error:
        yield finding_of(error)


def _files(host: Host) -> Iterator[Finding]:
    for release in host.store.releases():
        try:
            record = host.store.record(release)
        except RefusedError as error:
            yield finding_of(error, "Until this is fixed, the release is no rollback target.")
        else:
            if not record.intact:
                file = f"{host.store.shown}/releases/{release}/release.json"
                yield Finding(
                    "record_changed",
                    f"{file} was changed after it was written. Restore it, or move its directory away: until then the "
                    "release is no rollback target.",
                )
    try:
        host.store.weight()
    except RefusedError as error:
        yield finding_of(error, "HAProxy reads the file when it starts.")


def _map(host: Host, state: HostState) -> Iterator[Finding]:
    with suppress(RefusedError):  # which is a finding already
        host.store.weight()
        if finding := host.map_mismatch(state):
            yield finding


def _lock(host: Host, run: str | None, verb: str | None) -> Iterator[Finding]:
    try:
        lock = host.store.lock()
    except RefusedError as error:
        yield finding_of(error)
        return
    if lock and lock.run != run and not lock.expired(host.clock.now()):
        after, following = _ending(host, lock, verb)
        yield Finding(
            "lock_held",
            f"{lock.owner} holds the lock of this host since {stamp(lock.since)}: run {lock.run}, verb {lock.verb}, "
            f"step {lock.step}. {after}",
            following,
        )


def _ending(host: Host, lock: Lock, verb: str | None) -> tuple[str, list[list[str]]]:
    """Return what is true of a valid lock, and what to type."""
    state = HostState()
    with suppress(RefusedError):  # which is a finding of its own
        state = host.store.state()
    if not state.rollout:
        return idle_lock(lock)
    waits = state.rollout.hold and state.rollout.step == "shifted"
    # A rollback undoes that run and no more, but there has to be a release that is live then.
    undo = "rollback" if state.live and verb != "deploy" else "deploy"
    following = [["./invoke", "confirm"], ["./invoke", "rollback"]] if waits else []
    return "Taking it over undoes that run.", [*following, ["./invoke", undo, "--take-over"]]


def _plone_upgrade(host: Host) -> Iterator[Finding]:
    with suppress(EngineDownError):  # said elsewhere, where it matters
        if finding := unconfirmed(host):
            yield finding


def _engine(host: Host, state: HostState) -> Iterator[Finding]:
    try:
        live = host.engine.container(host.settings.container(state.live.slot)) if state.live else None
        plone = host.engine.container(host.settings.container("plone"))
    except EngineDownError as error:
        yield finding_of(error)
        return
    if state.live and not (live and live.runs):
        yield Finding(
            "live_container_down",
            f"The container of the live slot {state.live.slot} is {live.state if live else 'absent'}.",
            [["docker", "logs", host.settings.container(state.live.slot)], ["./invoke", "deploy"]],
        )
    if plone and (finding := container_down(plone)):
        yield finding


def _edge(host: Host, state: HostState) -> Iterator[Finding]:
    if not state.live:
        return
    if finding := host.edited_configuration():
        yield finding
    try:
        weight = host.proxy.now(timeout=2).weight
    except ProxyDownError as error:
        yield Finding(
            error.code, error.message, [["docker", "logs", host.settings.container("edge")], ["./invoke", "deploy"]]
        )
    else:
        if finding := host.moved_by_hand(state, weight):
            yield finding


def _live(host: Host, state: HostState, record: Record | None) -> Iterator[Finding]:
    if not state.live:
        return
    if record is None:
        yield Finding(
            "live_record_unreadable",
            f"The record of the live release {state.live.release} is missing or cannot be read.",
            [["./invoke", "deploy"]],
        )
        return
    seconds = host.settings.probe_seconds
    answer = host.ask(host.settings.private_endpoints[state.live.slot], record.spec.health_path, seconds)
    if not answer.good:
        yield Finding(
            "live_unhealthy",
            f"The live slot {state.live.slot} fails its health check: {record.spec.health_path} "
            f"{answered(answer)}.",
            [["docker", "logs", host.settings.container(state.live.slot)]],
        )


def _backup(host: Host, days: float) -> Iterator[Finding]:
    if not days:
        return
    backup = host.store.backup()
    with suppress(EngineDownError):  # said elsewhere
        if backup and recent(host, backup, days):
            return
        said = "Plone has no proven backup"
        if backup:
            said = f"The last proven backup of Plone {foreign(host, backup) or 'is of ' + backup['time']}"
        message = f"{said}, and plone_backup_max_age_days allows {days:g} days."
        yield Finding("backup_old", message, [["./invoke", "plone.backup"]])


def _freed(host: Host, state: HostState) -> int:
    """Return the bytes that a rollout frees before it starts its slot: those of the container that is there."""
    with suppress(EngineDownError):
        container = host.engine.container(host.settings.container(idle(state)))
        return (container and container.runs and cgroup.memory(container.id)) or 0
    return 0


def _memory(meminfo: str, record: Record | None, freed: int = 0) -> Iterator[Finding]:
    """Return whether a slot has room beside the live one; `freed` bytes are of the slot that it replaces."""
    needed = str((record.spec.fields.get("memory") if record else None) or SLOT_MEMORY)
    free, want = available(meminfo), size(needed)
    if free is not None and want and free + freed < want:
        idle_slot = f", {freed >> 20} MiB more once the idle slot is removed" if freed else ""
        yield Finding(
            "memory_short",
            f"{free >> 20} MiB of memory are available{idle_slot}, and a second slot may need {needed}. Stop other "
            "programs, add memory, or lower bridge_memory.",
            [["free", "-h"]],
        )
