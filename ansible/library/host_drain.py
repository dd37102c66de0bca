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
  - Where no other front host takes the addresses, this one takes them back.
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
    description: The verb that drains it.
    type: str
    default: drain
  virtual_addresses:
    description: Addresses of the site, each with its prefix length.
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
  description: V(0); V(1) where the host was put back; V(2) where nothing was changed; V(3) where requests still come.
  returned: success
  type: int
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.host_asking import admin_socket, answers, drain_file, printed, spoken, text_of
from ansible.module_utils.host_front import (
    came_by,
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
    "port": {"type": "int", "default": 80},
    "seconds": {"type": "int", "required": True},
    "alone": {"type": "bool", "default": False},
}
DRAIN = ["./invoke", "drain"]
UNDRAIN = ["./invoke", "undrain"]
STATUS = ["./invoke", "status"]
DEPLOY = ["./invoke", "deploy"]
# As HAProxy sees it, whatever the name of the stack.
MAP = "/var/lib/eduhub/edge/drain.map"
POLL_SECONDS = 0.2
# keepalived asks once a second, gives up after two answers, and the other host takes over within another second.
MOVES_SECONDS = 10


def main() -> None:
    """Drain or undrain the host."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    before = drained_by(text_of(drain_file(asked["stack"])))
    try:
        servers(spoken(admin_socket(asked["stack"]), "show stat"))
        step = drain if asked["drained"] else undrain
        done = step(asked, before, check=module.check_mode)
    except OSError as error:
        why = f"HAProxy could not be asked or told ({error.strerror or error})"
        done = answered("front_silent", 2, f"{why}: the host stays as it is.", STATUS, DEPLOY)
    changed = (before is None) == asked["drained"] and done["exit"] in {0, 3}
    module.exit_json(changed=changed, **done)


def drain(asked: Mapping[str, Any], before: Optional[str], *, check: bool) -> dict[str, Any]:
    """Mark the host, wait until the addresses have moved and no request is left, and return the answer."""
    if check:
        would = "The host is drained already." if before else "The host would be drained."
        return answered("front_drain_planned", 0, would)
    mark(asked["stack"], asked["by"])
    addresses = [each.split("/")[0] for each in asked["virtual_addresses"]]
    if not addresses:
        return left(asked, "The host tells its balancer to go elsewhere", (), by_balancer=True)
    is_taken = within(MOVES_SECONDS, lambda: gone(addresses) and all(answers(each, asked["port"]) for each in addresses))
    if not is_taken and not asked["alone"]:
        mark(asked["stack"], before)
        what = f"No other front host has taken {', '.join(addresses)} after {MOVES_SECONDS} s"
        return answered("front_not_taken_over", 1, f"{what}: this host was put back as it was.", STATUS)
    moved = f"{'The other' if is_taken else 'No'} front host has the site's addresses"
    return left(asked, moved, addresses if gone(addresses) else (), by_balancer=False)


def left(asked: Mapping[str, Any], moved: str, lost: Sequence[str], *, by_balancer: bool) -> dict[str, Any]:
    """Wait until no request is left, and return the answer; one by a balancer may send some that are new.

    What came by the `lost` addresses is not waited for: its answer has no way to its client, from an address that is
    another host's. Taking the address once more, to tell clients, would answer ARP for it beside that host.
    """
    began, admin = time.monotonic(), admin_socket(asked["stack"])
    cut = len(came_by(lost, spoken(admin, "show sess all"))) if lost else 0
    if cut:
        moved += f"; {cut} request{'' if cut == 1 else 's'} over them had not ended, and {'is' if cut == 1 else 'are'} lost"

    def counted() -> tuple[int, int]:
        is_open, recent = requests(spoken(admin, "show table inflight"))
        without_client = len(came_by(lost, spoken(admin, "show sess all"))) if lost and is_open else 0
        return max(is_open - without_client, 0), recent if by_balancer else 0

    is_free = within(asked["seconds"], lambda: counted() == (0, 0))
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
    if asked["by"] != "drain":  # which goes on by itself
        return answered("front_drained", 0, message)
    what = "Stop it, patch it or reboot it now; then bring it back with undrain."
    return answered("front_drained", 0, f"{message} {what}", UNDRAIN)


def undrain(asked: Mapping[str, Any], before: Optional[str], *, check: bool) -> dict[str, Any]:
    """Take the mark away once a bridge host is known to answer, and return the answer."""

    def serves() -> bool:
        return any(map(is_up, servers(spoken(admin_socket(asked["stack"]), "show stat")).values()))

    if before and not within(asked["seconds"], serves):
        why = f"no bridge host is known to answer after {asked['seconds']} s"
        return answered("front_not_serving", 2, f"The host stays drained: {why}.", STATUS)
    if check:
        would = "The host serves, and would be brought back." if before else "The host is not drained."
        return answered("front_undrain_planned", 0, would)
    mark(asked["stack"], None)
    by = "The site's addresses stay where they are." if asked["virtual_addresses"] else "Its balancer is told to come."
    return answered("front_undrained", 0, f"The host {'is back' if before else 'was not drained'}. {by}")


def mark(stack: str, by: Optional[str]) -> None:
    """Mark the host in the HAProxy that runs, and on the disk, where one that starts reads it. Raises OSError."""
    said = spoken(admin_socket(stack), f"set map {MAP} draining {int(by is not None)}")
    if said.strip():
        raise OSError(said.strip())
    path = drain_file(stack)
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(drain_map(by))
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)
    new.replace(path)


def gone(addresses: list[str]) -> bool:
    """Return whether the host has none of the addresses."""
    return not {plain(each) for each in addresses} & set(interfaces_of(printed("ip", "-j", "addr", "show")))


def within(seconds: float, holds: Any) -> bool:
    """Ask until something holds, for so many seconds at most; return whether it did."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def answered(code: str, number: int, message: str, *following: list[str]) -> dict[str, Any]:
    """Return the fields of an answer."""
    return {"code": code, "exit": number, "message": message, "findings": [], "next": list(following)}


if __name__ == "__main__":
    main()
