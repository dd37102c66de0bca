"""Hosts whose connection was lost in the middle of a run: what they do by themselves, and what to type. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from front.outcome import Host
from front.request import Request

# From here on the shift, which runs on the host without us, may have moved traffic.
SHIFTING = frozenset({"shift", "verify", "hold"})


def disconnected_messages(hosts: Mapping[str, Host], request: Request, *, alone: bool) -> list[tuple[str, list[str]]]:
    """Return a text, and command lines for when the host is reachable again, for each way to be disconnected.

    `hosts`: the disconnected ones; `alone`: no other host was asked for.
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, host in hosts.items():
        text, commands = _about(host, request, None if alone else name)
        found.setdefault((text, tuple(commands)), []).append(name)
    return [(f"{', '.join(names)}: disconnected {text}", list(commands)) for (text, commands), names in found.items()]


def _about(host: Host, request: Request, limit: str | None) -> tuple[str, list[str]]:
    by = f"at {host.until} at the latest" if host.until else "after its deadline"
    status = request.invoke("status", limit=limit) if limit else request.status
    if host.phase == "confirm":
        text = (
            "while its release was being confirmed. Either the release is confirmed, or the host rolls back by itself "
            f"{by}. The status shows which."
        )
        return text, [status]
    if request.verb == "host.patch":
        return _about_update(host, request)
    if not host.begun:
        return f"in {host.phase}, before a rollout began there.", [request.command]
    if host.phase == "end":
        return "after its release was confirmed: the new release is live. A lock that is left expires.", [status]
    if host.phase in SHIFTING or not SHIFTING.isdisjoint(host.phases):
        text = (
            "while traffic was being shifted. The shift goes on without a connection. The host rolls an unconfirmed "
            f"release back by itself {by}, and at once if it restarts. `confirm` keeps the release once it has all "
            "traffic."
        )
        return text, [status, request.invoke("confirm", limit=limit), *_rollback(request, limit)]
    resume = [request.without_recovery("--resume")] if request.verb == "upgrade" else []
    text = "before traffic was shifted. The live release is unchanged and stays live."
    return text, [*resume, request.without_recovery("--take-over")]


def _about_update(host: Host, request: Request) -> tuple[str, list[str]]:
    if "lock" not in {host.phase, *host.phases}:
        return f"in {host.phase}, before an update began there.", [request.command]
    text = (
        f"in {host.phase}, in the middle of an update. What apt does goes on without a connection. The host may be "
        "drained, and is locked; --take-over goes on from there, and undrains it."
    )
    return text, [request.without_recovery("--take-over")]


def _rollback(request: Request, limit: str | None) -> list[str]:
    return [] if request.verb == "rollback" else [request.invoke("rollback", "--take-over", limit=limit)]
