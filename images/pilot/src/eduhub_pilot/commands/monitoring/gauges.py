"""The status of a host as metrics, for Prometheus: its text format, version 0.0.4.

Kept by hand: the format is a line for each value, and prometheus-client would be the pilot's second package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Labels = Mapping[str, str]
Values = list[tuple[Labels, float]]


@dataclass(frozen=True)
class Metric:
    """One gauge: its help, its labels, and its values in an object of `status --json`; none where nothing is known."""

    name: str
    help: str
    labels: tuple[str, ...]
    values: Callable[[Mapping[str, Any]], Values]


def rendered(status: Mapping[str, Any] | None, certificates: Mapping[str, datetime], stack: str, now: datetime) -> str:
    """Return what Prometheus reads; every line has the label `stack`.

    `status` is the host's object of `status --json`, None where the state of the host cannot be read. `certificates`:
    when each file that the edge serves ends.
    """
    lines: list[str] = []
    for metric in METRICS:
        lines += _lines(metric, metric.values(status) if status is not None else [], stack)
    lines += _lines(CERTIFICATE, [({"file": file}, ends.timestamp()) for file, ends in certificates.items()], stack)
    lines += _lines(READABLE, [({}, float(status is not None))], stack)
    lines += _lines(LOOKED, [({}, now.timestamp())], stack)
    return "".join(f"{line}\n" for line in lines)


def _lines(metric: Metric, values: Values, stack: str) -> Iterable[str]:
    if not values:
        return []
    # Times are written as numbers of seconds without an exponent.
    lines = [f"{metric.name}{{{_labels({'stack': stack, **labels})}}} {value:.15g}" for labels, value in values]
    return [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge", *lines]


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _one(value: Any) -> Values:
    return [] if value is None else [({}, float(value))]


def _time(value: Any) -> Values:
    """Return a time of a document of ours; nothing for one that is missing or that cannot be read."""
    try:
        return [({}, datetime.fromisoformat(value).timestamp())]
    except (TypeError, ValueError):
        return []


def _release(status: Mapping[str, Any]) -> Values:
    if not status["live"]:
        return []
    return [({"release": status["release"] or "", "python": status["python"] or "", "slot": status["live"]}, 1.0)]


def _plone(status: Mapping[str, Any]) -> Values:
    plone = status["plone"]
    return [({"version": plone["version"] or "", "python": plone["python"] or ""}, 1.0)] if plone else []


def _plone_up(status: Mapping[str, Any]) -> Values:
    """Return whether each process answers; of one that is not asked, whether its container runs and is not ill."""
    plone = status["plone"]
    if not plone:
        return []
    runs = plone["state"] == "running" and plone["health"] in {None, "healthy", "starting"}
    processes = plone["processes"] or {"plone": runs}
    return [({"process": name}, float(answers and plone["state"] == "running")) for name, answers in processes.items()]


def _findings(status: Mapping[str, Any]) -> Values:
    return [({"code": code}, 1.0) for code in sorted({note["code"] for note in status["notes"]})]


def _confirm_by(status: Mapping[str, Any]) -> Values:
    return _time((status["rollout"] or {}).get("deadline"))


METRICS = (
    Metric("eduhub_host_release_info", "The live release, where there is one", ("release", "python", "slot"), _release),
    Metric("eduhub_host_confirmed", "1 while the live release is confirmed", (),
           lambda status: _one(status["confirmed"] if status["live"] else None)),
    Metric("eduhub_host_live_since_seconds", "When the live release was confirmed, as a Unix time", (),
           lambda status: _time(status["since"])),
    Metric("eduhub_host_confirm_by_seconds", "When the host reverts what is not confirmed, as a Unix time", (),
           _confirm_by),
    Metric("eduhub_host_edge_up", "1 while HAProxy answers on its admin socket", (),
           lambda status: _one(status["edge"] == "up")),
    Metric("eduhub_host_slot_running", "1 while the container of the slot runs", ("slot",),
           lambda status: [({"slot": slot}, float(each["state"] == "running"))
                           for slot, each in status["slots"].items()]),
    Metric("eduhub_host_green_weight", "Percent of the public requests that slot green gets", (),
           lambda status: _one(status["weight"])),
    Metric("eduhub_host_draining", "1 while the host tells its balancer to go elsewhere", (),
           lambda status: _one(status["draining"])),
    Metric("eduhub_host_locked", "1 while a run holds the lock of the host", (),
           lambda status: _one(bool(status["lock"]))),
    Metric("eduhub_host_lock_expired", "1 while the lock is of a run that no longer renews it", (),
           lambda status: _one(bool(status["lock"] and status["lock"]["expired"]))),
    Metric("eduhub_host_rollback_ready", "1 while a rollback is ready", (),
           lambda status: _one(bool(status["rollback"]["ready"]))),
    Metric("eduhub_host_last_run_failed", "1 while the last rollout is one that was reverted", (),
           lambda status: _one(status["last"]["result"] == "reverted" if status["last"] else None)),
    Metric("eduhub_host_finding", "1 for each finding of status", ("code",), _findings),
    Metric("eduhub_host_plone_info", "Our Plone, where it runs on this host", ("version", "python"), _plone),
    Metric("eduhub_host_plone_up", "1 while the process of Plone answers", ("process",), _plone_up),
    Metric("eduhub_host_backup_seconds", "Recovery point of the last proven backup of Plone, as a Unix time", (),
           lambda status: _time((status["backup"] or {}).get("recovery_point"))),
    Metric("eduhub_host_copy_seconds", "When the last copy of a backup was made, as a Unix time", (),
           lambda status: _time(((status["copy"] or {}).get("last") or {}).get("time"))),
)  # fmt: skip
CERTIFICATE = Metric(
    "eduhub_host_certificate_end_seconds", "When a certificate that the edge serves ends, as a Unix time", ("file",),
    lambda _: [],
)  # fmt: skip
READABLE = Metric("eduhub_host_readable", "0 where the state of the host cannot be read", (), lambda _: [])
LOOKED = Metric("eduhub_host_looked_seconds", "When the host was looked at, as a Unix time", (), lambda _: [])
ALL = (*METRICS, CERTIFICATE, READABLE, LOOKED)
