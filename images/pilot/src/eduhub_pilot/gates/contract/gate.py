"""The gate `contract`: the candidate answers as the live release does.

Reads only, one request at a time, through the private endpoints of both slots.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlsplit

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.contract.allow_list import Allowance, allowance
from eduhub_pilot.gates.contract.compare import (
    SILENT,
    Difference,
    Places,
    differing,
    failed,
    findings,
    gathered,
    places,
)  # fmt: skip
from eduhub_pilot.gates.contract.requests import Request, authorization, credentials_of
from eduhub_pilot.gates.contract.sampled import LINES, sampled
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Reply
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.verdict import Verdict, Word

GATE = "contract"
# Of so many pairs of answers a difference is gone that content made which changed meanwhile.
PAIRS = 3
# So many at most, where what is there by turns has to be told from what only the candidate has.
MOST_PAIRS = 24
# One such answer a gate is not counted, and asked for again when so much time has passed: HAProxy was killed, and is
# back by then. A second one is a difference like any other.
LOST = {"closed", "no_listener"}
LOST_SECONDS = 3.0
# A live release that fails at times has to answer PAIRS times in so many pairs.
BUSY_PAIRS = 8
MOST = 50
# Words of their own: they are in "lessons", "professors" and "designing" as well.
LOGIN = re.compile(
    r"(?<![a-z])(?:log-?in(?:form|page)?|sign-?in|saml2?|sso|openid|oauth2?|shibboleth)(?![a-z])", re.IGNORECASE
)


@dataclass
class Comparison:
    """The result of the requests: those compared, those that could not be, and the differences.

    `sampled`: how many of those compared are from the edge's log; `content`: how many are answered with content (no
    error, no redirect), and `content_as` for each credentials; `lost`: whether a connection was lost; `refused`: those
    that are not taken, and the answer; `today`: the day whose allowances count, also where the requests last past
    midnight.
    """

    today: date
    compared: int = 0
    content: int = 0
    sampled: int = 0
    uncompared: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    content_as: dict[str, int] = field(default_factory=dict)
    passing: int = 0
    found: list[tuple[Request, Difference, int]] = field(default_factory=list)
    shut: str | None = None
    lost: bool = False

    def count(self, request: Request, status: int | None) -> None:
        """Count a request as compared."""
        content = status is not None and 200 <= status < 300
        self.compared += 1
        self.content += content
        if request.credentials:
            self.content_as[request.credentials] = self.content_as.get(request.credentials, 0) + content


# From differences to those worth a finding that no entry allows today.
Unknown = Callable[[Sequence[Difference]], list[tuple[Difference, int]]]


class UnfitError(Exception):
    """An answer is no evidence of anything, and why."""


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
        "requests": comparison.compared, "sampled": comparison.sampled, "content": comparison.content,
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
    if not comparison.content:
        return "inconclusive", (
            f"All {comparison.compared} requests are answered by both with errors or redirects, which proves nothing. "
            "Name pages in pilot_contract_requests that are answered with content."
        )
    known = f"; known differences: {allowed}" if allowed else ""
    beside = f", {comparison.sampled} of them from the edge's log" if comparison.sampled else ""
    bare = comparison.compared - comparison.content
    without = f", {bare} of them with an error or a redirect" if bare else ""
    return "pass", f"{comparison.compared} requests{beside} are answered as by the live release{without}{known}."


def _compare_all(candidate: Candidate, secrets: Mapping[str, str]) -> Comparison:
    clock, wanted = candidate.host.clock, candidate.criteria.contract
    comparison = Comparison(clock.now().date())
    deadline = clock.monotonic() + wanted.seconds
    for request in wanted.requests:
        if clock.monotonic() >= deadline:
            comparison.uncompared.append(f"{request.named} was not sent within {wanted.seconds:g} s")
            continue
        _compare(candidate, request, secrets, comparison, deadline)
        if comparison.shut:
            return comparison
    _compare_sampled(candidate, secrets, comparison, deadline)
    for name in credentials_of(wanted.requests):
        if name not in comparison.refused and comparison.content_as.get(name) == 0:
            why = f"as {name} nothing is answered with content, so the credentials prove nothing"
            comparison.uncompared.append(why)
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
            _compare(candidate, request, secrets, comparison, deadline)
    comparison.sampled, comparison.uncompared = comparison.compared - count, chosen


def _compare(
    candidate: Candidate, request: Request, secrets: Mapping[str, str], comparison: Comparison, deadline: float
) -> None:
    """Send the request to both, again where they differ, and add the result to `comparison`."""
    if request.credentials in comparison.refused:
        comparison.uncompared.append(comparison.refused[request.credentials])
        return
    live: list[Places] = []
    new: list[Places] = []
    status = None

    def unknown(found: Sequence[Difference]) -> list[tuple[Difference, int]]:
        return [each for each in gathered(found, status) if not _known(candidate, request, each[0], comparison.today)]

    try:
        for theirs, ours in _pairs(candidate, request, secrets, comparison, deadline):
            status = theirs.status
            live.append(places(request, theirs, candidate.criteria.contract))
            new.append(places(request, ours, candidate.criteria.contract))
            if theirs.trouble and len(live) == PAIRS and not any(map(_answered, live)):
                comparison.uncompared.append(f"the live release to {request.named}: {SILENT[theirs.trouble]}")
                return
            if _enough(live, new, unknown):
                break
    except UnfitError as unfit:
        comparison.uncompared.append(str(unfit))
        return
    found = differing(live, new)
    left = unknown(found)
    told = [each for each in gathered(found, status) if each not in left]
    if sure := unknown([each for each in found if each.sure]):
        told += sure
    elif left or (len(live) > 1 and not _proven(live, new, found)):
        comparison.uncompared.append(_unsure(request, left, live))
        return
    comparison.count(request, status)
    comparison.passing += len(live) > 1 and not found
    comparison.found += [(request, difference, times) for difference, times in told]


def _known(candidate: Candidate, request: Request, difference: Difference, today: date) -> bool:
    entry = _entry(candidate, request, difference, today)
    return entry is not None and entry.until >= today


def _entry(candidate: Candidate, request: Request, difference: Difference, today: date) -> Allowance | None:
    path = request.path.partition("?")[0]
    return allowance(candidate.criteria.contract.allowed, path, difference.where, today)


def _pairs(
    candidate: Candidate, request: Request, secrets: Mapping[str, str], comparison: Comparison, deadline: float
) -> Iterator[tuple[Reply, Reply]]:
    """Yield answers of both to a request, until there are as many as may be; raise UnfitError where one is no proof."""
    clock, pause = candidate.host.clock, candidate.criteria.contract.pause
    for pair in range(MOST_PAIRS):
        if pair:
            # Twice as long as a bridge caches by default: later answers are drawn anew.
            clock.sleep(pause if pair < PAIRS else 2 * pause)
        if pair >= PAIRS and clock.monotonic() >= deadline:
            return
        candidate.between()
        theirs = _reply(candidate, candidate.live_endpoint, request, secrets)
        if why := _no_proof(request, theirs, comparison, _host(candidate, request)):
            raise UnfitError(why)
        ours = _reply(candidate, candidate.endpoint, request, secrets)
        for role, reply in (("the live release", theirs), ("the candidate", ours)):
            if reply.trouble == "refused":
                comparison.shut = role
                raise UnfitError(f"the private endpoint of {role} refused the connection")
        if LOST & {theirs.trouble, ours.trouble} and not comparison.lost:
            comparison.lost = True
            clock.sleep(LOST_SECONDS)
            continue
        yield theirs, ours


def _answered(answer: Places) -> bool:
    return not failed(answer.get("status", "200"))


def _no_proof(request: Request, reply: Reply, comparison: Comparison, host: str) -> str | None:
    """Return why the live release's answer is no evidence of anything, or None. Refused credentials are noted."""
    if reply.trouble:
        return None
    # HAProxy's own failures are troubles; this is a request that it refuses.
    if "x-eduhub-slot" not in reply.headers and 400 <= (reply.status or 0) < 500:
        return f"HAProxy itself answered {reply.status} to {request.named}"
    sent_on = 300 <= (reply.status or 0) < 400 and to_login(reply.headers.get("location", ""), host)
    if request.credentials and (reply.status == 401 or sent_on):
        # Not sent again, not even to the candidate: an account may be locked after a few wrong passwords.
        why = f"the live release refuses the credentials {request.credentials} (answered {reply.status})"
        comparison.refused[request.credentials] = why
        return why
    return None


