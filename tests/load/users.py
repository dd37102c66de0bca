"""The mixed scenario: users who act on their timetables, each with one request at a time. See `timetable`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.load.arrivals import Samples, until
from tests.load.client import Client, FailedError, encode
from tests.load.timetable import Step, timetable

# An action whose turn comes later than this after the end is not sent.
GRACE_SECONDS = 10.0
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Scenario:
    """Who acts on what: `base` stands before each path; users share the accounts, which have one password."""

    base: str
    pages: Sequence[str]
    accounts: Sequence[str]
    password: str
    users: int
    think_seconds: float
    seconds: float


@dataclass
class Account:
    """What the users met, in all and by action."""

    every: Samples = field(default_factory=Samples)
    actions: dict[str, Samples] = field(default_factory=dict)

    def answered(self, action: str, ms: float) -> None:
        """Count a good answer."""
        for samples in self._of(action):
            samples.ms.append(ms)

    def failed(self, action: str, error: FailedError) -> None:
        """Count a failure."""
        for samples in self._of(action):
            samples.failed(error)

    def _of(self, action: str) -> tuple[Samples, Samples]:
        return self.every, self.actions.setdefault(action, Samples())


async def play(client: Client, scenario: Scenario, account: Account) -> None:
    """Let all users act, and wait for them; every latency counts from the timetable."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    last = begun + scenario.seconds + GRACE_SECONDS

    async def live(user: int) -> None:
        token: dict[str, str] = {}
        name = scenario.accounts[user % len(scenario.accounts)]
        for step in timetable(user, scenario.think_seconds, scenario.seconds, scenario.pages):
            due = begun + step.due
            await until(due)
            if loop.time() > last:
                late = FailedError("not_sent", "the answers before came too late for this user's turn")
                account.failed(step.action, late)
                continue
            try:
                await _act(client, scenario, step, name, token)
                account.answered(step.action, (loop.time() - due) * 1000)
            except FailedError as error:
                account.failed(step.action, error)

    await asyncio.gather(*map(live, range(scenario.users)))
    client.close()


async def _act(client: Client, scenario: Scenario, step: Step, name: str, token: dict[str, str]) -> None:
    """Do one step; a login puts its token into `token`."""
    base = scenario.base
    if step.action == "browse":
        await client.expect(encode(base + step.what), seconds=TIMEOUT_SECONDS)
    elif step.action == "search":
        await client.expect(encode(f"{base}/@search?SearchableText={step.what}&b_size=10"), seconds=TIMEOUT_SECONDS)
    elif step.action == "log in":
        credentials = {"login": name, "password": scenario.password}
        answer = await client.expect(encode(f"{base}/@login", credentials), seconds=TIMEOUT_SECONDS)
        token["Authorization"] = f"Bearer {json.loads(answer.body)['token']}"
    else:
        work = {"@type": "Document", "title": f"Handed in by {name}"}
        await client.expect(encode(f"{base}/submissions", work, **token), 201, TIMEOUT_SECONDS)
