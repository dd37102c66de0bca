"""The last rollout as one document, and as one page that needs nothing else. Pure: returns data and text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from front.arguments.request import Request
from front.report import plots
from front.run.messages import Message
from front.run.outcome import Host

SCHEMA = 1
NONE = "\N{EN DASH}"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")
SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!", "skipped": "-"}
RESULTS = {
    "confirmed": "good", "reverted": "bad", "interrupted": "bad", "waiting": "open", "unconfirmed": "open",
    "under way": "open",
}  # fmt: skip


def document(request: Request, time: str, hosts: Mapping[str, Host | None]) -> dict[str, Any]:
    """Return what docs/reference/report.md describes: each host's report, or in `messages` why there is none."""
    return {
        "schema": SCHEMA, "time": time, "inventory": request.inventory, "limit": request.limit,
        "hosts": {name: _host(host) for name, host in hosts.items()},
    }  # fmt: skip


def _host(host: Host | None) -> dict[str, Any]:
    if host is None:
        return _without(Message("not_a_bridge", "The host is not in the group bridge, so it has no rollouts."))
    found = host.report if isinstance(host.report, Mapping) else None
    if found is not None and found.get("schema") != SCHEMA:
        known = f"schema {found.get('schema')!r}, and this checkout reads schema {SCHEMA}"
        text = f"The pilot of the host reports {known}. Use the checkout that deployed it."
        return _without(*host.messages, Message("report_schema_unknown", text))
    if found is None:
        return _without(*(host.messages or [Message("report_missing", "The host reported nothing of a rollout.")]))
    return {"report": found, "messages": [each.document() for each in host.messages]}


def _without(*messages: Message) -> dict[str, Any]:
    return {"report": None, "messages": [each.document() for each in messages]}


def rollouts(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rollouts of all hosts that had one."""
    reports = [host["report"] for host in report["hosts"].values()]
    return [each["rollout"] for each in reports if each and each["rollout"]]


def name(report: Mapping[str, Any]) -> str:
    """Return the name of the report's files: that of the newest run."""
    newest = max(rollouts(report), key=lambda each: str(each["began"]))
    return str(newest["run"]) if NAME.fullmatch(str(newest["run"])) else "rollout"


def render(report: Mapping[str, Any]) -> str:
    """Return the page."""
    request = Request("report", report["inventory"], report["limit"])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"ms": milliseconds, "seconds": seconds, "clock": plots.clock, "day": day}
    environment.filters |= {"short": short, "command": request.same_hosts}
    environment.globals |= {"signs": SIGNS, "results": RESULTS, "at": plots.seconds_at}
    template = environment.get_template("page.html.j2")
    newest = max(rollouts(report), key=lambda each: str(each["began"]))
    sections = [
        {"name": name, "id": f"host-{number}", "messages": host["messages"], **section(host["report"])}
        for number, (name, host) in enumerate(report["hosts"].items(), start=1)
    ]
    ended = Counter(each["result"] for each in rollouts(report)).most_common()
    return template.render(document=report, newest=newest, sections=sections, ended=ended)


def section(report: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what one host's section shows: its report, and the drawings in both widths."""
    rollout: Mapping[str, Any] | None = report["rollout"] if report else None
    drawn: dict[str, list[plots.Plot | None]] = {"weight": [], "rates": [], "latencies": [], "timeline": []}
    for size in plots.WIDTHS:
        if not rollout:
            break
        drawn["timeline"].append(plots.timeline(size, rollout))
        if points := rollout["points"]:
            drawn["weight"].append(plots.weight(size, points, rollout["began"]))
            drawn["rates"].append(plots.rates(size, points, rollout["began"]))
            drawn["latencies"].append(plots.latencies(size, points, rollout["began"]))
    shown = {name: [plot for plot in found if plot] for name, found in drawn.items()}
    notes = [note(each) for each in report["notes"]] if report else []
    now = report["now"] if report else None
    return {"report": report, "rollout": rollout, "now": now, "notes": notes, "plots": shown}


def note(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return a note of a host's report as a message; one without a next command is a plain text."""
    return (Message("note", given) if isinstance(given, str) else Message.from_fields(given)).document()


def short(verdicts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the verdicts of the gates alone; where one was asked again, the last."""
    return list({each["gate"]: each for each in verdicts if each["step"] == "prove"}.values())


def day(time: str) -> str:
    """Return an RFC 3339 time as people write it."""
    return f"{str(time)[:19].replace('T', ' ')} UTC"


def milliseconds(value: float | None) -> str:
    """Return seconds as milliseconds."""
    return NONE if value is None else f"{value * 1000:.3g} ms" if value < 1 else f"{value * 1000:.0f} ms"


def seconds(value: float | None) -> str:
    """Return seconds in words that fit their size."""
    if value is None:
        return NONE
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 100 else plots.clock(value)
