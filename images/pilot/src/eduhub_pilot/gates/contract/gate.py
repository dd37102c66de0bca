"""The gate `contract`: the candidate answers as the live release does.

Reads only, one request at a time, through the private endpoints of both slots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.contract.allow_list import allowance
from eduhub_pilot.gates.contract.compare import SILENT, Difference, differing, findings, gathered, places
from eduhub_pilot.gates.contract.requests import Request, authorization, credentials_of
from eduhub_pilot.gates.contract.sampled import LINES, sampled
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Reply
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.verdict import Verdict, Word

GATE = "contract"
# A difference counts if each of this many pairs of answers has it.
PAIRS = 3
# Longer in all than a bridge caches: a difference of cache age has ended by then.
PAUSE_SECONDS = 0.6
MOST = 50


@dataclass
class Comparison:
    """The result of the requests: those compared, those that could not be, and the differences.

    `sampled`: how many of those compared are from the edge's log.
    """

    compared: int = 0
    sampled: int = 0
    uncompared: list[str] = field(default_factory=list)
    passing: int = 0
    found: list[tuple[Request, Difference, int]] = field(default_factory=list)
    shut: str | None = None


def run(candidate: Candidate) -> Verdict | Skipped:
    """Return the verdict on the candidate's answers, or Skipped where no live release should answer the same."""
    started = candidate.host.clock.monotonic()
    if why := nothing_to_compare(candidate):
        return Skipped(GATE, why)
    try:
        secrets = {name: secret(candidate.host, name) for name in credentials_of(candidate.criteria.contract.requests)}
    except RefusedError as error:
        return _verdict(candidate, started, "error", error.message, {})
    comparison = _compare_all(candidate, secrets)
    stops, allowed = _judged(candidate, comparison)
    stops, allowed = ([_without(secrets, line) for line in lines] for lines in (stops, allowed))
    measured = {
        "requests": comparison.compared, "sampled": comparison.sampled,
        "findings": stops[:MOST], "findings_in_all": len(stops),
        "allowed": allowed[:MOST], "uncompared": comparison.uncompared, "passing": comparison.passing,
    }  # fmt: skip
    word, reason = decide(comparison, stops, len(allowed))
    return _verdict(candidate, started, word, reason, measured)


def nothing_to_compare(candidate: Candidate) -> str | None:
    """Return why there is no baseline to compare with, or None."""
    if candidate.live is None:
        return "there is no live release to compare with."
    if not candidate.live_runs:
        return "the live slot does not run, so it cannot be compared with."
    theirs, ours = repository(candidate.live), repository(candidate.record)
    if theirs != ours:
        return f"the live release is {theirs} and the candidate is {ours}, another bridge."
    return None


def repository(record: Record) -> str:
    """Return the name of a release's image without tag or digest."""
    name = record.image_name.partition("@")[0]
    return re.sub(r":[^/:]*$", "", name)


def decide(comparison: Comparison, stops: list[str], allowed: int) -> tuple[Word, str]:
    """Return the verdict and its reason."""
    if comparison.shut:
        return "error", f"The private endpoint of {comparison.shut} refused the connection."
    if stops:
        several = f" That is the first of {len(stops)} differences." if len(stops) > 1 else ""
        return "fail", f"{stops[0]}{several}"
    if comparison.uncompared:
        count = len(comparison.uncompared)
        return (
            "inconclusive",
            f"{count} of {comparison.compared + count} requests were not compared: {comparison.uncompared[0]}.",
        )
    if not comparison.compared:
        return "inconclusive", "Nothing was compared: the edge's log holds no request that can be repeated."
    known = f"; known differences: {allowed}" if allowed else ""
    beside = f", {comparison.sampled} of them from the edge's log" if comparison.sampled else ""
    return "pass", f"{comparison.compared} requests{beside} are answered as by the live release{known}."


def _compare_all(candidate: Candidate, secrets: Mapping[str, str]) -> Comparison:
    comparison, clock, wanted = Comparison(), candidate.host.clock, candidate.criteria.contract
    deadline = clock.monotonic() + wanted.seconds
    for request in wanted.requests:
        if clock.monotonic() >= deadline:
            comparison.uncompared.append(f"{request.named} was not sent within {wanted.seconds:g} s")
            continue
        _compare(candidate, request, secrets, comparison)
        if comparison.shut:
            return comparison
    _compare_sampled(candidate, secrets, comparison, deadline)
    return comparison


