"""Hosts whose connection was lost in the middle of a run: what they do by themselves, and what to type. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from front.arguments.request import Request
from front.run.exit_codes import DONE
from front.run.outcome import Host

# From here on the shift, which runs on the host without us, may have moved traffic.
SHIFTING = frozenset({"shift", "verify", "hold"})


def disconnected_messages(
    hosts: Mapping[str, Host], request: Request, asked: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Return a text, and command lines for when the host is reachable again, for each way to be disconnected.

    `hosts`: the disconnected ones of those that were `asked` for. Each command is about the hosts of its text alone: an
    other one may have moved, and a second rollback would take it one release further.
    """
    found: dict[str, list[str]] = {}
    for name, host in hosts.items():
        found.setdefault(_about(host, request)[0], []).append(name)
    told = []
    for text, names in found.items():
        about = request if set(names) == set(asked) else request.limited(",".join(names))
        told.append((f"{', '.join(names)}: disconnected {text}", _about(hosts[names[0]], about)[1]))
    return told


def _about(host: Host, request: Request) -> tuple[str, list[str]]:
    by = f"at {host.until} at the latest" if host.until else "after its deadline"
    status = request.invoke("status")
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
    if host.phase == "end" or _confirmed(host):
        return "after its release was confirmed: the new release is live. A lock that is left expires.", [status]
    if host.phase in SHIFTING or not SHIFTING.isdisjoint(host.phases):
        text = (
            "while traffic was being shifted. The shift goes on without a connection. The host rolls an unconfirmed "
            f"release back by itself {by}, and at once if it restarts. `confirm` keeps the release once it has all "
            "traffic."
        )
        back = [] if request.verb == "rollback" else [request.invoke("rollback", "--take-over")]
        return text, [status, request.invoke("confirm"), *back]
    resume = [request.without_recovery("--resume")] if request.verb == "upgrade" else []
    text = "before traffic was shifted. The live release is unchanged and stays live."
    return text, [*resume, request.without_recovery("--take-over")]


def _confirmed(host: Host) -> bool:
    """Whether its last rollout was confirmed. A rollback after that is another one."""
    last = [phase for phase in (*host.phases, host.phase) if phase in {"begin", "confirm"}][-1:]
    return last == ["confirm"] and host.exits.get("confirm") == DONE


def _about_update(host: Host, request: Request) -> tuple[str, list[str]]:
    if "lock" not in {host.phase, *host.phases}:
        return f"in {host.phase}, before an update began there.", [request.command]
    text = (
        f"in {host.phase}, in the middle of an update. What apt does goes on without a connection. The host may be "
        "drained, and is locked; --take-over goes on from there, and undrains it."
    )
    return text, [request.without_recovery("--take-over")]
