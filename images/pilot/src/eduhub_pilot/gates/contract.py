"""The gate `contract`: green answers as blue does. Reads only, one request at a time, through the slots' own doors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from eduhub_pilot.errors import RefusedError
from eduhub_pilot.facts import Reply
from eduhub_pilot.gates.allowed import allowance
from eduhub_pilot.gates.bench import Bench, Skipped
from eduhub_pilot.gates.compare import SILENT, Difference, differing, findings, gathered, places
from eduhub_pilot.gates.questions import Request, authorization, credentials_of
from eduhub_pilot.gates.sampled import LINES, sampled
from eduhub_pilot.host import Host
from eduhub_pilot.record import Record
from eduhub_pilot.verdict import Verdict, Word

GATE = "contract"
# A difference is one if it is there in each of so many pairs of answers.
PAIRS = 3
# Longer in all than a bridge caches: what differs since one cache is older has ended by then.
PAUSE_SECONDS = 0.6
MOST = 50


@dataclass
class Seen:
    """What came of the requests: those that were compared, those that could not be, and what differs.

    `sampled`: how many of those compared are from the edge's log.
    """

    compared: int = 0
    sampled: int = 0
    uncompared: list[str] = field(default_factory=list)
    passing: int = 0
    found: list[tuple[Request, Difference, int]] = field(default_factory=list)
    shut: str | None = None


def run(bench: Bench) -> Verdict | Skipped:
    """Return the verdict on green's answers, or Skipped where there is no blue that should answer the same."""
    started = bench.host.clock.monotonic()
    if why := nothing_to_compare(bench):
        return Skipped(GATE, why)
    try:
        secrets = {name: secret(bench.host, name) for name in credentials_of(bench.criteria.contract.requests)}
    except RefusedError as error:
        return _verdict(bench, started, "error", error.say, {})
    seen = _look(bench, secrets)
    stops, allowed = _judged(bench, seen)
    stops, allowed = ([_without(secrets, line) for line in lines] for lines in (stops, allowed))
    measured = {
        "requests": seen.compared, "sampled": seen.sampled, "findings": stops[:MOST], "findings_in_all": len(stops),
        "allowed": allowed[:MOST], "uncompared": seen.uncompared, "passing": seen.passing,
    }  # fmt: skip
    word, reason = decide(seen, stops, len(allowed))
    return _verdict(bench, started, word, reason, measured)


def nothing_to_compare(bench: Bench) -> str | None:
    """Return why there is nothing that green should answer like, or None."""
    if bench.blue is None:
        return "nothing is live that could be compared with."
    if not bench.live_runs:
        return "the live slot does not run, so there is nothing to compare with."
    theirs, ours = repository(bench.blue), repository(bench.record)
    if theirs != ours:
        return f"{theirs} is live and {ours} is another bridge, which need not answer the same."
    return None


def repository(record: Record) -> str:
    """Return the name of a release's image without tag or digest."""
    name = record.image_name.partition("@")[0]
    return re.sub(r":[^/:]*$", "", name)


def decide(seen: Seen, stops: list[str], allowed: int) -> tuple[Word, str]:
    """Return the verdict's word and its sentence."""
    if seen.shut:
        return "error", f"The door of {seen.shut} refused the connection."
    if stops:
        several = f" That is the first of {len(stops)} differences." if len(stops) > 1 else ""
        return "fail", f"{stops[0]}{several}"
    if seen.uncompared:
        count = len(seen.uncompared)
        return "inconclusive", f"{count} of {seen.compared + count} requests were not compared: {seen.uncompared[0]}."
    if not seen.compared:
        return "inconclusive", "Nothing was compared: the edge's log names no request that can be asked again."
    known = f"; known differences: {allowed}" if allowed else ""
    beside = f", {seen.sampled} of them from the edge's log" if seen.sampled else ""
    return "pass", f"{seen.compared} requests{beside} are answered as by blue{known}."


def _look(bench: Bench, secrets: Mapping[str, str]) -> Seen:
    seen, clock, wanted = Seen(), bench.host.clock, bench.criteria.contract
    deadline = clock.monotonic() + wanted.seconds
    for request in wanted.requests:
        if clock.monotonic() >= deadline:
            seen.uncompared.append(f"{request.named} was not asked within {wanted.seconds:g} s")
            continue
        _compare(bench, request, secrets, seen)
        if seen.shut:
            return seen
    _look_as_people_do(bench, secrets, seen, deadline)
    return seen


