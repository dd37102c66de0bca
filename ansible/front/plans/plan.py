"""A plan: what an upgrade would do to each host, as data; and what has changed since one was made. Pure.

Its file is described in docs/reference/plan.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from front.arguments.request import Request
from front.fleet.waves import SETTINGS, Policy, State, breach, limit, ordered, waves_of
from front.output.fleet import listed
from front.run.exit_codes import DONE, host_exit
from front.run.outcome import Host, Outcome

SCHEMA = 1
# The options of an upgrade that a plan fixes, and the type of each in its file.
OPTIONS = {"python": str, "hold": bool, "confirm_within": str, "accept_slower": bool}
Types = Mapping[str, tuple[type, ...]]
TYPES: Types = {
    "made": (str,), "inventory": (str,), "limit": (str,), "options": (dict,), "waves": (list,),
    "soak_seconds": (int, float), "hosts": (dict,),
}  # fmt: skip
# Settings of the policy that a plan of an earlier version does not have; those that it has are compared.
POLICY: Types = {"max_unavailable": (str,), "failure_budget": (int,), "on_breach": (str,)}
# Of a host, those that are compared; one that was not asked lacks some.
HOST_TYPES: Types = {
    "findings": (list,), "from": (dict, type(None)), "images": (dict,), "settings": (str,),
    "interrupted": (str, type(None)), "fingerprint": (str,),
}  # fmt: skip

Plan = Mapping[str, Any]


def plan_of(request: Request, names: Sequence[str], outcome: Outcome, policy: Policy, made: str) -> dict[str, Any]:
    """Return the plan for the hosts `names`, from what looking at them came to. `made`: the time, UTC in RFC 3339."""
    hosts = {name: _host(outcome.hosts.get(name, Host(unreachable=True))) for name in names}
    lost = [name for name in names if name not in outcome.hosts or outcome.hosts[name].unreachable]
    unfinished = [name for name, host in hosts.items() if host.get("interrupted")]
    order = ordered(names, unfinished, lost, [name for name, host in hosts.items() if host["drained"]])
    waves = [list(wave) for wave in waves_of(order, policy)]
    options = {name: request.values[f"eduhub_{name}"] for name in OPTIONS if request.values.get(f"eduhub_{name}")}
    minutes = _minutes(hosts, order, waves, policy)
    return {
        "schema": SCHEMA, "made": made, "inventory": request.inventory, "limit": request.limit, "options": options,
        "waves": waves, "soak_seconds": policy.soak_seconds if len(waves) > 1 else 0.0,
        **{name: getattr(policy, name) for name in POLICY},
        "confirmed_by": "a person" if options.get("hold") else "the run",
        "minutes": minutes,
        "confirm_seconds": _confirm_seconds(options, policy) if options.get("hold") else None,
        "held_seconds": _held_seconds(hosts, waves, minutes) if options.get("hold") else None,
        "hosts": {name: {"wave": wave, **hosts[name]} for wave, names in enumerate(waves, start=1) for name in names},
    }  # fmt: skip


def _host(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = dict(host.plan or {"changes": None})
    seconds = found.pop("seconds", None)
    stops = host_exit(host) != DONE
    return {
        **found,
        "unreachable": host.unreachable,
        "drained": bool((host.status or {}).get("draining")),
        "minutes": None if seconds is None else round(seconds / 60, 1),
        "findings": [message.document() for message in host.messages] if stops else [],
    }


def _minutes(hosts: Mapping[str, Plan], order: Sequence[str], waves: Sequence[Sequence[str]], policy: Policy) -> Any:
    """Return how long the waves take with their soak; None where a host that changes has no measured run.

    The hosts of a wave are rolled as many at a time as may be unavailable, each batch as long as its slowest host.
    """
    total, batch = 0.0, limit(order, policy)
    for wave in waves:
        rolled = [hosts[name] for name in wave if hosts[name]["changes"] is not False and not lost(hosts[name])]
        taken = [host["minutes"] for host in rolled]
        if None in taken:
            return None
        total += sum(max(taken[begin : begin + batch]) for begin in range(0, len(taken), batch))
        total += policy.soak_seconds / 60 if taken and wave is not waves[-1] else 0
    return round(total, 1)


def _confirm_seconds(options: Mapping[str, Any], policy: Policy) -> float:
    """Return the seconds after which a held release goes back; hosts themselves refuse what is no number."""
    try:
        return float(options.get("confirm_within") or policy.confirm_seconds)
    except ValueError:
        return policy.confirm_seconds


def _held_seconds(hosts: Mapping[str, Plan], waves: Sequence[Sequence[str]], minutes: float | None) -> float | None:
    """Return how long the first host that changes is held until the last wave is through; None if not measured."""
    first = next((hosts[name] for wave in waves for name in wave if hosts[name]["changes"]), None)
    return None if minutes is None or first is None else round((minutes - first["minutes"]) * 60)


def parsed(text: str) -> Plan:
    """Return the plan in a file. Raises ValueError, with what is wrong, for any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON document, or was cut off") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise ValueError("is no plan" if schema is None else f"has schema {schema!r}, and this checkout reads {SCHEMA}")
    if wrong := next((name for name, types in TYPES.items() if not isinstance(found.get(name), types)), ""):
        raise ValueError(f"is no plan: the field {wrong!r} is missing or wrong")
    if wrong := next((name for name in POLICY if name in found and not isinstance(found[name], POLICY[name])), ""):
        raise ValueError(f"is no plan: the field {wrong!r} is wrong")
    if any(name not in OPTIONS or not isinstance(value, OPTIONS[name]) for name, value in found["options"].items()):
        raise ValueError("is no plan: its options are not those of an upgrade")
    if not found["hosts"] or not all(isinstance(wave, list) for wave in found["waves"]):
        raise ValueError("is no plan: it has no hosts, or no waves")
    for name, host in found["hosts"].items():
        if not isinstance(host, dict) or any(
            key in host and not isinstance(host[key], types) for key, types in HOST_TYPES.items()
        ):
            raise ValueError(f"is no plan: what it says of {name} is wrong")
    plan: Plan = found
    return plan