def _compare_sampled(
    candidate: Candidate, secrets: Mapping[str, str], comparison: Comparison, deadline: float
) -> None:
    """Compare requests of the public; those that cannot be compared are left out, since no setting names them."""
    most, asked, count = (
        candidate.criteria.contract.sampled,
        set(candidate.criteria.contract.requests),
        comparison.compared,
    )
    lines = candidate.host.engine.log(candidate.host.settings.container("edge"), LINES) if most else []
    chosen = list(comparison.uncompared)
    for request in sampled(lines, most):
        if comparison.shut or candidate.host.clock.monotonic() >= deadline:
            break
        if request not in asked:
            _compare(candidate, request, secrets, comparison)
    comparison.sampled, comparison.uncompared = comparison.compared - count, chosen


def _compare(candidate: Candidate, request: Request, secrets: Mapping[str, str], comparison: Comparison) -> None:
    """Send the request to both, again where they differ, and add the result to `comparison`."""
    baseline, found_places = [], []
    status: int | None = None
    for pair in range(PAIRS):
        if pair:
            candidate.host.clock.sleep(PAUSE_SECONDS)
        candidate.between()
        theirs, ours = (
            _reply(candidate, address, request, secrets) for address in (candidate.live_endpoint, candidate.endpoint)
        )
        for role, reply in (("the live release", theirs), ("the candidate", ours)):
            if reply.trouble == "refused":
                comparison.shut = role
                return
        status = theirs.status
        baseline.append(places(request, theirs, candidate.criteria.contract))
        found_places.append(places(request, ours, candidate.criteria.contract))
        if theirs.trouble and pair == PAIRS - 1:
            comparison.uncompared.append(f"the live release to {request.named}: {SILENT[theirs.trouble]}")
            return
        if pair == 0 and not theirs.trouble and not differing(baseline, found_places):
            break
    comparison.compared += 1
    found = differing(baseline, found_places)
    comparison.passing += len(baseline) > 1 and not found
    comparison.found += [(request, difference, times) for difference, times in gathered(found, status)]


def _reply(candidate: Candidate, address: str, request: Request, secrets: Mapping[str, str]) -> Reply:
    # The public host name, so that links in the answers are the public ones, and the same from both.
    headers = {"Host": urlsplit(candidate.host.settings.edge).netloc, **dict(request.headers)}
    if request.credentials:
        headers |= authorization(secrets[request.credentials])
    return candidate.host.fetch(address, request.path, candidate.host.settings.probe_seconds, request.method, headers)


def secret(host: Host, name: str) -> str:
    """Return a credentials file's content; RefusedError when it cannot be read."""
    try:
        text = (host.settings.config / "secrets" / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(
            "credentials_unreadable",
            f"The credentials {name} of pilot_contract_requests cannot be read ({getattr(error, 'strerror', error)}). "
            f"Write user:password or Bearer TOKEN into /etc/{host.settings.stack}/secrets/{name}, owned by root.",
        ) from None
    if not text or not text.isprintable() or not text.isascii():
        raise RefusedError("credentials_unreadable", f"The credentials {name} are not one line of ASCII.")
    return text


def _without(secrets: Mapping[str, str], line: str) -> str:
    """Return a sentence without the secrets that an answer repeated."""
    for text in secrets.values():
        for part in {text, *re.split(r"[\s:]", text)}:
            if len(part) > 3:
                line = line.replace(part, "***")
    return line


def _judged(candidate: Candidate, comparison: Comparison) -> tuple[list[str], list[str]]:
    """Return the differences that stop the run, and those that are allowed for a time."""
    stops, allowed = [], []
    today = candidate.host.clock.now().date()
    kept = []
    for request, difference, times in comparison.found:
        path = request.path.partition("?")[0]
        entry = allowance(candidate.criteria.contract.allowed, path, difference.where, today)
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


def _verdict(candidate: Candidate, started: float, word: Word, reason: str, measured: dict[str, object]) -> Verdict:
    wanted = candidate.criteria.contract
    return Verdict(
        gate=GATE,
        verdict=word,
        reason=reason,
        measured=measured,
        budget={
            "differences": 0,
            "requests": len(wanted.requests),
            "sampled": wanted.sampled,
            "seconds": wanted.seconds,
        },
        seconds=round(candidate.host.clock.monotonic() - started, 3),
    )
