"""Part "plone": bridges in front of a real Plone, and Plone alone."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from docker.models.containers import Container

from builder.catalogue import Image
from eduhub_pilot.analysis import statistics
from tests.bench import VoidError, browsers, cpu, saturation, upstream
from tests.bench.compare import BASE, OTHER
from tests.bench.http import Play, Say, bridge, checked
from tests.bench.operations import SITE
from tests.bench.plan import Plan
from tests.bench.stage import DOORS, FILES, Running, Stage
from tests.load import users
from tests.load.arrivals import Samples, player
from tests.load.client import Client, Request, encode

PLONE = "plone"
ADMIN = "admin"
START_SECONDS = 240.0
# A HAProxy before Plone counts what Plone is asked, whoever asks; bridges reach it here, `direct` by its door.
COUNTER, PORT = "counter", 8090
_CONNECTIONS = 16


@dataclass
class Site:
    """A Plone that starts or runs, with its administrator's password, and his token once there are pages."""

    container: Container
    password: str
    token: str = ""
    accounts: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)


def start(stage: Stage, image: Image) -> Site:
    """Start Plone; it takes half a minute, which need not be waited for here."""
    password = secrets.token_urlsafe(18)
    file = stage.write("password", password.encode())
    environment = {"SITE": SITE[1:], "SAMPLE_CONTENT": "courses", "ADMIN_PASSWORD_FILE": file}
    return Site(stage.start(PLONE, image, environment=environment), password)


def measure(
    stage: Stage, site: Site, pair: tuple[Image, Image], edge: Image, plan: Plan, say: Say
) -> dict[str, Any]:
    """Return the result of part "plone"."""
    say("waiting for Plone")
    config = upstream.proxy(DOORS, COUNTER, 8080, f"127.0.0.1:{PORT}")
    stage.write("counter.cfg", config.encode())
    counter = stage.start(
        COUNTER, edge, entrypoint=["haproxy", "-db", "-f"], command=[f"{FILES}/counter.cfg"], beside=PLONE
    )
    door = stage.doors / f"{COUNTER}.sock"
    stage.wait(site.container, door, f"{SITE}/ok", START_SECONDS)
    del counter  # removed with everything else
    arms = {PLONE: Running(PLONE, door, stage.pid(site.container))}
    for arm, image in zip((BASE, OTHER), pair, strict=True):
        arms[arm] = bridge(stage, f"{arm}-plone", image, PORT, beside=PLONE)
    with player() as run:
        say("preparing pages and accounts")
        checked(run, furnish(Client(f"unix:{door}"), site, plan))
        hot = [_hot(stage, arm, arms[arm], site.pages, plan, say) for arm in arms]
        # Plone compiles its templates for the first page that is HTML.
        page = Request("GET", SITE + site.pages[0], fields={"Accept": "text/html"})
        checked(run, Client(f"unix:{door}").expect(page.encoded("localhost", keep=False), seconds=START_SECONDS))
        readers = [_browsers(stage, arm, arms[arm], site, plan, say) for arm in arms]
        mixed = _mixed(stage, arms, site, plan, say, run)
    return {
        "pages": len(site.pages), "hot": hot, "browsers": readers, "mixed": mixed, "users": plan.users,
        "think_seconds": plan.think_seconds, "mixed_seconds": plan.mixed_seconds, "mixed_rounds": plan.mixed_rounds,
    }  # fmt: skip


def prefix(arm: str) -> str:
    """Return what stands before a path of the site when `arm` is asked."""
    return SITE if arm == PLONE else "/plone"


async def furnish(client: Client, site: Site, plan: Plan) -> None:
    """Fill `site.pages` (paths below the site) and `site.accounts`: what is there already first, then new ones."""
    said = await client.expect(encode(f"{SITE}/@login", {"login": ADMIN, "password": site.password}))
    site.token = json.loads(said.body)["token"]
    token = {"Authorization": f"Bearer {site.token}"}
    found = await client.expect(encode(f"{SITE}/@search?path.depth=5&b_size=200&portal_type=Document"))
    site.pages = [item["@id"].partition(SITE)[2] for item in json.loads(found.body)["items"]][: plan.pages]
    if len(site.pages) < plan.pages:
        site.pages += await _more_pages(client, token, plan.pages - len(site.pages))
    for number in range(plan.accounts):
        name = f"student{number}"
        account = {
            "username": name, "email": f"{name}@example.org", "password": site.password, "roles": ["Member"]
        }  # fmt: skip
        await client.expect(encode(f"{SITE}/@users", account, **token), 201)
        site.accounts.append(name)


async def _more_pages(client: Client, token: dict[str, str], wanted: int) -> list[str]:
    paths = []
    text = {"content-type": "text/html", "data": "<p>What is read here is read often.</p>" * 20}
    for number in range(wanted):
        name = f"hot-{number}"
        page = {"@type": "Document", "id": name, "title": f"Hot page {number}", "text": text}
        await client.expect(encode(f"{SITE}/courses", page, **token), 201)
        await client.expect(encode(f"{SITE}/courses/{name}/@workflow/publish", {"comment": ""}, **token))
        paths.append(f"/courses/{name}")
    return paths


