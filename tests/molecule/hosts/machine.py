"""Boot the scenario's machine: `machine.py NAME`. Its Debian is that of EDUHUB_SUITE, else that of the day."""

from __future__ import annotations

import os
import sys

from lab import machine
from tests.rotation import of_the_day

if __name__ == "__main__":
    suite = os.environ.get("EDUHUB_SUITE") or of_the_day(machine.SUITES, 1)[0]
    machine.start(sys.argv[1], machine.plain(suite), "--label", "org.eduhub.stack=eduhub-molecule")
