"""`trace`: what this host's logs say of one request, by its id, from the edge to Plone. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.trace import component, order, said_of

# All logs of a host are read within this time; the engine bounds each at 30 MB.
TRACE_SECONDS = 60.0
# One request has about four lines; of an id that a proxy gives to many, the last ones are told.
MOST_LINES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--request", required=True, help="the X-Request-ID of the answer")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return trace(host, options.request)


def trace(host: Host, request: str) -> Outcome:
    """Return the lines about a request, oldest first.

    `left_out`: how many older ones are not among them; `unread`: the containers whose log was not read to its end.
    """
    deadline = host.clock.monotonic() + TRACE_SECONDS
    lines, unread = [], []
    for container in host.engine.containers_of(host.settings.stack):
        if name := component(container):
            left = max(deadline - host.clock.monotonic(), 0.0)
            found = host.engine.lines_with(container.name, request, left)
            lines += [said for line in found.lines if (said := said_of(name, line, request))]
            unread += [] if found.whole else [container.name]
    lines.sort(key=order)
    told = lines[-MOST_LINES:]
    document = {"lines": told, "left_out": len(lines) - len(told), "unread": unread}
    notes = [f"There was no time to read all of the log of {', '.join(unread)}."] if unread else []
    notes += [f"{len(lines)} lines have this id: a proxy gives it to several requests."] if lines != told else []
    message = f"{len(told)} line{'' if len(told) == 1 else 's'} about the request."
    return Outcome("request_traced", message, False, {"trace": document, "notes": notes})
