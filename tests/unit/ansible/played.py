"""Plays one of our modules on this machine, as Ansible's own command line does, in check mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]


def played(module: str, **arguments: Any) -> dict[str, Any]:
    """Return the result of `module` with `arguments`. Raises AssertionError with Ansible's output where it fails."""
    words = ["--module-name", module, "--args", json.dumps(arguments), "--connection", "local", "--check"]
    variables = ["--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable})]
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible"), "--inventory", "here,", *words, *variables, "here"],
        env={
            **os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible/ansible.cfg"), "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal", "NO_COLOR": "1",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    status, _, document = done.stdout.partition(" => ")
    assert status == "here | SUCCESS", done.stdout + done.stderr
    return dict(json.loads(document))
