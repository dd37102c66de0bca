"""`python3 -m eduhub_pilot COMMAND ...`."""

from __future__ import annotations

import sys

from eduhub_pilot.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
