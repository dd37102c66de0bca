"""The Pythons that the bridge is built for, as images/images.yml lists them, and those that get no security fixes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from front.arguments.request import Request
from front.output.layout import next_lines, wrapped
from front.run.outcome import Host, Outcome


@dataclass(frozen=True)
class Ladder:
    """`pythons`: oldest first, as "3.11". `ends`: the last day of security fixes, of those where it is known."""

    pythons: tuple[str, ...]
    ends: Mapping[str, date] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Mapping[str, Any]) -> Ladder:
        """Return the ladder in the document of images.yml."""
        suites = images.get("suites", {}).values()
        ends = {suite["python"]: suite["end_of_life"] for suite in suites if "end_of_life" in suite}
        return cls(tuple(images["images"]["bridge"]["pythons"]), ends)

    def ended(self, python: str | None, day: date) -> date | None:
        """Return the last day of security fixes of "3.9" or "3.9.2", if it is past."""
        end = self.ends.get(".".join((python or "").split(".")[:2]))
        return end if end and end < day else None


def today() -> date:
    """Return the day, in UTC."""
    return datetime.now(UTC).date()


def live_python(host: Host) -> str | None:
    """Return the live Python of a host, as far as this run has learned it."""
    return (host.status or {}).get("python") or host.python


def ends(outcome: Outcome, ladder: Ladder, day: date) -> dict[str, str | None]:
    """Return of each host the last day of security fixes of its live Python, None while it gets some."""
    found = {name: ladder.ended(live_python(host), day) for name, host in outcome.hosts.items()}
    return {name: end.isoformat() if end else None for name, end in found.items()}


def ended_lines(outcome: Outcome, ladder: Ladder, request: Request, day: date, width: int) -> list[str]:
    """Return a note on each live Python that gets no security fixes any more, and what moves its hosts on."""
    found: dict[tuple[str, date], list[str]] = {}
    for name, host in outcome.hosts.items():
        python = live_python(host)
        if python and (end := ladder.ended(python, day)):
            found.setdefault((python, end), []).append(name)
    lines = []
    for (python, end), names in found.items():
        text = f"Python {python} of {', '.join(names)} is at its end of life: no security fixes since {end}."
        limit = request.limit if len(names) == len(outcome.hosts) else ",".join(names)
        upgrade = request.invoke("upgrade", "--python", ladder.pythons[-1], limit=limit)
        lines += ["", *wrapped(text, width), *next_lines([upgrade])]
    return lines
