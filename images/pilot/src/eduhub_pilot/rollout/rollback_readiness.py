"""Whether a rollback is ready: determined each time, since images are pruned and memory is used up. Pure."""

from __future__ import annotations

from typing import Any

from eduhub_pilot.adapters.memory import SLOT_MEMORY, size
from eduhub_pilot.model.facts import Slot, other
from eduhub_pilot.model.state import Serving
from eduhub_pilot.rollout.inspection import Inspection, live_slot


def rollback(inspection: Inspection) -> dict[str, Any]:
    """Return whether a rollback is ready, its target, and the seconds it took when last measured."""
    live, slot = inspection.state.live, live_slot(inspection)
    to = inspection.state.last_good
    if live and slot != live.slot:
        # The candidate is not committed: the rollback target is still the live release on disk.
        to, why = live.release, _not_serving(inspection, live)
    else:
        why = _blocked(inspection, to, slot)
    return {"ready": why is None, "to": to, "seconds": inspection.state.rollback_seconds, "why": why}


def _not_serving(inspection: Inspection, live: Serving) -> str | None:
    """Return why the committed slot cannot take traffic at once, or None."""
    if inspection.containers is None:
        return "the Docker Engine does not answer"
    container = inspection.containers[live.slot]
    return None if container and container.runs else f"the container of {live.slot} does not run"


def _blocked(inspection: Inspection, to: str | None, slot: Slot | None) -> str | None:
    """Return why a rollback to the last known-good release is blocked, or None."""
    if to is None:
        return "no other release is known to be good on this host"
    if to not in inspection.records:
        return f"the record of {to} is missing or cannot be read"
    record = inspection.records[to]
    if not record.intact:
        return f"the record of {to} was changed after it was written"
    if inspection.containers is None:
        return "the Docker Engine does not answer"
    if inspection.target_image is None:
        return f"the image of {to} is no longer on this host"
    warm = inspection.containers[other(slot)] if slot else None
    needed = size(str(record.spec.fields.get("memory") or SLOT_MEMORY))
    if warm and warm.runs and warm.release == to:
        return None
    if needed and inspection.free_bytes is not None and inspection.free_bytes < needed:
        return (
            f"its slot does not run and may need {needed >> 20} MiB; {inspection.free_bytes >> 20} MiB are available"
        )
    return None
