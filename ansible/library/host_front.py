#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_front
short_description: Report what a front host serves, or what would stop it
version_added: "0.2.0"
author: EduHub rollout
description:
  - Asks HAProxy of a front host which bridge hosts get requests, and the host whether it has the addresses of the site.
  - Before a deployment it reports what would stop a front host, all of it at once.
  - Changes nothing.
options:
  purpose:
    description:
      - V(check) for what would stop a deployment, V(status) for what is served, V(verify) for what is not as deployed.
    type: str
    choices: [check, status, verify]
    default: status
  stack:
    description: Name of the stack.
    type: str
    required: true
  image:
    description: Image that HAProxy runs in.
    type: str
    required: true
  address:
    description: Address by which bridge hosts know this host.
    type: str
    required: true
  virtual_addresses:
    description: Addresses of the site, each with its prefix length.
    type: list
    elements: str
    default: []
  public:
    description: Addresses on which HAProxy listens, separated by commas.
    type: str
    default: 0.0.0.0
  port:
    description: Port on which HAProxy listens.
    type: int
    default: 80
  names:
    description: Names of the site.
    type: list
    elements: str
    default: []
  bridges:
    description: Names of the bridge hosts.
    type: list
    elements: str
    default: []
  bridge_addresses:
    description: The address of each bridge host.
    type: list
    elements: str
    default: []
  unreachable:
    description: Names of the bridge hosts that listen on a loopback address.
    type: list
    elements: str
    default: []
  bridges_too:
    description: Whether the host is a bridge host too.
    type: bool
    default: false
  acme:
    description: The ACME server that the inventory names.
    type: str
    default: ""
  patched:
    description:
      - After an update of packages the C(versions) from before, how many C(updates) there were, and whether the host
        was C(rebooted). What changed is in C(patch).
    type: dict
    default: {}
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Look at the front host
  host_front:
    stack: eduhub
    image: eduhub/edge:bookworm
    address: 192.0.2.21
    virtual_addresses: [192.0.2.10/24]
"""

RETURN = r"""
code:
  description: V(front_reported), or the code of the first finding.
  returned: success
  type: str
message:
  description: What the host serves, or what is wrong.
  returned: success
  type: str
exit:
  description: V(0); V(2) where a check found something that would stop a deployment; V(1) where verify did.
  returned: success
  type: int
findings:
  description: Everything that is wrong, each with C(code), C(message) and C(next).
  returned: success
  type: list
  elements: dict
status:
  description: >-
    Member C(front) has C(active), whether this host has the addresses of the site, and C(keepalived), whether that runs,
    both null where there are none; C(draining), whether the host is drained; and C(bridges), what HAProxy says of each
    bridge host.
  returned: success
  type: dict
left_drained:
  description: Whether an update of packages drained the host, and did not bring it back.
  returned: success
  type: bool
versions:
  description: The versions of C(kernel), C(engine) and C(haproxy) that run; empty where nothing answers.
  returned: success
  type: dict
patch:
  description: What an update of packages changed, as C(patched) asks for it.
  returned: when it was asked for and nothing is wrong
  type: dict
interface:
  description: Network interface that has C(address); empty where none has.
  returned: success
  type: str
