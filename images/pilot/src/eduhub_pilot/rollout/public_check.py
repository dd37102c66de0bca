"""The public check after a switch: the public address has to be answered by the slot that the journal names."""

from __future__ import annotations

import json
from collections.abc import Callable

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Answer, answered
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import Rollout

REQUESTS = 200
# Requests between two checks of everything else.
BETWEEN = 40
# A slower page is not requested two hundred times: ours is slow while Plone hangs.
PAGE_SECONDS = 1.0
# The page of our bridge that names its Python.
HEALTH = "/health"


def check(host: Host, run: str, rollout: Rollout, look: Callable[[], None]) -> None:
    """Request a page 200 times; FailedError for the first answer of another slot, release or Python.

    Where no page names its Python, slot and release are checked alone; the journal counts the answers that named one.
    """
    record = host.store.record(rollout.release)
    named = _page(host, record)
    path = named or path_of(record)
    pythons = 0
    for number in range(REQUESTS):
        if number % BETWEEN == 0:
            look()
        answer = host.ask(host.settings.edge, path, host.settings.probe_seconds)
        python = python_in(answer)
        pythons += python is not None
        why = differs(answer, python, rollout, record)
        if why is None and named and python is None:
            why = "no longer named its Python"
        if why:
            host.note(run, "shift", "public_check_failed", path=path, number=number + 1, why=why)
            raise FailedError("public_check_failed", f"Public check failed: {path} at the public address {why}.")
    host.note(
        run, "shift", "public_check_passed", path=path, answers=REQUESTS, slot=rollout.slot, release=rollout.release,
        pythons=pythons,
    )  # fmt: skip


def _page(host: Host, record: Record) -> str | None:
    """Return the first page at the public address that names its Python, or None."""
    ours = [HEALTH] if record.python else []
    seconds = min(PAGE_SECONDS, host.settings.probe_seconds)
    pages = dict.fromkeys([path_of(record), *ours, *record.spec.paths])
    return next((page for page in pages if python_in(host.ask(host.settings.edge, page, seconds))), None)


def path_of(record: Record) -> str:
    """Return the page to request: the cheapest one that the slot answers by itself."""
    return str(record.spec.fields.get("live_path") or record.spec.health_path)


def differs(answer: Answer, python: str | None, rollout: Rollout, record: Record) -> str | None:
    """Return how an answer contradicts the journal, or None."""
    if answer.slot is None:
        return answered(answer)
    if (answer.slot, answer.release) != (rollout.slot, rollout.release):
        return (
            f"was answered by {answer.slot} with release {answer.release}, but the journal names {rollout.slot} with "
            f"{rollout.release}"
        )
    if python and record.python_version and python != record.python_version:
        return f"was answered by Python {python}, but the journal names {record.python_version}"
    return None


def python_in(answer: Answer) -> str | None:
    """Return the Python that an answer names, or None for one that names none."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    python = document.get("python") if isinstance(document, dict) else None
    return python if isinstance(python, str) else None
