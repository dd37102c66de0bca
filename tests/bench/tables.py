"""The report as text. Pure: everything it says stands in the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench.compare import BASE, CONTROL, OTHER
from tests.bench.http import PROXY
from tests.bench.operations import SOURCE

Part = Mapping[str, Any]


def render(document: Mapping[str, Any]) -> str:
    """Return the whole report."""
    parts = document["parts"]
    pythons = document["pythons"]
    lines = [f"EduHub bridge, measured {document['time']}", ""]
    if document["quick"]:
        lines += ["QUICK RUN: few rounds, short windows. These numbers are indicative; quote those of a full run.", ""]
    if document["busy"]:
        lines += [f"BUSY MACHINE: {document['busy']}", ""]
    sections: dict[str, Callable[[Part, Mapping[str, str]], list[str]]] = {
        "in-process": _in_process, "http": _http, "latency": _latency, "plone": _plone,
    }  # fmt: skip
    lines += _source(parts, pythons)
    for name, part in parts.items():
        lines += [f"{name}: VOID. {part['void']}"] if "void" in part else sections[name](part, pythons)
        lines.append("")
    if document["goals"]:
        words = {True: "met", False: "missed", None: "unresolved"}
        rows = [(each["goal"], each["measured"], words[each["met"]]) for each in document["goals"]]
        lines += ["Goals" + (" (indicative)" if document["quick"] else ""), *table(("", "measured", ""), rows), ""]
    return "\n".join([*lines, "Conditions", *_conditions(document), ""])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: the first column and words to the left, numbers to the right."""
    every = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    left = [not column or not any(row[column][:1].isdigit() for row in rows) for column in range(len(head))]
    return [
        "  " + "  ".join(
            cell.ljust(width) if side else cell.rjust(width)
            for cell, width, side in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in every
    ]  # fmt: skip


def _interval(found: Mapping[str, float], digits: int = 2) -> str:
    return f"{found['value']:.{digits}f} [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"


def _source(parts: Mapping[str, Part], pythons: Mapping[str, str]) -> list[str]:
    """Return the source document's rows beside ours: what was timed there and here is not the same thing."""
    inside = {row["operation"]: row for row in parts.get("in-process", {}).get("rows", [])}
    outside = {row["operation"]: row for row in parts.get("http", {}).get("rows", [])}
    if not inside and not outside:
        return []
    rows = []
    for name, claim in SOURCE.items():
        figures = f"{claim.before_us:.0f} -> {claim.after_us:.0f}" if claim.before_us and claim.after_us else "-"
        mine, http = inside.get(name), outside.get(name)
        rows.append((
            claim.row, figures, claim.words, name,
            _pair(mine["wall_us"]) if mine else "-", _interval(mine["cpu"]["ratio"]) if mine else "-",
            _pair(http["open"]["cpu_us"]) if http else "-", _interval(http["open"]["cpu"]["ratio"]) if http else "-",
        ))  # fmt: skip
    head = (
        "source's row", "us, by it", "it says", "here", "in process, us", "times (CPU)", "over HTTP, us CPU", "times"
    )  # fmt: skip
    return [
        f"The source document's rows, Python {pythons[BASE]} -> {pythons[OTHER]}",
        "  It timed endpoints with canned data through an in-process test client. Here `in process` is the whole",
        "  bridge, called within one process, before a mock upstream; `over HTTP` is the CPU of a running bridge.",
        *table(head, rows), *_users(inside), "",
    ]  # fmt: skip


def _pair(values: Mapping[str, float]) -> str:
    return f"{values[BASE]:.0f} -> {values[OTHER]:.0f}"


def _users(inside: Mapping[str, Any]) -> list[str]:
    if "multi-user" not in inside:
        return []
    wall = inside["multi-user"]["wall_us"]
    return [
        f"  Multi-user in process: {1e6 / wall[BASE]:,.0f} -> {1e6 / wall[OTHER]:,.0f} requests/s, each caller another."
    ]


def _gains(rows: Sequence[Part], where: Callable[[Part], Part], pythons: Mapping[str, str]) -> list[str]:
    lines = [
        (
            row["operation"], row["path"], f"{where(row)['cpu_us'][BASE]:.0f}", f"{where(row)['cpu_us'][OTHER]:.0f}",
            _interval(where(row)["cpu"]["ratio"]), _interval(where(row)["cpu"]["control"]),
            where(row)["cpu"]["finding"],
        )
        for row in rows
    ]  # fmt: skip
    older, newer = (f"{pythons[arm]}, us CPU" for arm in (BASE, OTHER))
    return table(("", "asked", older, newer, "times [95%]", "control", "newer is"), lines)


def _in_process(part: Part, pythons: Mapping[str, str]) -> list[str]:
    return [
        f"In process, in the images: {part['rounds']} rounds of {part['values_a_round']} values",
        *_gains(part["rows"], lambda row: row, pythons),
    ]


def _http(part: Part, pythons: Mapping[str, str]) -> list[str]:
    full = [row for row in part["rows"] if "saturated" in row]
    load = part["saturation"]
    rounds = part["rounds"]
    lines = [
        f"Over HTTP, open arrivals of {part['rate']:g}/s: {rounds} rounds of {part['window_seconds']:g} s",
        *_gains(part["rows"], lambda row: row["open"], pythons), "",
        f"Over HTTP, saturated: {rounds} rounds of {load['requests']} requests on {load['connections']} connections",
        *_gains(full, lambda row: row["saturated"], pythons),
    ]  # fmt: skip
    lines += [
        f"  {row['operation']}: {row['saturated']['rate'][BASE]:,.0f} -> {row['saturated']['rate'][OTHER]:,.0f} "
        "requests/s of one worker, the load sharing the cores"
        for row in full
    ]
    for row in part["rows"]:
        for words, key in (("open arrivals", "open"), ("saturation", "saturated")):
            if found := row.get(key, {}).get("times_haproxy"):
                own = row[key]["cpu_us"][PROXY]
                lines.append(
                    f"  {row['operation']}, {words}: HAProxy needs {own:.0f} us for the same; the bridge "
                    f"{_interval(found[BASE], 1)} times that on {pythons[BASE]}, {_interval(found[OTHER], 1)} on "
                    f"{pythons[OTHER]}"
                )
    return lines


def _latency(part: Part, pythons: Mapping[str, str]) -> list[str]:
    names = {BASE: f"bridge on {pythons[BASE]}", OTHER: f"bridge on {pythons[OTHER]}"}
    rows = [
        (
            names.get(row["arm"], row["arm"]), str(row["requests"]),
            *(f"{row['ms'][key]:.2f}" for key in ("p50", "p99", "max")),
            *(_interval(row["added_ms"][key]) if "added_ms" in row else "-" for key in ("p50", "p99")),
            f"{row['lag_ms']['p99']:.2f}",
        )
        for row in part["rows"]
    ]  # fmt: skip
    head = ("ms", "requests", "p50", "p99", "max", "added p50 [95%]", "added p99 [95%]", "own lag p99")
    title = (
        f"Added latency, open arrivals of {part['rate']:g}/s on one worker: {part['rounds']} rounds of "
        f"{part['window_seconds']:g} s; `direct again` is the noise"
    )
    return [title, *table(head, rows)]


def _plone(part: Part, pythons: Mapping[str, str]) -> list[str]:
    names = {"plone": "Plone alone"} | {arm: f"bridge on {pythons[arm]}" for arm in (BASE, OTHER)}
    saturated = {
        rows: table(("", "requests", "reads/s", "us CPU", "Plone sees/s"), [
            (
                names[row["arm"]], str(row["requests"]), f"{row['rate']:,.0f}", f"{row['cpu_us']:,.0f}",
                f"{row['plone_rate']:.1f}",
            )
            for row in part[rows]
        ])
        for rows in ("hot", "browsers")
    }  # fmt: skip
    mixed = [
        (
            names[row["arm"]] if action == "all" else f"  {action}", str(found["requests"]),
            ", ".join(f"{count} {name}" for name, count in found["failures"].items()) or "none",
            *(f"{found['ms'][key] / 1000:.2f}" if found["ms"] else "-" for key in ("p50", "p95", "p99", "max")),
            f"{row['rate']:.1f}" if action == "all" else "", f"{row['plone_rate']:.1f}" if action == "all" else "",
        )
        for row in part["mixed"]
        for action, found in {"all": row, **row["actions"]}.items()
    ]  # fmt: skip
    title = (
        f"Real Plone, {part['users']} users who pause {part['think_seconds']:g} s in the mean: {part['mixed_rounds']} "
        f"rounds of {part['mixed_seconds']:g} s, seconds from when each action was due"
    )
    return [
        f"Real Plone, anonymous readers of {part['pages']} pages at saturation, one worker",
        *saturated["hot"], "",
        "The same pages for browsers, a crawler and an app at once, HTML and JSON, while an editor saves every 10 s",
        *saturated["browsers"], "",
        title,
        *table(("", "requests", "failed", "p50", "p95", "p99", "max", "good/s", "Plone sees/s"), mixed),
    ]  # fmt: skip


def _conditions(document: Mapping[str, Any]) -> list[str]:
    said = document["conditions"]
    images = [
        (f"  {tag}", image["id"].removeprefix("sha256:")[:12], image.get("python", "-"), image.get("commit", "-")[:12])
        for tag, image in said["images"].items()
    ]
    changed = "-changed" if said["commit"].endswith("-changed") else ""
    machine = f"{said['cores']} cores, {said['cpu']}; kernel {said['kernel']}; {said['engine']}"
    load = f"load average {document['load_before'][0]} before, {document['load_after'][0]} after, the bench's included"
    return [
        f"  commit {said['commit'][:12]}{changed}; {document['seconds']:.0f} s; {load}",
        f"  {machine}",
        *table(("  image", "id", "Python", "built from"), images),
        f"  {CONTROL}: the older Python once more, as a bridge of its own. `times` above 1: the newer needs less.",
    ]