def _look_as_people_do(bench: Bench, secrets: Mapping[str, str], seen: Seen, deadline: float) -> None:
    """Compare what people asked for; what cannot be compared of that is left out, since nobody chose it."""
    most, asked, count = bench.criteria.contract.sampled, set(bench.criteria.contract.requests), seen.compared
    lines = bench.host.engine.log(bench.host.settings.container("edge"), LINES) if most else []
    chosen = list(seen.uncompared)
    for request in sampled(lines, most):
        if seen.shut or bench.host.clock.monotonic() >= deadline:
            break
        if request not in asked:
            _compare(bench, request, secrets, seen)
    seen.sampled, seen.uncompared = seen.compared - count, chosen


def _compare(bench: Bench, request: Request, secrets: Mapping[str, str], seen: Seen) -> None:
    """Ask both, and again where they differ, and add what came of it to `seen`."""
    blue, green = [], []
    status: int | None = None
    for pair in range(PAIRS):
        if pair:
            bench.host.clock.sleep(PAUSE_SECONDS)
        bench.between()
        theirs, ours = (_reply(bench, door, request, secrets) for door in (bench.live_door, bench.door))
        for slot, reply in (("blue", theirs), ("green", ours)):
            if reply.trouble == "door":
                seen.shut = slot
                return
        status = theirs.status
        blue.append(places(request, theirs, bench.criteria.contract))
        green.append(places(request, ours, bench.criteria.contract))
        if theirs.trouble and pair == PAIRS - 1:
            seen.uncompared.append(f"blue's answer to {request.named} is {SILENT[theirs.trouble]}")
            return
        if pair == 0 and not theirs.trouble and not differing(blue, green):
            break
    seen.compared += 1
    found = differing(blue, green)
    seen.passing += len(blue) > 1 and not found
    seen.found += [(request, difference, times) for difference, times in gathered(found, status)]


def _reply(bench: Bench, door: str, request: Request, secrets: Mapping[str, str]) -> Reply:
    # The public's own name, so that links in the answers are those of the public, and the same from both.
    headers = {"Host": urlsplit(bench.host.settings.edge).netloc, **dict(request.headers)}
    if request.credentials:
        headers |= authorization(secrets[request.credentials])
    return bench.host.fetch(door, request.path, bench.host.settings.probe_seconds, request.method, headers)


def secret(host: Host, name: str) -> str:
    """Return a credentials file's content; RefusedError when it cannot be read."""
    try:
        text = (host.settings.config / "secrets" / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(
            f"The credentials {name} of pilot_contract_requests cannot be read ({getattr(error, 'strerror', error)}): "
            f"put `user:password` or `Bearer TOKEN` into /etc/{host.settings.stack}/secrets/{name}, owned by root."
        ) from None
    if not text or not text.isprintable() or not text.isascii():
        raise RefusedError(f"The credentials {name} are not one line of ASCII.")
    return text


def _without(secrets: Mapping[str, str], line: str) -> str:
    """Return a sentence without any secret that an answer repeated."""
    for text in secrets.values():
        for part in {text, *re.split(r"[\s:]", text)}:
            if len(part) > 3:
                line = line.replace(part, "***")
    return line


def _judged(bench: Bench, seen: Seen) -> tuple[list[str], list[str]]:
    """Return the differences that stop and those that are allowed for a time."""
    stops, allowed = [], []
    today = bench.host.clock.now().date()
    kept = []
    for request, difference, times in seen.found:
        path = request.path.partition("?")[0]
        entry = allowance(bench.criteria.contract.allowed, path, difference.where, today)
        if entry and entry.until >= today:
            (one,) = findings([(request, difference, times)])
            allowed.append(f"{one.sentence} Allowed until {entry.until}: {entry.why or 'no reason'}.")
        else:
            kept.append((request, difference, times, entry))
    expired = {difference: entry for _, difference, _, entry in kept if entry}
    for finding in findings((request, difference, times) for request, difference, times, _ in kept):
        entry = expired.get(finding.difference)
        stops.append(f"{finding.sentence}{f' It was allowed until {entry.until}.' if entry else ''}")
    return stops, allowed


def _verdict(bench: Bench, started: float, word: Word, reason: str, measured: dict[str, object]) -> Verdict:
    wanted = bench.criteria.contract
    return Verdict(
        gate=GATE,
        verdict=word,
        reason=reason,
        measured=measured,
        budget={
            "differences": 0, "requests": len(wanted.requests), "sampled": wanted.sampled, "seconds": wanted.seconds,
        },
        seconds=round(bench.host.clock.monotonic() - started, 3),
    )
