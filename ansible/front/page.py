"""The last rollout as one document, and as one page that needs nothing else. Pure: returns data and text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from front import plots
from front.outcome import Host

SCHEMA = 1
NONE = "\N{EN DASH}"
CODE = re.compile(r"`([^`]*)`")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")
SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!", "skipped": "-"}
RESULTS = {
    "confirmed": "good", "reverted": "bad", "interrupted": "bad", "waiting": "open", "unconfirmed": "open",
    "under way": "open",
}  # fmt: skip


def document(inventory: str, time: str, hosts: Mapping[str, Host | None]) -> dict[str, Any]:
    """Return what docs/reference/report.md describes: each host's own report, or in `says` why there is none."""
    return {
        "schema": SCHEMA, "time": time, "inventory": inventory,
        "hosts": {name: _host(host) for name, host in hosts.items()},
    }  # fmt: skip


def _host(host: Host | None) -> dict[str, Any]:
    if host is None:
        return {"report": None, "says": ["It is not in the group bridge, so it has no rollouts."]}
    says = list(host.says)
    found = host.report if isinstance(host.report, Mapping) else None
    if found is not None and found.get("schema") != SCHEMA:
        says.append(f"Its pilot tells reports of schema {found.get('schema')!r}, and this checkout knows {SCHEMA}: "
                    "report from the checkout that deployed it.")  # fmt: skip
        found = None
    return {"report": found, "says": says or ([] if found else ["It did not say anything of its last rollout."])}


def rollouts(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rollouts of all hosts that had one."""
    reports = [host["report"] for host in told["hosts"].values()]
    return [each["rollout"] for each in reports if each and each["rollout"]]


def name(told: Mapping[str, Any]) -> str:
    """Return the name of the report's files: that of the newest run."""
    newest = max(rollouts(told), key=lambda each: str(each["began"]))
    return str(newest["run"]) if NAME.fullmatch(str(newest["run"])) else "rollout"


def render(told: Mapping[str, Any]) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"ms": milliseconds, "seconds": seconds, "clock": plots.clock, "day": day}
    environment.filters |= {"short": short, "said": said}
    environment.globals |= {"signs": SIGNS, "results": RESULTS, "at": plots.seconds_at}
    template = environment.get_template("page.html.j2")
    newest = max(rollouts(told), key=lambda each: str(each["began"]))
    sections = [
        {"name": name, "id": f"host-{number}", "says": host["says"], **section(host["report"])}
        for number, (name, host) in enumerate(told["hosts"].items(), start=1)
    ]
    ended = Counter(each["result"] for each in rollouts(told)).most_common()
    return template.render(told=told, newest=newest, sections=sections, ended=ended)


def section(report: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what one host's section shows: its report, and the drawings in both widths."""
    rollout: Mapping[str, Any] | None = report["rollout"] if report else None
    drawn: dict[str, list[plots.Plot | None]] = {"share": [], "rates": [], "latencies": [], "course": []}
    for size in plots.WIDTHS:
        if not rollout:
            break
        drawn["course"].append(plots.course(size, rollout))
        if points := rollout["points"]:
            drawn["share"].append(plots.share(size, points, rollout["began"]))
            drawn["rates"].append(plots.rates(size, points, rollout["began"]))
            drawn["latencies"].append(plots.latencies(size, points, rollout["began"]))
    shown = {name: [plot for plot in found if plot] for name, found in drawn.items()}
    return {"report": report, "rollout": rollout, "now": report["now"] if report else None, "plots": shown}


def short(verdicts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the verdicts of the gates alone; where one was asked again, the last."""
    return list({each["gate"]: each for each in verdicts if each["step"] == "prove"}.values())


def day(time: str) -> str:
    """Return an RFC 3339 time as people write it."""
    return f"{str(time)[:19].replace('T', ' ')} UTC"


def said(sentence: str) -> Markup:
    """Return a sentence with what stands in backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped before


def milliseconds(value: float | None) -> str:
    """Return seconds as milliseconds."""
    return NONE if value is None else f"{value * 1000:.3g} ms" if value < 1 else f"{value * 1000:.0f} ms"


def seconds(value: float | None) -> str:
    """Return seconds in words that fit their size."""
    if value is None:
        return NONE
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 100 else plots.clock(value)
