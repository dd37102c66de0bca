"""Which hosts take traffic, and whether the last of them is to be drained. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.run.outcome import Host
from front.run.play import Run, Signals, play

SERVING = "serving"
ALONE = "without keepalived"
UPDATED = "being updated"
IDLE = frozenset({"drained", "down", "not deployed", ALONE})


@dataclass(frozen=True)
class Tier:
    """Hosts that can stand in for each other: what one is called, those asked for, and all of the inventory."""

    kind: str
    asked: Sequence[str]
    fleet: Sequence[str]


def check_others(run: Run, tiers: Sequence[Tier], signals: Signals) -> dict[str, Host | None]:
    """Ask all hosts for their status, and return what each said.

    Raises RefusalError where in a tier none but those asked for takes traffic.
    """
    found = looked_at(run, [name for tier in tiers for name in tier.fleet], signals)
    for tier in tiers:
        refuse_last(run.request, tier.asked, {name: found[name] for name in tier.fleet}, tier.kind)
    return found


def looked_at(run: Run, fleet: Sequence[str], signals: Signals) -> dict[str, Host | None]:
    """Ask all hosts of `fleet` for their status; return what each said, None where nothing came."""
    looking = Request("status", run.request.inventory, "", {}, run.request.login)
    done = play(replace(run, request=looking, only=fleet, json=True, check=False), "status", signals)
    return {name: done.outcome.hosts.get(name) if done.outcome else None for name in fleet}


def taking_traffic(hosts: Mapping[str, Host | None]) -> list[str]:
    """Return those of the hosts that take traffic, by what each said of itself."""
    return [name for name, host in hosts.items() if state_of(host) == SERVING]


def taking_none(hosts: Mapping[str, Host | None]) -> list[str]:
    """Return those of the hosts that said that they take no traffic; one that could not be asked may take some."""
    return [name for name, host in hosts.items() if state_of(host) in IDLE]


def refuse_last(
    request: Request, asked: Sequence[str], hosts: Mapping[str, Host | None], kind: str = "host"
) -> None:  # fmt: skip
    """Raise RefusalError where draining `asked` leaves no host that takes traffic, and one of them does so now.

    `hosts`: what is known of each host of that kind in the inventory; None where nothing is.
    """
    states = {name: state_of(host) for name, host in hosts.items()}
    others = {name: UPDATED if is_updated(hosts[name]) else states[name] for name in states if name not in asked}
    taking = [name for name in asked if states.get(name) == SERVING]
    if not taking or SERVING in others.values():
        return
    rest = ", ".join(f"{name} is {state}" for name, state in others.items())
    raise RefusalError(
        f"No {kind} of inventory {request.inventory} would be left to take traffic without {', '.join(taking)}"
        f"{f' ({rest})' if rest else ''}: agree to that with --yes.",
        next_commands=[replace(request, values={**request.values, "eduhub_yes": True}).command],
    )


def is_updated(host: Host | None) -> bool:
    """Whether `host.patch` has the host, and so drains it in a moment if it has not yet."""
    lock = ((host and host.status) or {}).get("lock") or {}
    return lock.get("verb") == "host.patch" and not lock.get("expired")


def state_of(host: Host | None) -> str:
    """Return whether a host takes traffic: `serving`, `drained`, `down`, `not deployed`, `unreachable`, or `silent`.

    A front host may also be `without keepalived`, and then never has the addresses of the site.
    """
    if host is None or host.unreachable:
        return "unreachable"
    if host.status is None:
        return "silent"
    if front := host.status.get("front"):
        return state_of_front(front)
    live = host.status.get("live")
    if not live:
        return "not deployed"
    slot = host.status.get("slots", {}).get(live, {})
    if host.status.get("edge") != "up" or slot.get("state") != "running" or slot.get("health") == "unhealthy":
        return "down"
    return "drained" if host.status.get("draining") else SERVING


def state_of_front(front: Mapping[str, Any]) -> str:
    """Return the same of a front host, by what it said of itself."""
    if front["draining"]:
        return "drained"
    if "UP" not in front["bridges"].values():
        return "down"
    return ALONE if front["keepalived"] is False else SERVING
