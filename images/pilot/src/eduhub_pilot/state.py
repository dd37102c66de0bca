"""release.json and lock.json: what they hold, which of it is legal, and how each step changes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from eduhub_pilot.document import RELEASE_ID, SCHEMA, Document
from eduhub_pilot.facts import SLOTS, Slot


def stamp(when: datetime) -> str:
    """Return `when` as RFC 3339 in UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(document: Document, name: str) -> datetime:
    """Return the time in field `name`; RefusedError when it is none."""
    try:
        when = datetime.fromisoformat(document.text(name))
    except ValueError:
        raise document.wrong(name, "a time") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Serving:
    """The committed release and its slot, since when (UTC, RFC 3339)."""

    slot: Slot
    release: str
    since: str


@dataclass(frozen=True)
class Rollout:
    """A run that has begun and is neither confirmed nor reverted; `origin` is the release that was live then."""

    run: str
    slot: Slot
    release: str
    origin: str | None
    step: str
    verb: str


@dataclass(frozen=True)
class HostState:
    """release.json. `good`: releases once confirmed here and not rolled back from, in the order of confirmation.

    `last_good` is where `rollback` goes by itself: the newest good one that is not live, or None. `reverted` is the
    run that was reverted last, so that reverting it again says so instead of refusing.
    """

    live: Serving | None = None
    confirmed: bool = True
    good: tuple[str, ...] = ()
    slots: dict[Slot, str | None] = field(default_factory=lambda: dict.fromkeys(SLOTS))
    rollout: Rollout | None = None
    way_back_seconds: float | None = None
    reverted: str | None = None

    @property
    def last_good(self) -> str | None:
        live = self.live.release if self.live else None
        return next((release for release in reversed(self.good) if release != live), None)

    def begun(self, rollout: Rollout) -> HostState:
        """Return the state of a host on which `rollout` has begun."""
        return replace(self, rollout=rollout, slots={**self.slots, rollout.slot: rollout.release})

    def at(self, rollout: Rollout, step: str) -> HostState:
        """Return the state with `rollout` at `step`; traffic may be on the new slot from `shift` on."""
        confirmed = self.confirmed and step not in {"shift", "shifted", "confirm"}
        return replace(self, rollout=replace(rollout, step=step), confirmed=confirmed)

    def committed(self, rollout: Rollout, now: datetime) -> HostState:
        """Return the state once `rollout`'s release is the live one.

        A rollback to a good release goes back to that point: what was confirmed after it is no longer good, so that
        a second rollback goes further back instead of returning to what was left for a reason. Going to any
        other release, by whatever verb, adds it and takes nothing out.
        """
        kept = self.good
        if rollout.verb == "rollback" and rollout.release in kept:
            kept = kept[: kept.index(rollout.release)]
        good = tuple(release for release in kept if release != rollout.release)
        return replace(
            self,
            live=Serving(rollout.slot, rollout.release, stamp(now)),
            confirmed=True,
            good=(*good, rollout.release),
            rollout=None,
            reverted=None,
        )

    def undone(self, rollout: Rollout) -> HostState:
        """Return the state once `rollout` is undone and its container gone."""
        slots = {**self.slots, rollout.slot: None}
        return replace(self, rollout=None, confirmed=True, slots=slots, reverted=rollout.run)

    def without(self, releases: set[str]) -> HostState:
        """Return the state with `releases`, whose records are gone, forgotten."""
        return replace(self, good=tuple(release for release in self.good if release not in releases))

    def text(self) -> str:
        """Return the file's content."""
        rolling = asdict(self.rollout) if self.rollout else None
        if rolling is not None:
            rolling["from"] = rolling.pop("origin")
        document = {
            "schema": SCHEMA,
            "live": asdict(self.live) if self.live else None,
            "confirmed": self.confirmed,
            "last_good": self.last_good,
            "slots": self.slots,
            "rollout": rolling,
            "way_back_seconds": self.way_back_seconds,
            "good": list(self.good),
            "reverted": self.reverted,
        }
        return json.dumps(document, indent=1) + "\n"


def parse_state(text: str, file: str, remedy: str) -> HostState:
    """Return the state in `text`; RefusedError names `file`, what is wrong and `remedy`."""
    document = Document.parse(text, file, remedy)
    live, rolling, slots = document.part("live"), document.part("rollout"), document.needed("slots")
    good = document.fields.get("good", [])
    if not isinstance(good, list) or not all(isinstance(each, str) and RELEASE_ID.fullmatch(each) for each in good):
        raise document.wrong("good", "a list of release ids")
    way_back = None if document.fields.get("way_back_seconds") is None else document.number("way_back_seconds")
    state = HostState(
        live=Serving(live.slot("slot"), live.release("release"), live.text("since")) if live else None,
        confirmed=document.flag("confirmed"),
        good=tuple(good),
        slots={slot: slots.maybe_release(slot) for slot in SLOTS},
        rollout=parse_rollout(rolling) if rolling else None,
        way_back_seconds=way_back,
        reverted=document.maybe_text("reverted"),
    )
    if state.live and state.rollout and state.live.slot == state.rollout.slot:
        # Undoing such a rollout would remove the container that serves.
        raise document.wrong("rollout", f"a rollout to the slot that is not live (live is {state.live.slot})")
    return state


def parse_rollout(part: Document) -> Rollout:
    return Rollout(
        part.text("run"), part.slot("slot"), part.release("release"), part.maybe_release("from"),
        part.text("step"), part.text("verb"),
    )  # fmt: skip


@dataclass(frozen=True)
class Lock:
    """lock.json: who is at work on this host. Times in UTC, `ttl_seconds` after the last heartbeat it is stale."""

    owner: str
    run: str
    verb: str
    step: str
    since: datetime
    heartbeat: datetime
    ttl_seconds: float

    def stale(self, now: datetime) -> bool:
        """Return whether nobody refreshed it in time.

        A heartbeat far in the future is stale too: the clock jumped back, and waiting for it could take years.
        """
        return abs((now - self.heartbeat).total_seconds()) > self.ttl_seconds

    def document(self) -> dict[str, Any]:
        """Return the file's fields."""
        times = {"since": stamp(self.since), "heartbeat": stamp(self.heartbeat)}
        return {"schema": SCHEMA, **asdict(self), **times}

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps(self.document(), indent=1) + "\n"


def parse_lock(text: str, file: str, remedy: str) -> Lock:
    """Return the lock in `text`; RefusedError names `file`, what is wrong and `remedy`."""
    document = Document.parse(text, file, remedy)
    return Lock(
        owner=document.text("owner"),
        run=document.text("run"),
        verb=document.text("verb"),
        step=document.text("step"),
        since=moment(document, "since"),
        heartbeat=moment(document, "heartbeat"),
        ttl_seconds=document.number("ttl_seconds"),
    )
