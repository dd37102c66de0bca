"""What a command answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """A command's answer: exit code, words for the operator, whether anything changed, and data."""

    code: int
    say: str
    changed: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the answer as it is printed."""
        return {"code": self.code, "say": self.say, "changed": self.changed, **self.data}
