"""CPU time of a process that is not ours."""

from __future__ import annotations

import time


def seconds(pid: int) -> float:
    """Return user and system time of process `pid` so far, its ended threads included, to the nanosecond.

    Raise ProcessLookupError where there is none. Linux numbers the CPU clock of another process after it:
    clock_getcpuclockid(3). /proc/PID/stat counts in ticks of 10 ms, as long as thirty requests.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        raise ProcessLookupError(f"There is no process {pid} to measure.") from None
