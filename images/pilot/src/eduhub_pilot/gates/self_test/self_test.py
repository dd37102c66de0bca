"""`self-test`: let every gate judge its known-bad greens. Touches nothing of the stack: no state, no slot, no traffic.

Greens that answer are servers on loopback ports of this process; greens that are examined are containers of the
pilot's own image that are never started. Each is judged by the shipped criteria, whatever the inventory says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.criteria import Criteria, criteria
from eduhub_pilot.gates.performance.load import NUMBER
from eduhub_pilot.gates.runner import GATES, Gate, ask
from eduhub_pilot.gates.self_test.candidates import BLUE, GREENS, READ, Green, Work
from eduhub_pilot.gates.self_test.server import Site, serving
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Image, Slot
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import Record, Spec, make_record
from eduhub_pilot.model.state import Rollout

RUN = "self-test"
# A green that hangs is one after this long: the servers are in this very process.
PROBE_SECONDS = 0.5
FOLDER = "/green"


@dataclass(frozen=True)
class Tried:
    """What a gate made of a green."""

    green: Green
    word: str
    reason: str

    @property
    def right(self) -> bool:
        return self.word == ("fail" if self.green.wrong else "pass")

    @property
    def sentence(self) -> str:
        """What the gate did that it must not."""
        if self.green.wrong and self.word == "pass":
            return f"The gate {self.green.gate} let a green pass of which this is wrong: {self.green.wrong}."
        what = f"a green of which this is wrong: {self.green.wrong}" if self.green.wrong else "a green that is fine"
        return f"The gate {self.green.gate} said {self.word} to {what}: {self.reason}"


def self_test(host: Host, image: str, gates: Sequence[Gate] = GATES) -> Outcome:
    """Return 0 when every known-bad green fails its gate and every good one passes, else 1 and each that did not."""
    found = host.engine.image(image)
    if found is None:
        raise RefusedError(
            f"The image {image} is not on this host's engine: `./invoke images.build --names pilot` makes it."
        )
    started = host.clock.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "releases").mkdir()
        host = replace(host, store=Store(Path(folder), folder))
        tried = [_try(host, gate, green, found) for gate in gates for green in GREENS if green.gate == gate.name]
    off = [name for name, mode in criteria(host.settings.gates).modes.items() if mode != "enforce"]
    wrong = [each for each in tried if not each.right]
    untried = [gate.name for gate in gates if not any(each.green.gate == gate.name for each in tried)]
    lines = [each.sentence for each in wrong]
    lines += [f"There is no known-bad green for the gate {name}." for name in untried]
    bad = sum(each.green.wrong is not None for each in tried)
    seconds = host.clock.monotonic() - started
    say = "\n".join(lines) or f"All {bad} known-bad greens were stopped, and none that is fine, in {seconds:.0f} s."
    if off:
        say += f" On this host {' and '.join(off)} would not stop them: pilot_gate_{off[0]} is not enforce."
    data = {"greens": [{"gate": each.green.gate, "wrong": each.green.wrong, "verdict": each.word,
                        "reason": each.reason} for each in tried]}  # fmt: skip
    return Outcome(1 if lines else 0, say, False, data)


def _try(host: Host, gate: Gate, green: Green, image: Image) -> Tried:
    with ExitStack() as stack:
        record = make_record(_spec(), image, RUN, host.clock.now())
        blue = replace(record, id=f"{record.id[:-1]}{'1' if record.id.endswith('0') else '0'}")
        rollout = Rollout(RUN, "green", record.id, blue.id, "prove", "upgrade")
        settings = replace(host.settings, probe_seconds=PROBE_SECONDS)
        if green.code:
            name = f"{host.settings.stack}-selftest"
            host = replace(host, settings=replace(settings, stack=name))
            container = host.settings.container("green")
            stack.callback(host.engine.discard, container)
            host.engine.lay(container, image.id, FOLDER, green.code, {"PYTHONPATH": FOLDER}, settings.stack)
            live: Record | None = None
        else:
            usual = green.work and Work()
            sites: dict[Slot, Site] = {
                "blue": stack.enter_context(serving(BLUE, None, "blue", blue.id, usual)),
                "green": stack.enter_context(serving(green.pages, green.trick, "green", record.id, green.work)),
            }
            settings = replace(settings, private_endpoints={slot: site.address for slot, site in sites.items()})
            host = replace(host, settings=settings, meter=lambda slot: lambda: sites[slot].cpu)
            live = blue
        (asked,) = ask(Candidate(host, rollout, record, live, _criteria(), lambda: None), (gate,))
    found = asked.found
    if isinstance(found, Skipped):
        return Tried(green, "skipped", found.reason)
    return Tried(green, found.verdict, found.reason)


def _spec() -> Spec:
    # No Python of its own to choose, so that the contract asks these pages alone.
    return Spec({"image": "eduhub/selftest", "health_path": "/", "smoke_paths": ["/courses"]})


def _criteria() -> Criteria:
    given = {
        "pilot_contract_requests": [{"path": path} for path in BLUE],
        "pilot_performance_paths": [f"{READ}?number={NUMBER}"],
        "pilot_performance_rate": 2000, "pilot_performance_read_rate": 500, "pilot_performance_seconds": 20,
    }  # fmt: skip
    found = criteria(given, _spec())
    # Nobody else is served by these.
    return replace(found, performance=replace(found.performance, rest=0.0))
