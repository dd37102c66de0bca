"""The same work on many things, in as many processes as there are processors for this container."""

import json
import os
import select
import time
from typing import Any, Callable, Iterator, List, Sequence, Tuple

# More of them would need more memory than the container has.
MOST_PROCESSES = 8
# A pipe holds the tickets of so many things at once.
BATCH = 8000
TICKET = 4


def processes() -> int:
    """Return how many processes to use."""
    return max(1, min(MOST_PROCESSES, len(os.sched_getaffinity(0))))


def spread(work: Callable[[Any], Any], things: Sequence[Any], deadline: float) -> Iterator[Tuple[int, Any]]:
    """Yield the index of each thing and what `work` returned for it, as JSON has it, in any order.

    What was not begun by the `deadline` (of time.monotonic), or died in the work, is left out.
    """
    for start in range(0, len(things), BATCH):
        for index, result in _batch(work, things[start:start + BATCH], deadline):
            yield start + index, result


def _batch(work: Callable[[Any], Any], things: Sequence[Any], deadline: float) -> Iterator[Tuple[int, Any]]:
    tickets, issue = os.pipe()
    os.write(issue, b"".join(number.to_bytes(TICKET, "big") for number in range(len(things))))
    os.close(issue)
    pipes: List[int] = []
    children: List[int] = []
    for _ in range(min(processes(), len(things))):
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            _worker(work, things, deadline, tickets, theirs)
        os.close(theirs)
        pipes.append(ours)
        children.append(pid)
    os.close(tickets)
    rest = dict.fromkeys(pipes, b"")
    try:
        while rest:
            for pipe in select.select(list(rest), [], [])[0]:
                chunk = os.read(pipe, 1 << 16)
                if not chunk:
                    del rest[pipe]
                    continue
                *lines, rest[pipe] = (rest[pipe] + chunk).split(b"\n")
                for line in lines:
                    index, result = json.loads(line.decode())
                    yield index, result
    finally:
        for pipe in pipes:
            os.close(pipe)
        for pid in children:
            os.waitpid(pid, 0)


def _worker(work: Callable[[Any], Any], things: Sequence[Any], deadline: float, tickets: int, pipe: int) -> None:
    try:
        while time.monotonic() < deadline:
            ticket = os.read(tickets, TICKET)
            if not ticket:
                break
            index = int.from_bytes(ticket, "big")
            line = json.dumps([index, work(things[index])]).encode() + b"\n"
            while line:
                line = line[os.write(pipe, line):]
    finally:
        os._exit(0)
