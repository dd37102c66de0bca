"""release.json and lock.json: their fields, their legal values, and how each step changes them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from eduhub_pilot.model.document import RELEASE_ID, SCHEMA, Document, Source
from eduhub_pilot.model.facts import SLOTS, Process, Slot

CONFIRM_SECONDS = 600.0
RESULTS: tuple[Literal["confirmed"], Literal["reverted"]] = ("confirmed", "reverted")
# A run that is being undone: it has failed, or was ended. It is never continued.
REVERT = "revert"
# At these steps traffic may be on the candidate, and a shift must monitor it or finish the undo.
MOVING = ("shift", "shifted", "confirm", REVERT)
# The verb of a lock that the same verb alone takes over: packages are updated under it, and the host is rebooted.
PATCH = "host.patch"


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
    """What a shift has done so far, for a pilot that continues after one that was killed.

    `process` is the HAProxy in which traffic first moved: another one does not know of the move. `confirm_by` is in the
    monotonic clock of this boot, None until all traffic has moved. `drained_seconds` and `left` are the duration of the
    previous slot's drain and the connections it had left then. `returned`: the shift itself took all traffic back for a
    while, for the rehearsal or because the disk was full. Without it, a candidate whose traffic is gone was given up.
    """

    process: Process
    confirm_by: float | None = None
    drained_seconds: float | None = None
    left: int = 0
    returned: bool = False


@dataclass(frozen=True)
class Rollout:
    """A run that has begun and is neither confirmed nor reverted; `origin` is the release that was live then.

    Once all traffic has moved, the run, or with `hold` a person, confirms it within `confirm_seconds`. `why` is why it
    is being undone.
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
    why: str | None = None

    @property
    def undoing(self) -> bool:
        """Whether the run is being undone."""
        return self.step == REVERT

    @property
    def moving(self) -> bool:
        """Whether public traffic may be on the candidate."""
        return self.step in MOVING


@dataclass(frozen=True)
class Last:
    """The last finished run: its result, when it ended (UTC, RFC 3339), and why it was reverted."""

    run: str
    verb: str
    release: str
    result: Literal["confirmed", "reverted"]
    when: str
    why: str | None = None


@dataclass(frozen=True)
class HostState:
    """release.json. `good`: releases confirmed here and not rolled back from, in the order of confirmation.

    `last_good` is the default rollback target: the newest good release that is not live, or None. `last` is the last
    finished run, for status and for repeating a revert.
    """

    live: Serving | None = None
    confirmed: bool = True
    good: tuple[str, ...] = ()
    slots: dict[Slot, str | None] = field(default_factory=lambda: dict.fromkeys(SLOTS))
    rollout: Rollout | None = None
    rollback_seconds: float | None = None
    last: Last | None = None

    @property
    def reverted(self) -> str | None:
        """The last finished run, if it was reverted."""
        return self.last.run if self.last and self.last.result == "reverted" else None

    @property
    def last_good(self) -> str | None:
        live = self.live.release if self.live else None
        return next((release for release in reversed(self.good) if release != live), None)

    def begun(self, rollout: Rollout) -> HostState:
        """Return the state of a host on which `rollout` has begun."""
        return replace(self, rollout=rollout, slots={**self.slots, rollout.slot: rollout.release})

    def at(self, rollout: Rollout, step: str) -> HostState:
        """Return the state with `rollout` at `step`; traffic may be on the candidate from `shift` on."""
        confirmed = self.confirmed and step not in MOVING
        return replace(self, rollout=replace(rollout, step=step), confirmed=confirmed)

    def undoing(self, rollout: Rollout, why: str) -> HostState:
        """Return the state with `rollout` being undone; the first reason stays."""
        return self.at(rollout if rollout.undoing else replace(rollout, why=why or None), REVERT)

    def committed(self, rollout: Rollout, now: datetime) -> HostState:
        """Return the state once `rollout`'s release is the live one.

        A rollback to a good release drops the releases confirmed after it, so that a second rollback goes further back
        instead of returning to a release that was left for a reason. Any other release is added to the good ones.
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
        """Return the state once `rollout` is undone and its container removed."""
        slots = {**self.slots, rollout.slot: None}
        last = Last(rollout.run, rollout.verb, rollout.release, "reverted", stamp(now), why or None)
        return replace(self, rollout=None, confirmed=True, slots=slots, last=last)

    def without(self, releases: set[str]) -> HostState:
        """Return the state without `releases`, whose records were removed."""
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
            "rollback_seconds": self.rollback_seconds,
            "good": list(self.good),
            "last": asdict(self.last) if self.last else None,
        }
        return json.dumps(document, indent=1) + "\n"


def parse_state(text: str, source: Source) -> HostState:
    """Return the state in `text`; RefusedError for an invalid one."""
    document = Document.parse(text, source)
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
        rollback_seconds=document.maybe_number("rollback_seconds"),
        last=parse_last(last) if last else None,
    )
    if state.live and state.rollout and state.live.slot == state.rollout.slot:
        # Undoing such a rollout would remove the live container.
        raise document.wrong("rollout", f"a rollout to the slot that is not live (live is {state.live.slot})")
    return state


def parse_rollout(part: Document) -> Rollout:
    traffic = part.part("traffic")
    return Rollout(
        part.text("run"), part.slot("slot"), part.release("release"), part.maybe_release("from"),
        part.text("step"), part.text("verb"), part.flag("hold") if "hold" in part.fields else False,
        part.number("confirm_seconds") if "confirm_seconds" in part.fields else CONFIRM_SECONDS,
        parse_traffic(traffic) if traffic else None, part.maybe_text("why"),
    )  # fmt: skip


def parse_traffic(part: Document) -> Traffic:
    process = part.needed("process")
    return Traffic(
        Process(int(process.number("pid")), int(process.number("started"))),
        part.maybe_number("confirm_by"), part.maybe_number("drained_seconds"), int(part.number("left")),
        part.flag("returned") if "returned" in part.fields else False,
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
    """lock.json: the run that holds this host. Times in UTC; it expires `ttl_seconds` after its last heartbeat."""

    owner: str
    run: str
    verb: str
    step: str
    since: datetime
    heartbeat: datetime
    ttl_seconds: float

    def expired(self, now: datetime) -> bool:
        """Return whether the last heartbeat is too old.

        A heartbeat far in the future is expired too: the clock jumped back, and waiting for it could take years.
        """
        return abs((now - self.heartbeat).total_seconds()) > self.ttl_seconds

    @property
    def expires(self) -> datetime:
        """When it expires, unless its run is heard of again."""
        return self.heartbeat + timedelta(seconds=self.ttl_seconds)

    def document(self) -> dict[str, Any]:
        """Return the file's fields."""
        times = {"since": stamp(self.since), "heartbeat": stamp(self.heartbeat)}
        return {"schema": SCHEMA, **asdict(self), **times}

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps(self.document(), indent=1) + "\n"


def parse_lock(text: str, source: Source) -> Lock:
    """Return the lock in `text`; RefusedError for an invalid one."""
    document = Document.parse(text, source)
    return Lock(
        owner=document.text("owner"),
        run=document.text("run"),
        verb=document.text("verb"),
        step=document.text("step"),
        since=moment(document, "since"),
        heartbeat=moment(document, "heartbeat"),
        ttl_seconds=document.number("ttl_seconds"),
    )
