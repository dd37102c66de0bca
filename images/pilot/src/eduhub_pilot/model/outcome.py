"""What a command answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.errors import PilotError

Next = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Finding:
    """One thing that was found: its code, a message for people, and the argument lists to type next."""

    code: str
    message: str
    next: Next = ()

    def document(self) -> dict[str, Any]:
        """Return the finding as it is printed."""
        return {"code": self.code, "message": self.message, "next": [list(each) for each in self.next]}


def finding_of(error: PilotError, more: str = "") -> Finding:
    """Return an error as a finding, `more` being one more sentence."""
    return Finding(error.code, f"{error.message} {more}".strip(), error.next)


@dataclass(frozen=True)
class Outcome:
    """A command's answer: its code of `codes`, a message for people, whether anything changed, and data."""

    code: str
    message: str
    changed: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    next: Next = ()
    findings: Sequence[Finding] = ()

    def document(self, phase: str) -> dict[str, Any]:
        """Return the answer of the command `phase` as it is printed."""
        return {
            "code": self.code, "exit": exit_of(self.code, phase), "phase": phase, "message": self.message,
            "next": [list(each) for each in self.next], "findings": [each.document() for each in self.findings],
            "changed": self.changed, **self.data,
        }  # fmt: skip
