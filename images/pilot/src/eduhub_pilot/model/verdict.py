"""A gate's verdict and the one consequence of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Word = Literal["pass", "fail", "inconclusive", "error"]
Consequence = Literal["go on", "revert", "wait for a person", "retry, then revert"]

CONSEQUENCES: Mapping[Word, Consequence] = {
    "pass": "go on",
    "fail": "revert",
    "inconclusive": "wait for a person",
    "error": "retry, then revert",
}


@dataclass(frozen=True)
class Verdict:
    """A gate's result: `reason` is one sentence, `measured` and `budget` compare by name, `seconds` is its duration."""

    gate: str
    verdict: Word
    reason: str
    measured: Mapping[str, Any]
    budget: Mapping[str, Any]
    seconds: float

    @property
    def consequence(self) -> Consequence:
        return CONSEQUENCES[self.verdict]

    def document(self) -> dict[str, Any]:
        """Return the verdict as the journal and `--json` hold it."""
        return asdict(self)
