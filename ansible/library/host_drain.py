#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_drain
short_description: Take a front host out, or bring it back
version_added: "0.2.0"
author: EduHub rollout
description:
  - Marks the host as drained on its disk and in HAProxy. keepalived gives up the addresses of the site, and the other
    front host takes them; a balancer that asks C(/health/host) goes elsewhere. Then it waits until no request is left.
  - Nothing is marked where no other front host is up. Where none takes the addresses, this one takes them back. Without
    addresses it is put back where every other front host says once it is marked that it takes no requests.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  drained:
    description: Whether the host is to be drained.
    type: bool
    required: true
  by:
    description: The verb that drains it. One other than V(drain) takes no mark of V(drain) away.
    type: str
    default: drain
  virtual_addresses:
    description: Addresses of the site, each with its prefix length.
    type: list
    elements: str
    default: []
  peers:
    description: Addresses of the other front hosts.
    type: list
    elements: str
    default: []
  port:
    description: Port on which HAProxy listens.
    type: int
    default: 80
  seconds:
    description: How many seconds to wait at most until no request is left, or until a bridge host is known to answer.
    type: int
    required: true
  quiet_seconds:
    description: Without virtual addresses, for how long after the mark a balancer has to have sent nothing.
    type: int
    default: 0
  alone:
    description: Whether it is agreed to that no other front host takes the addresses.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Take the front host out
  host_drain:
    stack: eduhub
    drained: true
    virtual_addresses: [192.0.2.10/24]
    seconds: 120
"""

RETURN = r"""
code:
  description: What happened; V(front_drained) and V(front_undrained) where it is as asked.
  returned: success
  type: str
message:
  description: What happened, and what is left.
  returned: success
  type: str
exit:
  description: V(0); V(1) where the host was put back; V(2) where nothing was changed; V(3) where a person is needed.
  returned: success
  type: int
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.host_asking import admin_socket, answers, drain_file, is_serving, printed, spoken, text_of
from ansible.module_utils.host_front import (
    arrivals,
    drain_map,
    drained_by,
    interfaces_of,
    is_up,
    plain,
    requests,
    servers,
)  # fmt: skip

ARGUMENTS = {
    "stack": {"type": "str", "required": True},
    "drained": {"type": "bool", "required": True},
    "by": {"type": "str", "default": "drain"},
    "virtual_addresses": {"type": "list", "elements": "str", "default": []},
    "peers": {"type": "list", "elements": "str", "default": []},
    "port": {"type": "int", "default": 80},
    "seconds": {"type": "int", "required": True},
    "quiet_seconds": {"type": "int", "default": 0},
    "alone": {"type": "bool", "default": False},
}
VERB = "drain"
DRAIN = ["./invoke", "drain"]
UNDRAIN = ["./invoke", "undrain"]
UNDRAIN_BRIDGES = ["./invoke", "undrain", "--limit", "bridge"]
STATUS = ["./invoke", "status"]
DEPLOY = ["./invoke", "deploy"]
START = ["systemctl", "start", "keepalived"]
# As HAProxy sees it, whatever the name of the stack.
MAP = "/var/lib/eduhub/edge/drain.map"
POLL_SECONDS = 0.2
# keepalived asks once a second, gives up after two answers, and the other host takes over within another second.
MOVES_SECONDS = 10


