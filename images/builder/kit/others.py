"""Loads the images of a kit that an institution makes itself: what they are made of is not known here."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable

from builder.engine import Engine
from builder.kit.unpacked import Kit
from builder.report import Progress
from module_utils.image_layers import described, identity


def load_others(kit: Kit, engine: Engine, tags: Iterable[str], progress: Progress) -> None:
    """Load those of `tags` that the kit has, unless the engine has the same image: its layers and its configuration."""
    for tag in sorted(set(tags) & set(kit.manifest.images)):
        told, facts = kit.manifest.images[tag], engine.inspect(tag)
        config = json.loads(kit.checked(told["config"]))
        wanted = identity(config.get("created") or "", told["diff_ids"], config.get("config") or {})
        if facts is None or described(facts)["identity"] != wanted:
            with progress.step(tag, "load from the kit"), tempfile.TemporaryFile() as file:
                kit.archive(tag, file)
                file.seek(0)
                engine.load(file, tag)