def upgrade_of(plan: Plan, asked: Request) -> Request:
    """Return the upgrade that `plan` is the plan of, for the login that was `asked` with."""
    values = {f"eduhub_{name}": value for name, value in plan["options"].items()}
    return Request("upgrade", asked.inventory, asked.limit or plan["limit"], values, asked.login)


def fingerprints(plan: Plan) -> dict[str, str]:
    """Return what each host checks once more when its turn comes, which may be hours later."""
    return {name: host["fingerprint"] for name, host in plan["hosts"].items() if "fingerprint" in host}


def lost(host: Plan) -> bool:
    """Whether a host of a plan could not be reached."""
    return bool(host.get("unreachable"))


def is_allowed(plan: Plan) -> bool:
    """Whether hosts out of reach are all that is found, and the plan's policy has room for an upgrade without them."""
    found = {name: host for name, host in plan["hosts"].items() if host.get("findings")}
    order = [name for wave in plan["waves"] for name in wave]
    if "failure_budget" not in plan or not found or len(found) >= len(order) or not all(map(lost, found.values())):
        return False
    states = {name: State.LOST if name in found else State.WAITING for name in order}
    policy = Policy(max_unavailable=plan["max_unavailable"], failure_budget=plan["failure_budget"])
    return not breach(order, states, policy)


def stopped(plan: Plan) -> list[str]:
    """Return a sentence for each host that the plan itself says an upgrade would refuse."""
    if is_allowed(plan):
        return []
    return [
        f"The plan has findings on {name}: {', '.join(_codes(host))}."
        for name, host in plan["hosts"].items() if host.get("findings")
    ]  # fmt: skip


def changes(reviewed: Plan, now: Plan) -> list[str]:
    """Return a sentence for each thing that changed since `reviewed` was made, with its hosts; none if nothing did."""
    before, after = reviewed["hosts"], now["hosts"]
    found: dict[str, list[str]] = {}
    for name in {**before, **after}:
        if name not in after:
            found.setdefault("in the plan, and not among the hosts now", []).append(name)
        elif name not in before:
            found.setdefault("among the hosts now, and not in the plan", []).append(name)
        else:
            for what in _differences(before[name], after[name]):
                found.setdefault(what, []).append(name)
    told = [f"{listed(names)}: {what}." for what, names in found.items()]
    hosts = listed(list(after))
    if not told and reviewed["waves"] != now["waves"]:
        moved = [name for name, host in after.items() if host["drained"] != before[name].get("drained", False)]
        why = f"{listed(moved)} drained or undrained meanwhile" if moved else "rollout_waves"
        told.append(f"{hosts}: the waves are {_waves(now)} now, and were {_waves(reviewed)} ({why}).")
    if not told and reviewed["soak_seconds"] != now["soak_seconds"]:
        was, soak = reviewed["soak_seconds"], now["soak_seconds"]
        told.append(f"{hosts}: rollout_soak_seconds is {soak:g} now, and was {was:g}.")
    return told + [
        f"{hosts}: {SETTINGS[name]} is {now[name]} now, and was {reviewed[name]}."
        for name in POLICY if name in reviewed and reviewed[name] != now[name]
    ]  # fmt: skip


def _differences(was: Plan, now: Plan) -> Iterator[str]:
    if new := [code for code in _codes(now) if code not in _codes(was)]:
        yield f"findings that the plan does not have ({', '.join(new)})"
        return  # such a host may not have told the rest
    if lost(was) and not lost(now):
        yield "out of reach when the plan was made, and not now"
        return
    live, served = ((host.get("from") or {}).get("release") or "none" for host in (now, was))
    if live != served:
        yield f"the live release is {live} now, and was {served}"
    left, before = (host.get("interrupted") or "none" for host in (now, was))
    if left != before:
        yield f"the unfinished run is {left} now, and was {before}"
    images, reviewed = (host.get("images") or {} for host in (now, was))
    if others := sorted(name for name in {*images, *reviewed} if images.get(name) != reviewed.get(name)):
        yield f"other images now ({', '.join(others)})"
    elif now.get("settings") != was.get("settings"):
        yield "other settings in the inventory now"


def _codes(host: Plan) -> list[str]:
    return [str(each.get("code")) for each in host.get("findings") or () if isinstance(each, Mapping)]


def _waves(plan: Plan) -> str:
    return "; ".join(listed([str(name) for name in wave]) for wave in plan["waves"])
