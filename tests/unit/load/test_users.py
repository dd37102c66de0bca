"""Users wait for their answers, but every latency counts from their timetable."""

from __future__ import annotations

import asyncio

import pytest

from tests.load.client import Client
from tests.load.timetable import timetable
from tests.load.users import Account, Scenario, play
from tests.unit.load.peer import GOOD, serving
from tests.unit.load.simulated import simulated

PAGES = ("/a", "/b")
TOKEN = b'{"token": "t"}'


def acted(path, wait, *, users=20, seconds=30.0):
    """Return what users met at a server that answers after `wait` seconds, and the heads of their requests."""
    heads: list[bytes] = []

    async def answering(head, writer):
        heads.append(head)
        await asyncio.sleep(wait)
        if b"/@login " in head:
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TOKEN), TOKEN)
        elif b"/submissions " in head:
            answer = GOOD.replace(b"200 OK", b"201 Created")
        else:
            answer = GOOD
        # The body of a POST is not read: what follows belongs to a new connection.
        writer.write(answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return False

    async def work():
        account = Account()
        scenario = Scenario("/plone", PAGES, ("one", "two"), "secret", users, 5.0, seconds)
        async with serving(path, answering):
            await play(Client(f"unix:{path}"), scenario, account)
        return account

    return simulated(work()), heads


def test_users_do_what_their_timetables_say(tmp_path):
    account, heads = acted(tmp_path / "peer.sock", 0.0)
    steps = [step for user in range(20) for step in timetable(user, 5.0, 30.0, PAGES)]
    assert (account.every.requests, len(heads), dict(account.every.failures)) == (len(steps), len(steps), {})
    assert {name: samples.requests for name, samples in account.actions.items()} == {
        action: sum(step.action == action for step in steps) for action in {step.action for step in steps}
    }
    assert all(b"Authorization: Bearer t" in head for head in heads if b"/submissions " in head)
    assert max(account.every.ms) == pytest.approx(0.0, abs=0.1)


def test_a_late_answer_makes_the_users_next_action_late(tmp_path):
    account, _ = acted(tmp_path / "peer.sock", 12.0, users=1, seconds=60.0)
    dues = [step.due for step in timetable(0, 5.0, 60.0, PAGES)]
    expected, free = [], 0.0
    for due in dues:
        if (begin := max(due, free)) <= 70.0:
            free = begin + 12.0
            expected.append((free - due) * 1000)
    assert account.every.ms == pytest.approx(expected, abs=0.1)
    assert account.every.failures["not_sent"] == len(dues) - len(expected) > 0
