"""What the engine says while it builds: the steps, the image it made, what it left behind, or why it failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from builder import Refusal

# The engine paints what a step writes to stderr.
_COLOUR = re.compile(r"\x1b\[\d+m")


class BuildLog:
    """Reads the answers of one build."""

    def __init__(self, on_step: Callable[[str], object] = str) -> None:
        self._on_step = on_step
        self._stages: list[str] = []
        self._layer = ""
        self._said = ""
        self._image = ""

    @property
    def leftovers(self) -> list[str]:
        """The last image of each stage that is not the one built, of a failed build of every stage."""
        return [image for image in [*self._stages, "" if self._image else self._layer] if image]

    def follow(self, answers: Iterable[dict[str, Any]]) -> str:
        """Read to the end and return the image's id; raise Refusal with the engine's reason where the build fails."""
        for answer in answers:
            if "error" in answer:
                raise Refusal(sentence(answer["error"], self._said))
            self._read(_COLOUR.sub("", answer.get("stream", "")).strip())
            self._image = answer.get("aux", {}).get("ID", self._image)
        return self._image

    def _read(self, line: str) -> None:
        if line.startswith("Step "):
            if " : FROM " in line and self._layer:
                self._stages.append(self._layer)
            self._on_step(line)
        elif line.startswith("---> ") and re.fullmatch("[0-9a-f]{12}", line[5:]):
            self._layer = line[5:]
        elif line and not line.startswith(("---> ", "Removing intermediate")):
            self._said = line


def sentence(reason: str, said: str = "") -> str:
    """Return why the engine could not build, from its own `reason` and the last thing a step `said`."""
    if "no space left on device" in reason.lower():
        return (
            "The disk is full: the engine has no space left to build in; free some "
            "(docker system df says what is used) and try again."
        )
    detail = f" ({said.splitlines()[-1]})" if said else ""
    return f"The engine could not build it: {first_line(reason)}{detail}."


def first_line(text: str) -> str:
    """Return the first line of `text` without its full stop."""
    return (text.strip().splitlines() or ["no reason given"])[0].rstrip(".")
