"""What the slots of a host tell each other of their writes, at once and without a database.

During a rollout the public meets both slots. To Plone, and to those who read, they must be one bridge: one write at a
time, and no page that was read before it. So they share three small files in the directory of the store: `writer.next`
and `writer.turn` (see patterns.turn), and `written`, eight bytes that are new after every write.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any, Callable, Optional

from eduhub_bridge.patterns.fair_queue import Client
from eduhub_bridge.patterns.lane import Lane, LaneBusyError, Place, Together
from eduhub_bridge.patterns.turn import Turn, TurnTimeoutError
from eduhub_bridge.telemetry.logs import Seldom

_BYTES = 8
# A turn that was free takes microseconds.
_AT_ONCE_SECONDS = 0.001


class Written:
    """Another value after every write, in all processes with the same `folder`; in this one alone without.

    Random, not a count: two slots that end a write in the same moment need not agree on whose number it is, since what
    stands there afterwards is in any case another value than before. Raises OSError where `folder` takes no file.
    """

    def __init__(self, folder: Optional[Path]) -> None:
        self._own = secrets.token_bytes(_BYTES)
        self._file: Optional[int] = None
        self._log = Seldom()
        if folder is not None:
            self._file = os.open(folder / "written", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if len(os.pread(self._file, _BYTES, 0)) < _BYTES:
                os.pwrite(self._file, self._own, 0)

    @property
    def value(self) -> bytes:
        """Return the value of now. One small read of what the kernel has in memory: a microsecond."""
        if self._file is None:
            return self._own
        try:
            return self._own + os.pread(self._file, _BYTES, 0)
        except OSError:
            return secrets.token_bytes(_BYTES)  # unknown, so nothing that was read before is good

    def anew(self) -> None:
        """Something may have been written."""
        self._own = secrets.token_bytes(_BYTES)
        if self._file is None:
            return
        try:
            os.pwrite(self._file, self._own, 0)
        except OSError as error:
            self._log.say("write_untold", detail=f"The other slot may show older pages: {error.strerror}.")

    def close(self) -> None:
        """Use the file no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class WriteLane(Lane):
    """A lane with one place in all processes with the same `folder`; in this one alone without."""

    def __init__(
        self, folder: Optional[Path], queue: int, seconds: float, waited: Callable[[float], None],
        client: Callable[[Any], Client] = lambda _: ("", ""),
    ) -> None:  # fmt: skip
        super().__init__(1, queue, seconds, waited, client)
        self._turn = Turn(folder) if folder is not None else None
        self._log = Seldom()

    async def enter(
        self, whose: Any = None, *, background: bool = False, together: Optional[Together] = None
    ) -> Place:
        """Return a place; raise LaneBusyError, also when another process does not let go of its own in time."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        place = await super().enter(whose, background=background, together=together)
        if self._turn is not None:
            entered = clock()
            try:
                await self._turn.take(begun + self.seconds - entered)
            except TurnTimeoutError:
                place.free()
                raise LaneBusyError(full=False, retry_seconds=self.seconds) from None
            except OSError as error:  # a file system without locks does not prevent writing
                self._log.say("no_turns", detail=f"Both slots may write at once: {error.strerror}.")
            except BaseException:
                place.free()
                raise
            finally:
                if (waited := clock() - entered) > _AT_ONCE_SECONDS:
                    self._waited(waited)
        return place

    def _left(self, place: Place) -> None:
        if self._turn is not None:
            self._turn.give_back()
        super()._left(place)

    def close(self) -> None:
        """Let the other processes go on."""
        if self._turn is not None:
            self._turn.close()
            self._turn = None
