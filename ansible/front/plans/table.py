"""A plan for people: a line a host, what its upgrade changes, waves, time, who confirms. Pure: returns lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from front.output.fleet import listed
from front.output.host_table import NONE, labelled, table
from front.output.layout import wrapped
from front.plans.plan import Plan, lost


def plan_table(plan: Plan, width: int) -> list[str]:
    """Return the plan's lines, at most `width` characters wide."""
    hosts: Mapping[str, Plan] = plan["hosts"]
    rows = [_row(name, host) for name, host in hosts.items()]
    columns = [name for name in rows[0] if any(row[name] != NONE for row in rows)]
    lines = table(rows, columns, [{} for _ in rows], width)
    for names, cells in _same([(name, _details(host)) for name, host in hosts.items() if host["changes"]]):
        lines += ["", *([] if len(hosts) == 1 else wrapped(f"{listed(names)}:", width)), *labelled(cells, width)]
    whole = list(labelled(_whole(plan), width))
    return [*lines, *([""] if whole else []), *whole]


def _row(name: str, host: Plan) -> dict[str, str]:
    live, new = ((host.get(part) or {}) for part in ("from", "to"))
    was, becomes = (str(release.get("python") or NONE) for release in (live, new))
    size = host.get("send_bytes") or 0
    return {
        "host": name,
        "wave": str(host["wave"]),
        "release": str(live.get("release") or NONE),
        "python": f"{was} → {becomes}" if host["changes"] and was != becomes else was,
        "sends": f"{size / 1e6:.{1 if size < 1e7 else 0}f} MB" if size else NONE,
        "minutes": f"{host['minutes']:g}" if host["changes"] and host["minutes"] is not None else NONE,
        "plan": _word(host),
    }


def _word(host: Plan) -> str:
    if lost(host):
        return "unreachable"
    return "refused" if host["findings"] else "upgrade" if host["changes"] else "unchanged"


def _details(host: Plan) -> dict[str, str]:
    modes: dict[str, list[str]] = {}
    for gate, mode in host["gates"].items():
        modes.setdefault(mode, []).append(gate)
    left = host.get("interrupted")
    return {
        "undoes": f"run {left}, which was interrupted" if left else "",
        "gates": "; ".join(f"{', '.join(gates)}: {mode}" for mode, gates in modes.items()),
        "changes": "; ".join(host["changed"]),
        "sends": ", ".join(host.get("sends") or ()),
    }


def _same(found: list[tuple[str, dict[str, str]]]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the hosts with equal details together: a fleet's are mostly the same."""
    while found:
        cells = found[0][1]
        yield [name for name, other in found if other == cells], cells
        found = [(name, other) for name, other in found if other != cells]


def _whole(plan: Plan) -> dict[str, str]:
    changing = {name: host for name, host in plan["hosts"].items() if host["changes"]}
    if not changing:
        return {}
    soak = f", {plan['soak_seconds']:g} s of soak between them" if plan["soak_seconds"] else ""
    several = len(plan["waves"]) > 1
    return {
        "waves": "; ".join(listed(wave) for wave in plan["waves"]) + soak if several else "",
        "minutes": _expected(plan, changing),
        "confirms": "the run, at its end" if plan["confirm_seconds"] is None else _by_a_person(plan),
    }


def _by_a_person(plan: Plan) -> str:
    within, held = plan["confirm_seconds"], plan["held_seconds"] or 0
    text = f"a person, with ./invoke confirm within {within:g} s of each host's shift"
    late = f"; the first host would roll back before the last has moved ({held:g} s): give --confirm-within more"
    return text + (late if held > within else "")


def _expected(plan: Plan, changing: Mapping[str, Any]) -> str:
    if plan["minutes"] is not None:
        return f"{plan['minutes']:g}, as the last upgrades took"
    unknown = [name for name, host in changing.items() if host["minutes"] is None]
    return f"not measured yet: no upgrade has moved all traffic on {listed(unknown)}" if unknown else "unknown"
