"""release.json and lock.json: what they hold, which of it is legal, and how each step changes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from eduhub_pilot.model.document import RELEASE_ID, SCHEMA, Document
from eduhub_pilot.model.facts import SLOTS, Process, Slot

CONFIRM_SECONDS = 600.0
RESULTS: tuple[Literal["confirmed"], Literal["reverted"]] = ("confirmed", "reverted")
# From the first on, traffic may be on the new slot, and a pilot must be watching.
MOVING = ("shift", "shifted", "confirm")


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
class Traffic:
    """What a shift has done so far, for a pilot that comes after one that was killed.

    `process` is HAProxy when traffic first moved: another one has forgotten the move, after a reboot too. `confirm_by`
    counts as the monotonic clock of this boot does, None until all traffic has moved. `drained_seconds` and `left` are
    how long the other slot took to empty, and how many connections it still had then.
    """

    process: Process
    confirm_by: float | None = None
    drained_seconds: float | None = None
    left: int = 0


@dataclass(frozen=True)
class Rollout:
    """A run that has begun and is neither confirmed nor reverted; `origin` is the release that was live then.

    Once all traffic has moved it is to be confirmed within `confirm_seconds`: by the run, or with `hold` by a person.
    """

    run: str
    slot: Slot
    release: str
    origin: str | None
    step: str
    verb: str
    hold: bool = False
    confirm_seconds: float = CONFIRM_SECONDS
    traffic: Traffic | None = None

    @property
    def moving(self) -> bool:
        """Whether public traffic may be on the new slot."""
        return self.step in MOVING


@dataclass(frozen=True)
class Last:
    """How the last finished run ended, when (UTC, RFC 3339), and for one that was reverted why."""

    run: str
    verb: str
    release: str
    result: Literal["confirmed", "reverted"]
    when: str
    why: str | None = None


@dataclass(frozen=True)
class HostState:
    """release.json. `good`: releases once confirmed here and not rolled back from, in the order of confirmation.

    `last_good` is where `rollback` goes by itself: the newest good one that is not live, or None. `last` is how the
    last run ended, so that status can say it, and reverting a reverted run says so instead of refusing.
    """

    live: Serving | None = None
    confirmed: bool = True
    good: tuple[str, ...] = ()
    slots: dict[Slot, str | None] = field(default_factory=lambda: dict.fromkeys(SLOTS))
    rollout: Rollout | None = None
    way_back_seconds: float | None = None
    last: Last | None = None

    @property
    def reverted(self) -> str | None:
        """The run that was reverted last, unless another one was confirmed since."""
        return self.last.run if self.last and self.last.result == "reverted" else None

    @property
    def last_good(self) -> str | None:
        live = self.live.release if self.live else None
        return next((release for release in reversed(self.good) if release != live), None)

    def begun(self, rollout: Rollout) -> HostState:
        """Return the state of a host on which `rollout` has begun."""
        return replace(self, rollout=rollout, slots={**self.slots, rollout.slot: rollout.release})

    def at(self, rollout: Rollout, step: str) -> HostState:
        """Return the state with `rollout` at `step`; traffic may be on the new slot from `shift` on."""
        confirmed = self.confirmed and step not in MOVING
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
            last=Last(rollout.run, rollout.verb, rollout.release, "confirmed", stamp(now)),
        )

    def undone(self, rollout: Rollout, why: str, now: datetime) -> HostState:
        """Return the state once `rollout` is undone and its container gone."""
        slots = {**self.slots, rollout.slot: None}
        last = Last(rollout.run, rollout.verb, rollout.release, "reverted", stamp(now), why or None)
        return replace(self, rollout=None, confirmed=True, slots=slots, last=last)

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
            "last": asdict(self.last) if self.last else None,
        }
        return json.dumps(document, indent=1) + "\n"


def parse_state(text: str, file: str, remedy: str) -> HostState:
    """Return the state in `text`; RefusedError names `file`, what is wrong and `remedy`."""
    document = Document.parse(text, file, remedy)
    live, rolling, slots = document.part("live"), document.part("rollout"), document.needed("slots")
    last = document.part("last")
    good = document.fields.get("good", [])
    if not isinstance(good, list) or not all(isinstance(each, str) and RELEASE_ID.fullmatch(each) for each in good):
        raise document.wrong("good", "a list of release ids")
    state = HostState(
        live=Serving(live.slot("slot"), live.release("release"), live.text("since")) if live else None,
        confirmed=document.flag("confirmed"),
        good=tuple(good),
        slots={slot: slots.maybe_release(slot) for slot in SLOTS},
        rollout=parse_rollout(rolling) if rolling else None,
        way_back_seconds=document.maybe_number("way_back_seconds"),
        last=parse_last(last) if last else None,
    )
    if state.live and state.rollout and state.live.slot == state.rollout.slot:
        # Undoing such a rollout would remove the container that serves.
        raise document.wrong("rollout", f"a rollout to the slot that is not live (live is {state.live.slot})")
    return state


def parse_rollout(part: Document) -> Rollout:
    traffic = part.part("traffic")
    return Rollout(
        part.text("run"), part.slot("slot"), part.release("release"), part.maybe_release("from"),
        part.text("step"), part.text("verb"), part.flag("hold") if "hold" in part.fields else False,
        part.number("confirm_seconds") if "confirm_seconds" in part.fields else CONFIRM_SECONDS,
        parse_traffic(traffic) if traffic else None,
    )  # fmt: skip


def parse_traffic(part: Document) -> Traffic:
    process = part.needed("process")
    return Traffic(
        Process(int(process.number("pid")), int(process.number("started"))),
        part.maybe_number("confirm_by"), part.maybe_number("drained_seconds"), int(part.number("left")),
    )  # fmt: skip


def parse_last(part: Document) -> Last:
    result: Literal["confirmed", "reverted"] | None = None
    for known in RESULTS:
        result = known if part.fields.get("result") == known else result
    if result is None:
        raise part.wrong("result", "confirmed or reverted")
    return Last(
        part.text("run"), part.text("verb"), part.release("release"), result, part.text("when"), part.maybe_text("why")
    )


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
