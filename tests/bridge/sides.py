"""Plone and the bridges in front of it, each asked the same; what was told is remembered."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests.bridge import stories
from tests.bridge.alike import Numbers, Told, told
from tests.bridge.door import WHO, Door
from tests.bridge.seed import remember
from tests.bridge.stack import SITE

if TYPE_CHECKING:
    from tests.bridge.reads import Reading
    from tests.bridge.stack import Server

# Of the length of 127.0.0.1:12345, so that lengths can be compared where an address is told.
HOST = "bridge.test:888"


class Sides:
    """`ask` and `tell` for each side: "plone", "3.9", "3.11". Reading twice gives what was read first."""

    def __init__(self, plone: Server, bridges: dict[str, Server]) -> None:
        password = plone.admin[1]
        self.bridges = bridges
        self.doors = {"plone": Door(plone.url, _address(plone), password, root=f"/{SITE}")}
        for number, (python, server) in enumerate(bridges.items(), 1):
            self.doors[python] = Door(f"http://{HOST}/plone", _address(server), password, who=f"{WHO}{number}")
        self.ask = cache(self._ask)
        self.tell = cache(self._tell)

    def _ask(self, side: str, request: Reading) -> Told:
        """Return the answer to a request that changes nothing."""
        door = self.doors[side]
        return told(door.ask(request.request), request.request, door)

    def _tell(self, side: str, name: str) -> list[Told]:
        """Tell a story, from its beginning; return the answer to each step."""
        door, numbers, kept, answers = self.doors[side], Numbers(), {}, []
        for step in stories.BEFORE:
            answer = door.ask(step)
            assert answer.status < 300 or (step.method, answer.status) == ("DELETE", 404), (step.name, answer)
        for step in stories.STORIES[name]:
            answer = door.ask(step.filled(kept))
            answers.append(told(answer, step, door, numbers))
            kept.update(remember(step, answer, door))
        return answers

    def close(self) -> None:
        """Close the connections; whoever asks next opens new ones."""
        for door in self.doors.values():
            door.close()


def _address(server: Server) -> tuple[str, int]:
    host, _, port = server.url.split("/")[2].partition(":")
    return host, int(port)