"""

import hashlib
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.host_asking import admin_socket, answers, drain_file, printed, spoken, text_of
from ansible.module_utils.host_front import (
    KEEPALIVED,
    Finding,
    answer,
    drained_by,
    finding,
    interfaces_of,
    is_up,
    objections,
    patched,
    plain,
    sentence,
    servers,
    version_of,
)  # fmt: skip

ARGUMENTS = {
    "purpose": {"type": "str", "choices": ["check", "status", "verify"], "default": "status"},
    "stack": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "virtual_addresses": {"type": "list", "elements": "str", "default": []},
    "public": {"type": "str", "default": "0.0.0.0"},  # noqa: S104 - what the edge's own setting may be
    "port": {"type": "int", "default": 80},
    "names": {"type": "list", "elements": "str", "default": []},
    "bridges": {"type": "list", "elements": "str", "default": []},
    "bridge_addresses": {"type": "list", "elements": "str", "default": []},
    "unreachable": {"type": "list", "elements": "str", "default": []},
    "bridges_too": {"type": "bool", "default": False},
    "acme": {"type": "str", "default": ""},
    "patched": {"type": "dict", "default": {}},
}
PATCH = "host.patch"
DEPLOY = ["./invoke", "deploy"]
STATUS = ["./invoke", "status"]


def main() -> None:
    """Answer what was asked."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    interfaces = interfaces_of(printed("ip", "-j", "addr", "show"))
    if asked["purpose"] == "check":
        found = list(objections(asked, interfaces, text_of(Path(KEEPALIVED))))
        done = answer(found, 2, "A front host can be deployed here.", {})
    else:
        state = served(asked, interfaces)
        found = list(differences(asked, state)) if asked["purpose"] == "verify" else []
        data = {"status": {"front": state}, "versions": versions(asked["stack"])}
        data["left_drained"] = drained_by(text_of(drain_file(asked["stack"]))) == PATCH
        told = sentence(state)
        if asked["patched"] and not found:
            told, data["patch"] = patched(asked["patched"], data["versions"])
        done = answer(found, 1, told, data)
    module.exit_json(changed=False, interface=interfaces.get(plain(asked["address"]), ""), **done)


def served(asked: Mapping[str, Any], interfaces: Mapping[str, str]) -> dict[str, Any]:
    """Return what the host serves: see C(status.front)."""
    held = [plain(each.split("/")[0]) in interfaces for each in asked["virtual_addresses"]]
    try:
        bridges = servers(spoken(admin_socket(asked["stack"]), "show stat"))
    except OSError:
        bridges = {}
    return {
        "active": all(held) if held else None,
        "draining": drained_by(text_of(drain_file(asked["stack"]))) is not None,
        "keepalived": printed("systemctl", "is-active", "keepalived").strip() == "active" if held else None,
        "bridges": bridges,
    }


def versions(stack: str) -> dict[str, str]:
    """Return the versions that run, of the kernel, the engine and HAProxy; empty ones where nothing answers."""
    try:
        haproxy = version_of(spoken(admin_socket(stack), "show info"))
    except OSError:
        haproxy = ""
    engine = printed("docker", "version", "--format", "{{.Server.Version}}").strip()
    return {"kernel": platform.release(), "engine": engine, "haproxy": haproxy}


def differences(asked: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is not as it was deployed."""
    name = f"{asked['stack']}-edge"
    running = printed("docker", "inspect", "--format", "{{.State.Status}} {{.Image}}", name).split()
    wanted = printed("docker", "image", "inspect", "--format", "{{.Id}}", asked["image"]).strip()
    if running[:1] != ["running"]:
        yield finding("front_stopped", f"The container {name} is {running[0] if running else 'absent'}.", DEPLOY)
    elif running[1] != wanted:
        yield finding("front_image", f"The container {name} runs another image than {asked['image']}.", DEPLOY)
    config = Path("/etc") / asked["stack"] / "edge/haproxy.cfg"
    written = hashlib.sha1(text_of(config).encode(), usedforsecurity=False).hexdigest()
    if text_of(config.with_name("haproxy.cfg.sha1")).strip() != written:
        yield finding("edge_configuration_edited", f"{config} was edited after the last deployment.", DEPLOY)
    if running[:1] == ["running"] and not any(map(is_up, state["bridges"].values())):
        silent = "HAProxy does not answer on its admin socket."
        yield finding("front_alone", "No bridge host is known to answer." if state["bridges"] else silent, STATUS)
    if state["keepalived"] is False:
        start = ["systemctl", "start", "keepalived"]
        yield finding("keepalived_stopped", "keepalived does not run on this host.", start)
    # A drained host is not to wait for one that has them: it may be what has to take them.
    for each in asked["virtual_addresses"] if state["active"] is False and not state["draining"] else ():
        if not answers(each.split("/")[0], asked["port"]):
            what = f"{each.split('/')[0]} does not answer at port {asked['port']}: no front host has it."
            yield finding("front_address_lost", what, STATUS)


if __name__ == "__main__":
    main()
