"""The self-test: every gate judges its known-bad candidates. Changes no state, no slot and no traffic.

Candidates that answer are servers on loopback ports of this process; candidates that are examined are containers of the
pilot's own image that are never started. Each is judged by the shipped criteria, not by the inventory's.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.criteria import Criteria, criteria
from eduhub_pilot.gates.performance.load import NUMBER
from eduhub_pilot.gates.runner import GATES, Gate, ask
from eduhub_pilot.gates.self_test.candidates import CASES, LIVE_PAGES, READ, Case, Work
from eduhub_pilot.gates.self_test.server import Site, serving
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Counts, Image, Slot
from eduhub_pilot.model.outcome import Finding, Outcome
from eduhub_pilot.model.release import Record, Spec, make_record
from eduhub_pilot.model.state import Rollout

RUN = "self-test"
# The timeout of a candidate that hangs; the servers are in this process.
PROBE_SECONDS = 0.5
FOLDER = "/candidate"


class Unasked(Proxy):
    """The proxy of servers that the public cannot reach; the host's counts the requests to the slots of its own."""

    def counts(self, _slot: Slot, _patience: float) -> Counts:
        return Counts()


@dataclass(frozen=True)
class Tried:
    """A gate's verdict on a case."""

    case: Case
    word: str
    reason: str

    @property
    def right(self) -> bool:
        return self.word == ("fail" if self.case.wrong else "pass")

    @property
    def finding(self) -> Finding:
        """The wrong verdict."""
        if self.case.wrong and self.word == "pass":
            message = f"Gate {self.case.gate} passed a known-bad candidate: {self.case.wrong}."
        else:
            what = f"a known-bad candidate ({self.case.wrong})" if self.case.wrong else "a good candidate"
            message = f"Gate {self.case.gate} returned {self.word} for {what}: {self.reason}"
        return Finding("gate_wrong_verdict", message)


def self_test(host: Host, image: str, gates: Sequence[Gate] = GATES) -> Outcome:
    """Return whether known-bad candidates fail and good ones pass, with a finding for each that does not."""
    found = host.engine.image(image)
    if found is None:
        raise RefusedError(
            "image_missing", f"The image {image} is not on this host.",
            ["./invoke", "images.build", "--names", "pilot"],
        )  # fmt: skip
    started = host.clock.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "releases").mkdir()
        host = replace(host, store=Store(Path(folder), folder))
        tried = [_try(host, gate, case, found) for gate in gates for case in CASES if case.gate == gate.name]
    off = [name for name, mode in criteria(host.settings.gates).modes.items() if mode != "enforce"]
    wrong = [each for each in tried if not each.right]
    untried = [gate.name for gate in gates if not any(each.case.gate == gate.name for each in tried)]
    findings = [each.finding for each in wrong]
    findings += [
        Finding("gate_missing_candidate", f"The self-test has no known-bad candidate for gate {name}.")
        for name in untried
    ]
    bad = sum(each.case.wrong is not None for each in tried)
    seconds = host.clock.monotonic() - started
    message = f"All {bad} known-bad candidates were stopped, and every good one passed, in {seconds:.0f} s."
    if findings:
        message = f"The self-test has {len(findings)} finding{'' if len(findings) == 1 else 's'}."
    if off:
        message += f" On this host {' and '.join(off)} would not stop them: pilot_gate_{off[0]} is not enforce."
    data = {"candidates": [{"gate": each.case.gate, "wrong": each.case.wrong, "verdict": each.word,
                            "reason": each.reason} for each in tried]}  # fmt: skip
    return Outcome("self_test_failed" if findings else "self_test_passed", message, False, data, findings=findings)


def _try(host: Host, gate: Gate, case: Case, image: Image) -> Tried:
    with ExitStack() as stack:
        record = make_record(_spec(), image, RUN, host.clock.now())
        before = replace(record, id=f"{record.id[:-1]}{'1' if record.id.endswith('0') else '0'}")
        rollout = Rollout(RUN, "green", record.id, before.id, "prove", "upgrade")
        settings = replace(host.settings, probe_seconds=PROBE_SECONDS)
        if case.code:
            name = f"{host.settings.stack}-selftest"
            host = replace(host, settings=replace(settings, stack=name))
            container = host.settings.container("green")
            stack.callback(host.engine.discard, container)
            host.engine.lay(container, image.id, FOLDER, case.code, {"PYTHONPATH": FOLDER}, settings.stack)
            live: Record | None = None
        else:
            usual = case.work and Work()
            sites: dict[Slot, Site] = {
                "blue": stack.enter_context(serving(LIVE_PAGES, None, "blue", before.id, usual)),
                "green": stack.enter_context(serving(case.pages, case.trick, "green", record.id, case.work)),
            }
            settings = replace(settings, private_endpoints={slot: site.address for slot, site in sites.items()})
            meter, proxy = (lambda slot: lambda: sites[slot].cpu), Unasked(Path(os.devnull))
            host = replace(host, settings=settings, meter=meter, proxy=proxy)
            live = before
        (asked,) = ask(Candidate(host, rollout, record, live, _criteria(), lambda: None), (gate,))
    found = asked.found
    if isinstance(found, Skipped):
        return Tried(case, "skipped", found.reason)
    return Tried(case, found.verdict, found.reason)


def _spec() -> Spec:
    # Without a Python of its own, the contract gate requests these pages alone.
    return Spec({"image": "eduhub/selftest", "health_path": "/", "smoke_paths": ["/courses"]})


def _criteria() -> Criteria:
    given = {
        "pilot_contract_requests": [{"path": path} for path in LIVE_PAGES],
        "pilot_performance_paths": [f"{READ}?number={NUMBER}"],
        "pilot_performance_rate": 2000, "pilot_performance_read_rate": 500, "pilot_performance_seconds": 20,
    }  # fmt: skip
    found = criteria(given, _spec())
    # These servers have no public traffic, and no cache.
    return replace(
        found, performance=replace(found.performance, rest=0.0), contract=replace(found.contract, pause=0.02)
    )