def to_login(location: str, host: str) -> bool:
    """Return whether a redirect leads to a login, here or on another host than the site's own (`host`)."""
    try:
        target = urlsplit(location)
        elsewhere = target.hostname if target.hostname != urlsplit(f"//{host}").hostname else None
    except ValueError:
        return False
    return any(LOGIN.search(part) for part in (elsewhere, target.path, target.query) if part)


def _enough(live: list[Places], new: list[Places], unknown: Unknown) -> bool:
    """Return whether these answers decide, or more of them would not. What is allowed needs no proof."""
    pairs, found = len(live), differing(live, new)
    left = unknown(found)
    if pairs < PAIRS:
        return pairs == 1 and not left and _answered(live[0])
    if left:
        return bool(unknown([each for each in found if each.sure]))
    return _proven(live, new, found) or pairs >= BUSY_PAIRS


def _proven(live: list[Places], new: list[Places], found: list[Difference]) -> bool:
    """Return whether both answered often enough, where the live release fails at times, or its status is a finding."""
    well = [sum(map(_answered, some)) for some in (live, new)]
    return well == [0, 0] or min(well) >= PAIRS or any(each.where == "status" for each in found)


def _unsure(request: Request, found: list[tuple[Difference, int]], live: list[Places]) -> str:
    """Return why answers were no proof of anything."""
    if not found:
        bad = sum(not _answered(each) for each in live)
        return f"the live release to {request.named}: {bad} of {len(live)} answers are failures"
    one, _ = found[0]
    return (
        f"{request.named} differs in {one.where} in {one.answers} of {len(live)} answers of the candidate, which may "
        "be chance"
    )


def _reply(candidate: Candidate, address: str, request: Request, secrets: Mapping[str, str]) -> Reply:
    headers = dict(request.headers)
    if not any(name.lower() == "host" for name in headers):
        headers["Host"] = _host(candidate, request)
    if request.credentials:
        headers |= authorization(secrets[request.credentials])
    return candidate.host.fetch(address, request.path, candidate.host.settings.probe_seconds, request.method, headers)


def _host(candidate: Candidate, request: Request) -> str:
    # The public host name, so that links in the answers are the public ones, and the same from both.
    own = (value for name, value in request.headers if name.lower() == "host")
    return next(own, urlsplit(candidate.host.settings.edge).netloc)


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
    stops, allowed, kept = [], [], []
    for request, difference, times in comparison.found:
        entry = _entry(candidate, request, difference, comparison.today)
        if entry and entry.until >= comparison.today:
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
