"""`python3 -m tests.load`, from the checkout."""

from __future__ import annotations

import sys

from tests.load.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
