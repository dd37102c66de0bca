"""Runs a program of these tests in Plone's image, which has the database's own libraries.

EDUHUB_PLONE names another than the default one, as EDUHUB_PLONE=eduhub/plone:6.1.4-py3.13.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from builder.catalogue import choose, load

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 300


def printed(program: str, *words: str) -> dict[str, Any]:
    """Return the JSON object that tests/adapters/`program` prints last; `words` are more options of `docker run`."""
    image = os.environ.get("EDUHUB_PLONE") or choose(load(), ["plone"], None)[-1].tag
    mounts = ["--tmpfs", "/tmp", "--volume", f"{CHECKOUT}/tests/adapters/{program}:/program.py:ro"]  # noqa: S108 - its own
    options = ["--rm", "--network", "none", "--read-only", *mounts, *words, "--entrypoint", "python3"]
    command = ["docker", "run", *options, image, "/program.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
