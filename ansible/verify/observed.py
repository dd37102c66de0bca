"""What observe.py reported of one host, with names for what several checks ask of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Observed:
    """One host's stack. `target`: the stack's `name` and `urls`; `report`: the document that observe.py printed."""

    target: Mapping[str, Any]
    report: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The stack's name."""
        return str(self.target["name"])

    @property
    def live(self) -> str | None:
        """The slot that answers the public address, else the one that the records name; None for neither."""
        live: str | None = self.report["live"]
        return live

    @property
    def state(self) -> dict[str, Any]:
        """release.json; without slots where it cannot be read, which is a finding of its own."""
        return self.report["state"] or {"live": None, "rollout": None, "last_good": None, "slots": {}}

    @property
    def containers(self) -> dict[str, dict[str, Any]]:
        """Each container that serves, by its part: edge, blue, green, plone, plone-endpoint."""
        return dict(self.report["containers"])

    def spec(self, release: str | None) -> dict[str, Any]:
        """The spec of a release; empty where it has no readable record."""
        record = self.report["records"].get(release) or {}
        return dict(record.get("spec") or {})


def answers(answer: Mapping[str, Any]) -> str:
    """Return an HTTP answer as a predicate: "answers 503", "does not answer (Connection refused)"."""
    return f"does not answer ({answer['trouble']})" if answer["trouble"] else f"answers {answer['status']}"


def octal(permissions: Mapping[str, int] | None) -> str:
    """Return owner, group and mode in words: "0:10001 mode 0440"."""
    if permissions is None:
        return "missing"
    return f"{permissions['uid']}:{permissions['gid']} mode {permissions['mode']:04o}"