def main() -> None:
    """Drain or undrain the host."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked, check = module.params, module.check_mode
    before = mark_of(asked["stack"])
    try:
        servers(spoken(admin_socket(asked["stack"]), "show stat"))
        step = drain if asked["drained"] else undrain
        done = step(asked, before, check=check)
    except OSError as error:
        done = answered("front_silent", 2, f"{silent(error)}: the host stays as it is.", STATUS, DEPLOY)
    after = before if done["exit"] == 2 else asked["drained"] if check else mark_of(asked["stack"])
    module.exit_json(changed=bool(before) != bool(after), **done)


def drain(asked: Mapping[str, Any], before: Optional[str], *, check: bool) -> dict[str, Any]:
    """Mark the host, wait until the addresses have moved and no request is left, and return the answer.

    Raises OSError where nothing is marked yet.
    """
    addresses, alone = without_prefix(asked), asked["alone"]
    is_active = bool(addresses) and not gone(addresses)
    if is_active and not alone and not any(is_serving(each, asked["port"]) for each in asked["peers"]):
        others = ", ".join(asked["peers"]) or "none"
        why = f"This host has the site's addresses, and no other front host is up ({others})"
        return answered("front_others_down", 2, f"{why}: nothing was changed.", STATUS)
    if check:
        would = "The host is drained already." if before else "The host would be drained."
        return answered("front_drain_planned", 0, would)
    try:
        mark(asked["stack"], before or asked["by"])
    except OSError as error:
        return put_back(asked, before, silent(error))
    if not addresses and not before and not alone and all_drained(asked):
        # Two that are drained at the same moment: each finds the other one's mark, as it asks once it has its own.
        others = ", ".join(asked["peers"])
        return put_back(asked, before, f"No other front host takes requests any more ({others})")
    if not addresses:
        moved, lost = "The host tells its balancer to go elsewhere", []
    else:
        is_taken = within(MOVES_SECONDS, lambda: gone(addresses) and all_answer(asked, addresses))
        if not gone(addresses):
            return put_back(asked, before, f"keepalived has not given the site's addresses up after {MOVES_SECONDS} s")
        if not is_taken and not alone:
            why = f"No other front host has taken {', '.join(addresses)} after {MOVES_SECONDS} s"
            return put_back(asked, before, why)
        moved, lost = f"{'The other' if is_taken else 'No'} front host has the site's addresses", addresses
    try:
        return left(asked, moved, lost)
    except OSError as error:
        message = f"{moved}, but {silent(error)}. Look whether requests are left, by the same command."
        return answered("front_drain_unfinished", 3, message, DRAIN, UNDRAIN)


def put_back(asked: Mapping[str, Any], before: Optional[str], why: str) -> dict[str, Any]:
    """Mark the host as it was before, and return the answer."""
    addresses = without_prefix(asked)
    try:
        mark(asked["stack"], before)
    except OSError as error:
        what = f"{why}, and the host could not be put back: {silent(error)}."
        return answered("front_not_taken_over", 3, what, UNDRAIN, STATUS)
    if before:
        what = f"{why}. The host was drained before, and stays so."
        return answered("front_not_taken_over", 3, what, UNDRAIN, STATUS)
    if not within(MOVES_SECONDS, lambda: all_answer(asked, addresses)):
        what = f"{why}. This host was put back, and the addresses do not answer."
        return answered("front_not_taken_over", 3, what, STATUS)
    return answered("front_not_taken_over", 1, f"{why}: this host was put back.", STATUS)


def left(asked: Mapping[str, Any], moved: str, lost: Sequence[str]) -> dict[str, Any]:
    """Wait until no request is left, and return the answer; a balancer may send some that are new. Raises OSError.

    What came by the `lost` addresses is not waited for: its answer has no way to its client, from an address that is
    another host's. Taking the address once more, to tell clients, would answer ARP for it beside that host.
    """
    began, admin, by_balancer = time.monotonic(), admin_socket(asked["stack"]), not lost
    cut = sum(1 for each in arrivals(spoken(admin, "show sess all")) if each in lost)
    if cut:
        moved += f"; {cut} {'request' if cut == 1 else 'requests'} over them had not ended, and "
        moved += "is lost" if cut == 1 else "are lost"

    def counted() -> tuple[int, int]:
        if by_balancer:
            is_open, recent = requests(spoken(admin, "show table inflight"))
            return is_open, recent
        return sum(1 for each in arrivals(spoken(admin, "show sess all")) if each not in lost), 0

    def is_quiet() -> bool:
        waited = time.monotonic() - began >= asked["quiet_seconds"]
        return (waited or not by_balancer) and counted() == (0, 0)

    is_free = within(max(asked["seconds"], asked["quiet_seconds"] if by_balancer else 0), is_quiet)
    still, recent = (0, 0) if is_free else counted()
    took = f"after {time.monotonic() - began:.0f} s"
    if recent:
        message = (
            f"{moved}, but {took} requests still come: {recent} ended a moment ago. Nothing was cut. Look whether the "
            "balancer asks /health/host; then wait longer by the same command."
        )
        return answered("front_drain_unfinished", 3, message, DRAIN, UNDRAIN)
    rest = f"{still} request{'' if still == 1 else 's'} left, which a stop cuts" if still else "no request left"
    message = f"{moved}. {took.capitalize()} there is {rest}."
    if asked["by"] != VERB:  # which goes on by itself
        return answered("front_drained", 0, message)
    what = "Stop it, patch it or reboot it now; then bring it back with undrain."
    return answered("front_drained", 0, f"{message} {what}", UNDRAIN)


def undrain(asked: Mapping[str, Any], before: Optional[str], *, check: bool) -> dict[str, Any]:
    """Take the mark away once the host serves, and return the answer. Raises OSError where nothing is changed.

    A bridge host has to be known to answer, unless the site's addresses are no host's: then clients get 503 at least.
    """
    addresses = without_prefix(asked)
    if before is None:
        return answered("front_undrained", 0, "The host was not drained.")
    if asked["by"] != VERB and before == VERB:
        return answered("front_undrained", 0, "The host stays drained, as it was: undrain brings it back.", UNDRAIN)

    def serves() -> bool:
        return any(map(is_up, servers(spoken(admin_socket(asked["stack"]), "show stat")).values()))

    lacks = [each for each in addresses if not answers(each, asked["port"])]
    if not lacks and not within(asked["seconds"], serves):
        why = f"no bridge host is known to answer after {asked['seconds']} s"
        return answered("front_not_serving", 2, f"The host stays drained: {why}.", UNDRAIN_BRIDGES, STATUS)
    if addresses and printed("systemctl", "is-active", "keepalived").strip() != "active":
        why = "keepalived does not run here, so it would never have the site's addresses"
        return answered("keepalived_stopped", 2, f"The host stays drained: {why}.", START, UNDRAIN)
    if check:
        return answered("front_undrain_planned", 0, "The host serves, and would be brought back.")
    mark(asked["stack"], None)
    if not addresses:
        return answered("front_undrained", 0, "The host is back. Its balancer is told to come.")
    if not lacks:
        return answered("front_undrained", 0, "The host is back. The site's addresses stay where they are.")
    if not within(MOVES_SECONDS, lambda: all_answer(asked, addresses)):
        why = f"The host is not drained any more, and {', '.join(lacks)} still do not answer after {MOVES_SECONDS} s."
        return answered("front_address_lost", 3, why, STATUS)
    return answered("front_undrained", 0, "The host is back. The site's addresses, which no host had, answer again.")


def mark(stack: str, by: Optional[str]) -> None:
    """Mark the host on its disk, where a HAProxy that starts reads it, and in the one that runs. Raises OSError."""
    path = drain_file(stack)
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(drain_map(by))
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)
    new.replace(path)
    said = spoken(admin_socket(stack), f"set map {MAP} draining {int(by is not None)}")
    if said.strip():
        raise OSError(said.strip())


def mark_of(stack: str) -> Optional[str]:
    """Return which verb has drained the host; None where it is not drained."""
    found: Optional[str] = drained_by(text_of(drain_file(stack)))
    return found


def without_prefix(asked: Mapping[str, Any]) -> list[str]:
    """Return the addresses of the site."""
    return [plain(each.split("/")[0]) for each in asked["virtual_addresses"]]


def all_answer(asked: Mapping[str, Any], addresses: Sequence[str]) -> bool:
    """Return whether a front host answers at each of the addresses."""
    return all(answers(each, asked["port"]) for each in addresses)


def all_drained(asked: Mapping[str, Any]) -> bool:
    """Return whether each other front host says that it takes no requests; one that is silent may only be far away."""
    port = asked["port"]
    return bool(asked["peers"]) and all(answers(each, port) and not is_serving(each, port) for each in asked["peers"])


def gone(addresses: Sequence[str]) -> bool:
    """Return whether the host has none of the addresses."""
    return not {*addresses} & set(interfaces_of(printed("ip", "-j", "addr", "show")))


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Ask until something holds, for so many seconds at most; return whether it did."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def silent(error: OSError) -> str:
    """Return that HAProxy or the disk failed, and why."""
    return f"HAProxy could not be asked or told ({error.strerror or error})"


def answered(code: str, number: int, message: str, *following: list[str]) -> dict[str, Any]:
    """Return the fields of an answer."""
    return {"code": code, "exit": number, "message": message, "findings": [], "next": list(following)}


if __name__ == "__main__":
    main()