def _hot(stage: Stage, arm: str, running: Running, pages: Sequence[str], plan: Plan, say: Say) -> dict[str, Any]:
    """Return how fast `arm` answers anonymous readers of `pages` who all ask alike."""
    say(f"hot set of {len(pages)} pages, {arm}")
    paths = [prefix(arm) + page for page in pages]

    def send(requests: int) -> saturation.Saturated:
        return saturation.run(running.door, paths, requests, _CONNECTIONS, stage.files)

    send(max(len(paths), plan.first_requests))
    first = send(plan.first_requests)
    requests = int(min(max(first.rate * plan.hot_seconds, plan.first_requests), plan.hot_requests))
    return _saturated(stage, arm, running, lambda: send(requests))


def _browsers(stage: Stage, arm: str, running: Running, site: Site, plan: Plan, say: Say) -> dict[str, Any]:
    """Return the same for readers who ask as browsers, a crawler and an app do, while an editor saves."""
    say(f"browsers on {len(site.pages)} pages, {arm}")
    paths = [prefix(arm) + page for page in site.pages]
    send = partial(browsers.read, running.door, paths, plan.browsers_seconds, stage.files, site.token)
    return _saturated(stage, arm, running, send)


def _saturated(stage: Stage, arm: str, running: Running, send: Callable[[], saturation.Saturated]) -> dict[str, Any]:
    """Return how fast `arm` answers what `send` sends, its CPU for each request, and how often Plone was asked."""
    before, cpu_before, begun = asked(stage), cpu.seconds(running.pid), time.perf_counter()
    done = send()
    seconds = time.perf_counter() - begun
    plone = asked(stage) - before
    cpu_us = (cpu.seconds(running.pid) - cpu_before) / done.requests * 1e6
    return {
        "arm": arm, "requests": done.requests, "rate": done.rate, "cpu_us": cpu_us,
        "plone": plone, "plone_rate": plone / seconds,
    }  # fmt: skip


def asked(stage: Stage) -> int:
    """Return how many requests Plone was sent so far, by its HAProxy's own count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5.0)
        connection.connect(str(stage.doors / f"{COUNTER}-admin.sock"))
        connection.sendall(b"show stat\n")
        text = b""
        while block := connection.recv(65536):
            text += block
    return requests_in(text.decode())


def requests_in(text: str) -> int:
    """Return the requests that HAProxy's `show stat` counts on its frontend; raise VoidError where there is none."""
    head, *lines = text.lstrip("# ").splitlines()
    for line in lines:
        row = dict(zip(head.split(","), line.split(","), strict=False))
        if row.get("svname") == "FRONTEND":
            return int(row["req_tot"])
    raise VoidError("HAProxy does not say how many requests it has passed to Plone.")


def _mixed(
    stage: Stage, running: dict[str, Running], site: Site, plan: Plan, say: Say, run: Play
) -> list[dict[str, Any]]:
    arms = (PLONE, OTHER)
    accounts = {arm: users.Account() for arm in arms}
    seconds, plone = dict.fromkeys(arms, 0.0), dict.fromkeys(arms, 0)
    for number, arm in statistics.interleaved(arms, plan.mixed_rounds):
        say(f"round {number + 1} of {plan.mixed_rounds}, {plan.users} users for {plan.mixed_seconds:g} s, {arm}")
        checked(run, _calm(Client(f"unix:{running[PLONE].door}")))
        before, begun = asked(stage), time.perf_counter()
        scenario = users.Scenario(
            prefix(arm), site.pages, site.accounts, site.password, plan.users, plan.think_seconds, plan.mixed_seconds
        )
        run(users.play(Client(f"unix:{running[arm].door}"), scenario, accounts[arm]))
        seconds[arm] += time.perf_counter() - begun
        plone[arm] += asked(stage) - before
    return [_mixed_row(arm, account, seconds[arm], plone[arm]) for arm, account in accounts.items()]


async def _calm(client: Client) -> None:
    """Wait until Plone has dealt with what was asked before."""
    for _ in range(60):
        begun = time.perf_counter()
        await client.expect(encode(f"{SITE}/ok"), seconds=users.TIMEOUT_SECONDS)
        if time.perf_counter() - begun < 0.1:
            return
        await asyncio.sleep(0.5)


def _mixed_row(arm: str, account: users.Account, seconds: float, plone: int) -> dict[str, Any]:
    def said(samples: Samples) -> dict[str, Any]:
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        ms = {name: statistics.quantile(samples.ms, share) for name, share in shares.items()} if samples.ms else None
        failures = dict(samples.failures)
        return {"requests": samples.requests, "failures": failures, "example": samples.example, "ms": ms}

    return {
        "arm": arm, **said(account.every), "rate": len(account.every.ms) / seconds,
        "plone_rate": plone / seconds,
        "actions": {action: said(samples) for action, samples in sorted(account.actions.items())},
    }  # fmt: skip
