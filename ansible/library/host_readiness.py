#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_readiness
short_description: Report everything that would stop a deployment of the stack on a host
version_added: "0.1.0"
author: EduHub rollout
description:
  - Observes a host, deployed or bare, and compares it with what the stack requires.
  - Reports all findings at once, each with a stable code and a remedy. Findings do not fail the task.
  - Changes nothing, in check mode or without.
options:
  stack:
    description: Name of the stack. Its own containers may hold its ports.
    type: str
    required: true
  ports:
    description: TCP ports that the stack listens on.
    type: list
    elements: dict
    default: []
    suboptions:
      variable:
        description: Variable of the inventory that sets the port.
        type: str
        required: true
      address:
        description: Address that the port is on; several are separated by commas.
        type: str
        required: true
      port:
        description: Number of the port.
        type: int
        required: true
  disk_mb:
    description: Free space in MB that is needed below each path before the first deployment, as a dictionary from path to MB.
    type: dict
    default: {}
  engine_disk_mb:
    description:
      - Free space in MB that is needed before the first deployment where the engine keeps its images.
      - That is the engine's own answer; while none answers, the data-root of /etc/docker/daemon.json.
    type: int
    default: 0
  next_disk_mb:
    description: Free space in MB that a deployed host needs in each of these places for one more release.
    type: int
    default: 0
  memory_mb:
    description: Memory in MB that has to be available before the first deployment.
    type: int
    default: 0
  engine_required:
    description: Whether a missing Docker Engine is a finding where it could be installed.
    type: bool
    default: true
  network:
    description: Name of the stack's network. Without it nothing is said of networks.
    type: str
    default: ""
  subnet:
    description: IPv4 subnet that the network must have; any, when empty.
    type: str
    default: ""
  mtu:
    description: MTU that the network must have; any, when V(0).
    type: int
    default: 0
  controller_time:
    description: The control machine's clock, in seconds since 1970. Without it the clocks are not compared.
    type: float
  plone:
    description: >-
      The institution's own Plone, which is asked for one page with the trust that a slot of the bridge has. Without a
      C(url) there is none.
    type: dict
    suboptions:
      url:
        description: Address of the site.
        type: str
        required: true
      ca:
        description: Certificates in PEM that are trusted; the public authorities when empty.
        type: str
        default: ""
      page:
        description: Page below the site that has to answer 200; when empty, the site itself any status below 500.
        type: str
        default: ""
  certificates:
    description: The files of the TLS certificates of the edge.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: Certificate and chain, in PEM.
        type: path
        required: true
      key:
        description: Its private key, in PEM.
        type: path
        required: true
  names:
    description: Names that the certificates have to cover.
    type: list
    elements: str
    default: []
  need_names:
    description: Variables of the inventory that are set and need O(names).
    type: list
    elements: str
    default: []
  acme:
    description: What an ACME server is asked with; it is asked if O(acme.server) is set.
    type: dict
    suboptions:
      server:
        description: Directory URL of the server.
        type: str
        required: true
      files:
        description: Whether the edge also has certificates as files.
        type: bool
        default: false
      key_id:
        description: Key id of the external account binding.
        type: str
        default: ""
      key_file:
        description: File on the host with its HMAC key.
        type: str
        default: ""
  calendars:
    description: What the host is to do by itself.
    type: list
    elements: dict
    default: []
    suboptions:
      variable:
        description: Variable of the inventory that sets the event.
        type: str
        required: true
      event:
        description: Calendar event of systemd.
        type: str
        required: true
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
requirements:
  - Python 3.9 or newer on the host
"""

EXAMPLES = r"""
- name: Check that a host is ready for the stack
  host_readiness:
    stack: eduhub
    ports:
      - {variable: edge_port, address: 127.0.0.1, port: 8080}
    engine_disk_mb: 4000
    disk_mb:
      /var/lib/eduhub: 1000
    memory_mb: 1500
    controller_time: "{{ now().timestamp() }}"
  register: readiness

- name: Refuse a host without enough disk
  ansible.builtin.fail:
    msg: "{{ readiness.message }}"
  when: "'disk_short' in readiness.findings | map(attribute='code')"
"""

RETURN = r"""
code:
  description: V(host_ready) without findings, V(host_not_ready) with some.
  returned: success
  type: str
  sample: host_not_ready
exit:
  description: The exit code that the findings stand for. V(0) without findings, V(2) with some (refused, nothing touched).
  returned: success
  type: int
  sample: 2
next:
  description: Next commands, as argument lists.
  returned: success
  type: list
  elements: list
  sample: []
message:
  description: All findings with their remedies; without findings, distribution and engine.
  returned: success
  type: str
  sample: "Port 80 is in use by nginx, pid 12: stop it, or set edge_port to another port."
findings:
  description: Everything that stops a deployment, in the order in which it would be met.
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: Stable name of the finding. docs/reference/preflight.md lists them.
      type: str
      sample: port_taken
    message:
      description: What is wrong, with the value, and what to do about it.
      type: str
      sample: "Port 80 is in use by nginx, pid 12: stop it, or set edge_port to another port."
    next:
      description: Next commands, as argument lists.
      type: list
      elements: list
      sample: []
notes:
  description: What an operator should know of the host that stops nothing.
  returned: success
  type: list
  elements: str
  sample: []
network:
  description: Whether the network exists.
  returned: success
  type: bool
  sample: false
mtu:
  description: MTU for a network that is to be made, that of O(mtu) or of the default route's interface.
  returned: success
  type: int
  sample: 1450
engine:
  description: Version of the Docker Engine that answers; null when none does.
  returned: success
  type: str
  sample: 20.10.24+dfsg1
