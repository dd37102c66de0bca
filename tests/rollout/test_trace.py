"""One request is followed from the edge to Plone by the id of its answer."""

from __future__ import annotations

import secrets
import urllib.request

from tests.rollout.operator import URL, until


def test_a_request_is_told_by_edge_slot_and_plone(deployed):
    # A page that no slot has stored, so that Plone is asked.
    with urllib.request.urlopen(f"{URL}/plone/?{secrets.token_hex(8)}", timeout=60) as answer:
        request, slot = answer.headers["X-Request-ID"], answer.headers["X-EduHub-Slot"]

    def told() -> list[list[str]] | None:
        # The table: TIME HOST COMPONENT STATUS MS CACHE REQUEST.
        table = deployed.types("trace", request).stdout.partition("\nTIME ")[2]
        rows = [line.split() for line in table.splitlines()[1:]]
        return rows if len(rows) == 3 else None

    rows = until("edge, slot and Plone have each logged it", told, 120)
    assert [row[2:4] for row in rows] == [["edge", "200"], [slot, "200"], ["plone", "200"]]
