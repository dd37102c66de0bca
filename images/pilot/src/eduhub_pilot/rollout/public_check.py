"""The witness after a switch: the public address is asked, and who answers must be who the journal says."""

from __future__ import annotations

import json
from collections.abc import Callable

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import Rollout

QUESTIONS = 200
# Between two looks at everything else.
BETWEEN = 40
# A page that takes longer to say who answers is not asked two hundred times: with a Plone that hangs, ours does.
PAGE_SECONDS = 1.0
# Of our bridge, the only one that names its Python.
HEALTH = "/health"


def check(host: Host, run: str, rollout: Rollout, look: Callable[[], None]) -> None:
    """Ask 200 times; FailedError for the first answer of another slot, release or Python.

    Where no page names its Python, slot and release have to do; the journal says how many answers named one.
    """
    record = host.store.record(rollout.release)
    named = _page(host, record)
    path = named or path_of(record)
    pythons = 0
    for number in range(QUESTIONS):
        if number % BETWEEN == 0:
            look()
        answer = host.ask(host.settings.edge, path, host.settings.probe_seconds)
        python = python_in(answer)
        pythons += python is not None
        why = differs(answer, python, rollout, record)
        if why is None and named and python is None:
            why = "named no Python any more"
        if why:
            host.note(run, "shift", "contradicted", path=path, number=number + 1, why=why)
            raise FailedError(f"The public address, asked for {path}, {why}.")
    host.note(run, "shift", "witnessed", path=path, answers=QUESTIONS, slot=rollout.slot, release=rollout.release,
              pythons=pythons)  # fmt: skip


def _page(host: Host, record: Record) -> str | None:
    """Return the first page at the public address that names its Python, or None."""
    ours = [HEALTH] if record.python else []
    seconds = min(PAGE_SECONDS, host.settings.probe_seconds)
    pages = dict.fromkeys([path_of(record), *ours, *record.spec.paths])
    return next((page for page in pages if python_in(host.ask(host.settings.edge, page, seconds))), None)


def path_of(record: Record) -> str:
    """Return the page to ask for: one that says who answers and needs nothing else."""
    return str(record.spec.fields.get("live_path") or record.spec.health_path)


def differs(answer: Answer, python: str | None, rollout: Rollout, record: Record) -> str | None:
    """Return how an answer contradicts the journal, or None."""
    if answer.slot is None:
        said = {"nobody": "found nobody listening", "closed": "was cut off", "hangs": "was not answered in time"}
        return said.get(answer.trouble or "", f"answered {answer.status} by itself")
    if (answer.slot, answer.release) != (rollout.slot, rollout.release):
        return (
            f"was answered by {answer.slot} with release {answer.release}, but the journal says {rollout.slot} with "
            f"{rollout.release}"
        )
    if python and record.python_version and python != record.python_version:
        return f"was answered by Python {python}, but the journal says {record.python_version}"
    return None


def python_in(answer: Answer) -> str | None:
    """Return the Python that an answer names, or None for one that names none."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    python = said.get("python") if isinstance(said, dict) else None
    return python if isinstance(python, str) else None
