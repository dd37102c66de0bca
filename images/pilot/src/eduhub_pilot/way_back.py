"""Whether the way back is open: looked at anew each time, since images are pruned and memory is taken. Pure."""

from __future__ import annotations

from typing import Any

from eduhub_pilot.facts import Slot, other
from eduhub_pilot.preflight import SLOT_MEMORY, size
from eduhub_pilot.seen import Seen, live_slot
from eduhub_pilot.state import Serving


def rollback(seen: Seen) -> dict[str, Any]:
    """Return whether the way back is open, where it leads, and how many seconds it took when last measured."""
    live, slot = seen.state.live, live_slot(seen)
    to = seen.state.last_good
    if live and slot != live.slot:
        # Nothing is committed yet: the release that was live before is still the one to go back to.
        to, why = live.release, _serves_not(seen, live)
    else:
        why = _closed(seen, to, slot)
    return {"ready": why is None, "to": to, "seconds": seen.state.way_back_seconds, "why": why}


def _serves_not(seen: Seen, live: Serving) -> str | None:
    """Return why the committed slot could not take traffic back at once, or None."""
    if seen.containers is None:
        return "the engine does not answer"
    container = seen.containers[live.slot]
    return None if container and container.runs else f"the container of {live.slot} does not run"


def _closed(seen: Seen, to: str | None, slot: Slot | None) -> str | None:
    """Return why the last known-good release could not be gone back to, or None."""
    if to is None:
        return "no other release is known to be good here"
    if to not in seen.records:
        return f"the record of {to} is missing or unreadable"
    record = seen.records[to]
    if not record.intact:
        return f"the record of {to} was changed since it was written"
    if seen.containers is None:
        return "the engine does not answer"
    if seen.way_back is None:
        return f"the image of {to} is gone from the engine"
    warm = seen.containers[other(slot)] if slot else None
    needed = size(str(record.spec.fields.get("memory") or SLOT_MEMORY))
    if warm and warm.runs and warm.release == to:
        return None
    if needed and seen.free_bytes is not None and seen.free_bytes < needed:
        return f"its slot is not running and may take {needed >> 20} MiB, of which {seen.free_bytes >> 20} are free"
    return None
