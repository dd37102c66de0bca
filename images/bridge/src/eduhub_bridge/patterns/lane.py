"""Lane: at most so many at once, at most so many waiting, none longer than a deadline, and each client in its turn.

    lane = Lane(places=4, queue=256, seconds=10.0)
    place = await lane.enter()      # or: async with lane.place():
    try:
        ...
    finally:
        place.free()

A place is an object of its own, because who gives it back is often not who took it: here it is the end of an
answer's body. A caller that finds the queue full, or waits past the deadline, gets LaneBusyError at once.

With `client`, which tells whose a call is, the calls that wait are taken in turn by client (see fair_queue), a client
holds at most `share` places at a time, and in a full queue the newest call of the longest queue gives way to a client
that has fewer. Calls in the background come after all others, but get one turn in BACKGROUND_TURN.

Nothing is asked of `client` while fewer than `share` places are taken.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Callable, List, Optional, Set, Union

from eduhub_bridge.patterns.fair_queue import Client, FairQueue

# While both kinds wait, so many of their turns make one for the background. A job gets on, if slowly: a deadline alone
# would let it pass only after it has waited in vain, and all that wait so at once.
BACKGROUND_TURN = 8
# Calls for one and the same thing wait together as long as the last to come may, at most so many times as long as one.
TOGETHER_TIMES = 3
# Whose the places of the background are: one client's, so that it is bounded as any other is.
_BACKGROUND = "background"

_LATE, _CROWDED_OUT = "late", "crowded out"


class LaneBusyError(Exception):
    """No place was to be had. `full` tells a full queue from a deadline that passed in it.

    `crowded_out` says that the call was queued, and gave way to a client with fewer calls in the queue.
    """

    def __init__(self, *, full: bool, retry_seconds: float, crowded_out: bool = False) -> None:
        super().__init__("the queue is full" if full else "no place came free in time")
        self.full, self.retry_seconds, self.crowded_out = full, retry_seconds, crowded_out


class Place:
    """One place in a lane, until free(); giving it back twice gives it back once."""

    __slots__ = ("_address", "_background", "_lane", "_whose")

    def __init__(self, lane: Lane, whose: Any, background: bool, address: Optional[str]) -> None:
        self._lane: Optional[Lane] = lane
        self._whose = whose
        self._background = background
        self._address = address

    def free(self) -> None:
        """Give the place to the one whose turn it is, if anybody waits."""
        lane, self._lane = self._lane, None
        if lane is not None:
            lane._left(self)


class Together:
    """Calls that wait for one and the same thing: the first turn of any of them is taken for all.

    Without it, the page that everybody wants would wait behind all else that the first one to ask for it has queued,
    and all would be refused with the first one, however lately they came. `since` is when a call began to wait, on the
    clock of the loop, if that was earlier, as of one that waited with others before; they wait together no longer than
    the one that waits longest may.
    """

    __slots__ = ("_lane", "_turn", "since", "whose")

    def __init__(self, whose: Any, since: Optional[float] = None) -> None:
        self.whose = [whose]
        self.since = asyncio.get_running_loop().time() if since is None else since
        self._lane: Optional[Lane] = None
        self._turn: Optional[_Turn] = None

    def join(self, whose: Any, since: Optional[float] = None) -> None:
        """Let one more wait for the same."""
        self.whose.append(whose)
        if since is not None and since < self.since:
            self.since = since
            if self._lane is not None and self._turn is not None:
                self._turn.latest = self._lane.latest(since)
        if self._lane is not None and self._turn is not None:
            self._lane._also(self._turn, whose)

    def _waits(self, lane: Lane, turn: _Turn) -> None:
        self._lane, self._turn = lane, turn
        for each in self.whose[1:]:
            lane._also(turn, each)


class _Turn:
    """One call that waits; `place` becomes its place, or why there is none, which it is at `until` or at `latest`."""

    __slots__ = ("background", "clients", "deadline", "latest", "place", "until", "whose")

    def __init__(self, whose: Any, client: Client, background: bool, place: asyncio.Future[Union[Place, str]]) -> None:
        self.whose, self.clients, self.background, self.place = whose, [client], background, place
        self.until = self.latest = 0.0
        self.deadline: Optional[asyncio.TimerHandle] = None


class Lane:
    """`places` at once, `queue` waiting, each for at most `seconds`.

    `client` returns the client of what enter() is given; an empty address stands for all whose address is not known,
    and has no `share`. `waited` is told, in seconds, how long each one waited that had to, whether or not it got in.
    Calls `together` wait no longer than the first of them where `hopeless` says that it would be in vain.
    """

    def __init__(
        self, places: int, queue: int, seconds: float, waited: Callable[[float], None] = lambda _: None,
        client: Callable[[Any], Client] = lambda _: ("", ""), share: Optional[int] = None,
        hopeless: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.places, self.queue, self.seconds = places, queue, seconds
        self._waited, self._client, self._hopeless = waited, client, hopeless
        self._share = places if share is None else min(share, places)
        self._busy = 0
        # Who has the places; of interest only where there are shares.
        self._held: Set[Place] = set()
        self._waiting = [0, 0]
        self._queues: List[FairQueue[_Turn]] = [FairQueue(), FairQueue()]
        self._turns = 0

    @property
    def busy(self) -> int:
        """Return how many places are taken."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Return how many wait for one."""
        return self._waiting[0] + self._waiting[1]

    @property
    def waiting_in_background(self) -> int:
        """Return how many of them are calls in the background."""
        return self._waiting[1]

    def enter_now(self, whose: Any = None, *, background: bool = False) -> Optional[Place]:
        """Return a place if one is free and this client has fewer than it may have, else None."""
        # No caller waits while fewer places than that are taken: a place that comes free changes hands at once.
        if self._busy >= self._share and not self._may(self._address(whose, background)):
            return None
        return self._taken(whose, background)

    async def enter(
        self, whose: Any = None, *, background: bool = False, together: Optional[Together] = None
    ) -> Place:
        """Return a place; raise LaneBusyError."""
        if self._busy < self._share or self._may(self._address(whose, background)):
            return self._taken(whose, background)
        client = self._client(whose)
        if self.waiting >= self.queue:
            self._make_room(client, background)
        return await self._wait(_Turn(whose, client, background, asyncio.get_running_loop().create_future()), together)

    def latest(self, since: float) -> float:
        """Return until when those may wait together of whom one has waited `since` then."""
        return since + TOGETHER_TIMES * self.seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block; raise LaneBusyError."""
        place = await self.enter()
        try:
            yield
        finally:
            place.free()

    async def _wait(self, turn: _Turn, together: Optional[Together]) -> Place:
        loop = asyncio.get_running_loop()
        self._queues[turn.background].add(turn.clients[0], turn)
        self._waiting[turn.background] += 1
        begun = loop.time()
        turn.latest = self.latest(begun if together is None else together.since)
        turn.until = min(begun + self.seconds, turn.latest)
        turn.deadline = loop.call_at(turn.until, self._due, turn)
        if together is not None:
            together._waits(self, turn)
        try:
            got = await turn.place
        except asyncio.CancelledError:
            self._end(turn, _LATE)
            came = None if turn.place.cancelled() else turn.place.result()
            if isinstance(came, Place):
                came.free()  # in the very moment its taker was called off
            raise
        finally:
            turn.deadline.cancel()
            self._waited(loop.time() - begun)
        if isinstance(got, Place):
            return got
        crowded_out = got == _CROWDED_OUT
        raise LaneBusyError(full=crowded_out, retry_seconds=self.seconds, crowded_out=crowded_out)

    def _also(self, turn: _Turn, whose: Any) -> None:
        """Let a call have its turn whenever another client has one, too, and wait as long as that one may."""
        if not turn.clients:
            return
        turn.until = min(asyncio.get_running_loop().time() + self.seconds, turn.latest)
        client = self._client(whose)
        if client not in turn.clients:
            turn.clients.append(client)
            self._queues[turn.background].add(client, turn)

    def _due(self, turn: _Turn) -> None:
        """End a call's waiting, unless another one that waits for the same has come since."""
        loop = asyncio.get_running_loop()
        if turn.until > loop.time() and not self._hopeless():
            turn.deadline = loop.call_at(turn.until, self._due, turn)
        else:
            self._end(turn, _LATE)

    def _end(self, turn: _Turn, how: Union[Place, str]) -> None:
        """Take a call out of the queue, unless it is out already."""
        if not turn.clients:
            return
        for client in turn.clients:
            self._queues[turn.background].remove(client, turn)
        turn.clients = []
        self._waiting[turn.background] -= 1
        if not turn.place.done():
            turn.place.set_result(how)

    def _make_room(self, client: Client, background: bool) -> None:
        if self._queues[True] and not background:
            gives_way: Optional[_Turn] = self._queues[True].newest()
        else:
            gives_way = self._queues[background].crowded_out(client)
        if gives_way is None:
            # By the deadline everybody who waits now has got a place or given up.
            raise LaneBusyError(full=True, retry_seconds=self.seconds)
        self._end(gives_way, _CROWDED_OUT)

    def _address(self, whose: Any, background: bool) -> str:
        return _BACKGROUND if background else self._client(whose)[0]

    def _may(self, address: str) -> bool:
        """Return whether an address may have one place more."""
        if self._busy >= self.places:
            return False
        if self._share >= self.places or not address:
            return True
        held = 0
        for place in self._held:
            if place._address is None:
                place._address = self._address(place._whose, place._background)
            held += place._address == address
        return held < self._share

    def _taken(self, whose: Any, background: bool, address: Optional[str] = None) -> Place:
        place = Place(self, whose, background, address)
        self._busy += 1
        if self._share < self.places:
            self._held.add(place)
        return place

    def _left(self, place: Place) -> None:
        self._busy -= 1
        if self._share < self.places:
            self._held.discard(place)
        people, later = self._waiting
        while (people or later) and self._busy < self.places and self._grant():
            people, later = self._waiting

    def _grant(self) -> bool:
        """Give a free place to the one whose turn it is; return False if there is none who may have it."""
        people, later = self._queues
        if later and people and self._turns >= BACKGROUND_TURN - 1 and self._grant_in_background():
            return True
        found = people.next_turn(self._may) if people else None
        if found is None:
            return bool(later) and self._grant_in_background()
        address, turn = found
        self._turns = self._turns + 1 if later else 0
        self._hand_over(turn, address)
        return True

    def _grant_in_background(self) -> bool:
        found = self._queues[1].next_turn() if self._may(_BACKGROUND) else None
        if found is None:
            return False
        self._turns = 0
        self._hand_over(found[1], _BACKGROUND)
        return True

    def _hand_over(self, turn: _Turn, address: str) -> None:
        if turn.place.done():  # called off, and has not run yet
            self._end(turn, _LATE)
        else:
            self._end(turn, self._taken(turn.whose, turn.background, address))
