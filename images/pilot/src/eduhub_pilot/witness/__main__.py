"""`python3 -m eduhub_pilot.witness`."""

from __future__ import annotations

import sys

from eduhub_pilot.witness.cli import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
