"""Whether the way back is open: looked at anew each time, since images are pruned and memory is taken. Pure."""

from __future__ import annotations

from typing import Any

from eduhub_pilot.adapters.memory import SLOT_MEMORY, size
from eduhub_pilot.model.facts import Slot, other
from eduhub_pilot.model.state import Serving
from eduhub_pilot.rollout.inspection import Inspection, live_slot


def rollback(inspection: Inspection) -> dict[str, Any]:
    """Return whether the way back is open, where it leads, and how many seconds it took when last measured."""
    live, slot = inspection.state.live, live_slot(inspection)
    to = inspection.state.last_good
    if live and slot != live.slot:
        # Nothing is committed yet: the release that was live before is still the one to go back to.
        to, why = live.release, _serves_not(inspection, live)
    else:
        why = _closed(inspection, to, slot)
    return {"ready": why is None, "to": to, "seconds": inspection.state.way_back_seconds, "why": why}


def _serves_not(inspection: Inspection, live: Serving) -> str | None:
    """Return why the committed slot could not take traffic back at once, or None."""
    if inspection.containers is None:
        return "the engine does not answer"
    container = inspection.containers[live.slot]
    return None if container and container.runs else f"the container of {live.slot} does not run"


def _closed(inspection: Inspection, to: str | None, slot: Slot | None) -> str | None:
    """Return why the last known-good release could not be gone back to, or None."""
    if to is None:
        return "no other release is known to be good here"
    if to not in inspection.records:
        return f"the record of {to} is missing or unreadable"
    record = inspection.records[to]
    if not record.intact:
        return f"the record of {to} was changed since it was written"
    if inspection.containers is None:
        return "the engine does not answer"
    if inspection.way_back is None:
        return f"the image of {to} is gone from the engine"
    warm = inspection.containers[other(slot)] if slot else None
    needed = size(str(record.spec.fields.get("memory") or SLOT_MEMORY))
    if warm and warm.runs and warm.release == to:
        return None
    if needed and inspection.free_bytes is not None and inspection.free_bytes < needed:
        return (
            f"its slot is not running and may take {needed >> 20} MiB, of which {inspection.free_bytes >> 20} are free"
        )
    return None