engine_lacking:
  description: Whether no engine is installed, or only a part of Debian's, so that Debian's may be.
  returned: success
  type: bool
  sample: false
engine_installed:
  description: The engine that is installed and does not answer; empty where one answers or none is there.
  returned: success
  type: str
  sample: docker-ce 5:27.5.1-1~debian.12~bookworm
engine_daemon:
  description: Path of dockerd where the engine does not answer; empty where there is none.
  returned: success
  type: str
  sample: /usr/bin/dockerd
foreign_directories:
  description: Directories of the stack's name below /etc and /var/lib that are another program's.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/postgresql]
deployed:
  description: Whether the stack has a release on this host.
  returned: success
  type: bool
  sample: false
python:
  description: The Python of the live release; null where nothing of ours is live.
  returned: success
  type: str
  sample: "3.11"
plone_python:
  description: The Python of our Plone, by the label of its image; null where there is none.
  returned: success
  type: str
  sample: "3.11"
plone_version:
  description: The version of our Plone, by the label of its image; null where there is none.
  returned: success
  type: str
  sample: "6.0.13"
systemd:
  description: Whether systemd runs the host.
  returned: success
  type: bool
  sample: true
python_requests:
  description: Whether the host's Python has the library requests, which the Docker modules need.
  returned: success
  type: bool
  sample: true
stale_pid_files:
  description: Pid files of an engine that was killed. They keep the next one from starting.
  returned: success
  type: list
  elements: str
  sample: [/var/run/docker.pid]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.host_readiness.findings import findings, notes
from ansible.module_utils.host_readiness.model import Acme, Calendar, CertificateFiles, Port, Requirements
from ansible.module_utils.host_readiness.observe import install_facts, observe
from ansible.module_utils.host_readiness.upstream import Upstream

PORT = {
    "variable": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
}
PLONE = {
    "url": {"type": "str", "required": True},
    "ca": {"type": "str", "default": ""},
    "page": {"type": "str", "default": ""},
}
FILES = {"certificate": {"type": "path", "required": True}, "key": {"type": "path", "required": True}}
CALENDAR = {"variable": {"type": "str", "required": True}, "event": {"type": "str", "required": True}}
ACME = {
    "server": {"type": "str", "required": True},
    "files": {"type": "bool", "default": False},
    "key_id": {"type": "str", "default": ""},
    "key_file": {"type": "str", "default": ""},
}
ARGUMENTS = {
    "stack": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "dict", "default": [], "options": PORT},
    "disk_mb": {"type": "dict", "default": {}},
    "engine_disk_mb": {"type": "int", "default": 0},
    "next_disk_mb": {"type": "int", "default": 0},
    "memory_mb": {"type": "int", "default": 0},
    "engine_required": {"type": "bool", "default": True},
    "network": {"type": "str", "default": ""},
    "subnet": {"type": "str", "default": ""},
    "mtu": {"type": "int", "default": 0},
    "controller_time": {"type": "float"},
    "plone": {"type": "dict", "options": PLONE},
    "certificates": {"type": "list", "elements": "dict", "default": [], "options": FILES},
    "names": {"type": "list", "elements": "str", "default": []},
    "need_names": {"type": "list", "elements": "str", "default": []},
    "acme": {"type": "dict", "options": ACME},
    "calendars": {"type": "list", "elements": "dict", "default": [], "options": CALENDAR},
}


def requirements(given: dict[str, Any]) -> Requirements:
    """Return the module's parameters as requirements. Raises ValueError for a size that is not a whole number."""
    ports = [
        Port(port["variable"], address.strip().strip("[]"), port["port"])
        for port in given["ports"]
        for address in port["address"].split(",")
    ]
    disk_mb = {path: int(needed) for path, needed in given["disk_mb"].items()}
    plone = Upstream(**given["plone"]) if given["plone"] and given["plone"]["url"] else None
    certificates = [CertificateFiles(**files) for files in given["certificates"] or []]
    asked = {**given["acme"]} if given["acme"] else {"server": ""}
    acme = Acme(**asked) if asked.pop("server") else None
    return Requirements(
        **{**given, "ports": ports, "disk_mb": disk_mb, "plone": plone, "certificates": certificates, "acme": acme,
           "names": given["names"] or [], "calendars": [Calendar(**each) for each in given["calendars"] or []]}
    )  # fmt: skip


def result(host: Any, required: Requirements) -> dict[str, Any]:
    """Return the judgement of an observed host, as RETURN documents it."""
    found = findings(host, required)
    silent = f"a Docker Engine that does not answer yet ({host.installed.engine})"
    lacking = host.engine is None and host.installed.lacking
    engine = f"Docker Engine {host.engine}" if host.engine else "no Docker Engine yet" if lacking else silent
    return {
        "code": "host_not_ready" if found else "host_ready",
        "exit": 2 if found else 0,
        "message": " ".join(map(str, found)) or f"{host.distribution}, {engine}.",
        "next": [],
        "findings": [{"code": finding.code, "message": str(finding), "next": []} for finding in found],
        "notes": notes(host, required),
        "network": host.network is not None,
        "mtu": required.mtu or host.way_out_mtu,
        "engine": host.engine,
        "engine_lacking": lacking,
        "engine_installed": host.installed.engine,
        "engine_daemon": host.installed.daemon,
        "deployed": host.deployed,
        "foreign_directories": [each.path for each in host.foreign_directories],
        "python": host.python,
        "plone_python": host.plone_python,
        "plone_version": host.plone_version,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        required = requirements(module.params)
    except ValueError as error:
        module.fail_json(msg=f"disk_mb: {error}; give whole numbers of MB.")
    module.exit_json(changed=False, **result(observe(required), required), **install_facts())


if __name__ == "__main__":
    main()
