"""Several processes of Plone on one database: forked from one that has loaded everything, so they share its memory.

Files admit one process, so one more serves them to the others by ZEO, inside the container. Process 1 makes the site
and takes all writes; the others come when it is ready.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FIRST = 1
DATABASE = 0
# One that ended sooner would end again at once.
SHORTEST_LIFE_SECONDS = 30.0
# Processes finish what they have begun, for 8 seconds.
STOP_SECONDS = 15
# ZEO's own thread in each process.
ZEO_THREAD = "zeo client networking thread"
# Which process of Plone this is, from 1 on, for an add-on that is to do something once.
NUMBER = "EDUHUB_PROCESS"
log = logging.getLogger("plone")


class Processes:
    """Forks `count` processes from this one, and watches over them.

    `database`: serves the database to the others until SIGTERM, and calls what it is given once it does.
    """

    def __init__(self, count: int, database: Callable[[Callable[[], None]], object]) -> None:
        self.count = count
        self.database = database
        self.number = FIRST
        self.numbers: dict[int, int] = {}  # by process id
        self.begun: dict[int, float] = {}
        self.told: set[int] = set()  # process ids that were told to end
        self.code: int | None = None  # how the parent ends, once it does
        self.pipe: int | None = None

    def divide(self) -> None:
        """Return in each process of Plone, with its `number` from 1 on. The parent ends by SystemExit."""
        for chatty in ("ZEO", "ZODB.blob"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        if started := own_threads():
            words = "Threads that began while Plone was loaded (%s) are in none of its processes; who needs them "
            log.warning(words + "runs one process (PROCESSES=1).", ", ".join(started))
        # What was loaded until now lives as long as the processes: a collector that walks through it would copy it.
        gc.collect()
        gc.freeze()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: self._stop(0))
        for number in range(DATABASE, self.count + 1):
            if self.code is None and self._fork(number, awaited=number <= FIRST):
                self._take_up()
                return
        self._watch()

    def tell_threads(self) -> None:
        """Log once which threads began when this process opened the database: each process has its own."""
        if self.count > 1 and self.number == FIRST and (started := own_threads()):
            words = "Threads that began when the database was opened (%s) run in each of the %d processes, so what "
            words += "they do may be done as often; who needs it once runs one process (PROCESSES=1)."
            log.warning(words, ", ".join(started), self.count)

    def ready(self) -> None:
        """Let the processes come that wait for this one; there are none where it was started anew."""
        if self.pipe is not None:
            os.write(self.pipe, b"1")
            os.close(self.pipe)
            self.pipe = None

    def _take_up(self) -> None:
        """Return in a process of Plone; that of the database serves it, and ends."""
        if self.number == DATABASE:
            code = 1
            try:
                self.database(self.ready)
            except SystemExit:
                code = 0  # SIGTERM
            except Exception as error:  # whatever a damaged file raises
                log.error("The database cannot be served (%s: %s).", type(error).__name__, error)  # noqa: TRY400
            finally:
                logging.shutdown()
                os._exit(code)

    def _watch(self) -> None:
        """Start a process anew that ended by itself, and return in it. SystemExit in the parent once all have ended."""
        while self.numbers:
            pid, status = os.wait()
            number, code = self.numbers.pop(pid, None), os.waitstatus_to_exitcode(status)
            if number is not None and self.code is None:
                lived = time.monotonic() - self.begun[number]
                log.error("%s ended with %d after %.0f s.", named(number), code, lived)
                # Without one of the others the site serves.
                if number == DATABASE or (number == FIRST and lived < SHORTEST_LIFE_SECONDS):
                    self._stop(1)
                elif self._fork(number):
                    time.sleep(max(0.0, SHORTEST_LIFE_SECONDS - lived))
                    return
            if self.code is not None:
                self._stop(self.code)
        sys.exit(self.code)

    def _fork(self, number: int, *, awaited: bool = False) -> bool:
        """Start process `number`, and return whether this is it; where it is `awaited`, once it is ready or ended."""
        came, pipe = os.pipe() if awaited else (None, None)
        # A signal between the fork and the note of it would miss the new process.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        pid = os.fork()
        if pid == 0:
            self.number, self.pipe, self.numbers = number, pipe, {}
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
            signal.signal(signal.SIGINT, signal.default_int_handler)
        else:
            self.numbers[pid], self.begun[number] = number, time.monotonic()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if pid and came and pipe:
            os.close(pipe)
            if not os.read(came, 1) and self.code is None:
                log.error("%s ended before it was ready.", named(number))
                self._stop(1)
        if came:
            os.close(came)
        return pid == 0

    def _stop(self, code: int) -> None:
        """Let all processes of Plone end, then that of the database, then this one with `code`. Each is told once."""
        if self.code is None:
            self.code = code
            signal.signal(signal.SIGALRM, lambda *_: self._kill())
            signal.alarm(STOP_SECONDS)
        for pid, number in self.numbers.items():
            if pid not in self.told and (number != DATABASE or len(self.numbers) == 1):
                self.told.add(pid)
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGTERM)

    def _kill(self) -> None:
        """End the processes of Plone that do not end, such as one that hangs."""
        for pid, number in self.numbers.items():
            if number != DATABASE:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def own_threads() -> list[str]:
    """Return the names of threads of this process that are neither its first one nor ZEO's."""
    others = (each for each in threading.enumerate() if each is not threading.main_thread())
    return [each.name for each in others if not each.name.endswith(ZEO_THREAD)]


def named(number: int) -> str:
    """Return what the log calls a process."""
    return "The process of the database" if number == DATABASE else f"Process {number} of Plone"


def serve_database(path: Path, blobs: Path, address: Path, ready: Callable[[], None]) -> None:
    """Serve a database in files by ZEO at a Unix socket until SIGTERM ends the program; call `ready` once it serves."""
    # Imported late, as everything of Zope's.
    from ZEO.StorageServer import StorageServer  # noqa: PLC0415
    from ZODB.FileStorage import FileStorage  # noqa: PLC0415

    def packed(storage: Any, *words: Any) -> Any:
        """Pack, and let the new file outlive a loss of power before it takes the place of the old one."""
        result = FileStorage.packer(storage, *words)
        if result is not None:
            with path.with_name(f"{path.name}.pack").open("rb") as file:
                os.fsync(file.fileno())
        return result

    address.unlink(missing_ok=True)
    # A pack leaves no copy of what it removed: backups are made before.
    storage = FileStorage(str(path), blob_dir=str(blobs), pack_keep_old=False, packer=packed)
    server = StorageServer(str(address), {"1": storage})
    try:
        ready()
        server.loop()
    finally:
        server.close()


def listens(address: Path) -> bool:
    """Return whether a process listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(address))
        except OSError:
            return False
    return True


@contextmanager
def caches_in_memory() -> Iterator[None]:
    """Let ZEO make its cache in /tmp, which is memory: in the volume, a full disk would stop reads too."""
    before, tempfile.tempdir = tempfile.tempdir, "/tmp"  # noqa: S108 - a tmpfs of the container's own
    try:
        yield
    finally:
        tempfile.tempdir = before
