"""`python -m builder.pip_settings PIP install ...`: pip with those settings of the operator that reach an index.

The others, of the environment or of a pip.conf, put packages elsewhere (user, target, prefix), or choose others than a
lock does (no-binary, constraint). Only the standard library: `./invoke` makes .venv by this.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Sequence

KEPT = (
    "cache-dir", "cert", "client-cert", "default-timeout", "extra-index-url", "find-links", "index-url",
    "keyring-provider", "no-cache-dir", "no-index", "proxy", "resume-retries", "retries", "timeout", "trusted-host",
    "use-deprecated", "use-feature",
)  # fmt: skip
# Options of `pip config` by which it lists one file alone. `user` may be set for another command.
EVERY_FILE = {"PIP_USER": "0", "PIP_GLOBAL": "0", "PIP_SITE": "0"}


def environment(pip: Sequence[str], command: str) -> dict[str, str]:
    """Return the environment in which `pip`, the words that start it, runs `command`, without a setting that harms."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    listed = subprocess.run(
        [*pip, "config", "list"], env={**others, **EVERY_FILE}, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        return others  # where a pip.conf cannot be read, the command says so itself
    pairs = [line.partition("=")[::2] for line in listed.stdout.splitlines()]
    kept = {
        name: ast.literal_eval(value)
        for section in ("global", command, ":env:")  # what comes later counts
        for name, value in ((key.removeprefix(f"{section}."), value) for key, value in pairs)
        if name in KEPT
    }
    others = {name: value for name, value in others.items() if not name.startswith("PIP_")}
    given = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in kept.items()}
    return {**others, **given, "PIP_CONFIG_FILE": os.devnull}


if __name__ == "__main__":
    os.execve(sys.argv[1], sys.argv[1:], environment(sys.argv[1:2], sys.argv[2]))
