"""What is the same for one image on every engine: its id is another one with containerd's image store.

The control machine says the same of an image (ansible/module_utils/image_layers.py); a test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CONFIGURED = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir",
)  # fmt: skip
# What engines say of an image that does not tell when it was made.
NEVER = "0001-01-01"


def identity(inspected: Mapping[str, Any]) -> str:
    """Return the identity of an image, from what an engine shows of it."""
    created, config = inspected.get("Created") or "", inspected.get("Config") or {}
    when = "" if created.startswith(NEVER) else created[:19]
    layers = (inspected.get("RootFS") or {}).get("Layers") or []
    told = [when, layers, {name: config.get(name) or None for name in CONFIGURED}]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
