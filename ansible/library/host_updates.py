#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_updates
short_description: Report which packages of a Debian host have an update, and whether it wants a reboot
version_added: "0.2.0"
author: EduHub rollout
description:
  - Asks apt what C(apt-get upgrade --with-new-pkgs) would do. Pins and holds of the host count, and nothing is removed.
  - Asks dpkg for packages that an earlier update left in the middle.
  - A host that may not be rebooted without consent is refused with the exit code 2 in the answer; the task does not fail.
  - Changes nothing but apt's own lists of packages, in check mode or without.
options:
  refresh:
    description: Whether apt reads its sources first.
    type: bool
    default: true
  reboot:
    description: Whether the host is to be rebooted where that is due, in any case, or not.
    type: str
    choices: [auto, always, never]
    default: auto
  alone:
    description: Whether no other host takes traffic.
    type: bool
    default: false
  agreed:
    description: Whether what that costs is agreed to.
    type: bool
    default: false
attributes:
  check_mode:
    description: Does the same in check mode, and lists all packages.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
requirements:
  - Debian on the host
"""

EXAMPLES = r"""
- name: Look which updates there are
  host_updates:
    reboot: auto
    alone: true
  register: found

- name: Update
  ansible.builtin.command:
    argv: [apt-get, --yes, --with-new-pkgs, upgrade]
  changed_when: true
  when: found.updates | length > 0
"""

RETURN = r"""
code:
  description: V(updates_found), V(updates_none), V(updates_unknown), V(not_debian) or V(consent_missing).
  returned: success
  type: str
  sample: updates_found
exit:
  description: The exit code that the answer stands for. V(0), or V(2) where the host must not be touched.
  returned: success
  type: int
  sample: 0
next:
  description: Next commands, as argument lists.
  returned: success
  type: list
  elements: list
  sample: []
message:
  description: What there is to do, or why it is refused.
  returned: success
  type: str
  sample: "1 update (1 of security): openssl 3.0.14-1~deb12u1 -> 3.0.15-1~deb12u1."
findings:
  description: Always empty.
  returned: success
  type: list
  elements: dict
  sample: []
notes:
  description: In check mode, what needs consent.
  returned: when nothing is refused
  type: list
  elements: str
  sample: []
updates:
  description: Each package with C(name), C(old) (null for a new one), C(new), and whether it is of C(security).
  returned: when nothing is refused
  type: list
  elements: dict
  sample: [{name: openssl, old: 3.0.14-1~deb12u1, new: 3.0.15-1~deb12u1, security: true}]
kept_back:
  description: Packages that apt keeps back.
  returned: when nothing is refused
  type: list
  elements: str
  sample: []
unfinished:
  description: Packages that an earlier update left in the middle, as one that was killed does.
  returned: when nothing is refused
  type: list
  elements: str
  sample: []
reboot_reasons:
  description: Why a reboot is due.
  returned: when nothing is refused
  type: list
  elements: str
  sample: ["/run/reboot-required is there, for dbus"]
reboots:
  description: Whether the host is to be rebooted as it is now.
  returned: when nothing is refused
  type: bool
  sample: false
patch:
  description: The same, for the answer of the run; its C(ended) becomes true with the pilot's answer.
  returned: when nothing is refused
  type: dict
  sample: {updates: [], kept_back: [], reboot_reasons: [], unfinished: [], work: false, ended: false}
work:
  description: Whether there is anything to do.
  returned: success
  type: bool
  sample: true
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.host_updates import Asked, Seen, judged, kept_back, unfinished, updates

ARGUMENTS = {
    "refresh": {"type": "bool", "default": True},
    "reboot": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "alone": {"type": "bool", "default": False},
    "agreed": {"type": "bool", "default": False},
}
# A source that cannot be read is an error here: an update that is missed is worse than one that is late.
REFRESH = ["apt-get", "--quiet=2", "--option", "APT::Update::Error-Mode=any", "--option", "Acquire::Retries=2", "update"]
SIMULATE = ["apt-get", "--simulate", "--option", "Debug::NoLocking=true", "--with-new-pkgs", "upgrade"]
KERNELS = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status} ${Version}\n", "linux-image-*"]
STATES = ["dpkg-query", "--show", "--showformat", "${binary:Package} ${db:Status-Status}\n"]
REQUIRED = Path("/run/reboot-required")


def text(path: Path) -> str:
    """Return a file's text, nothing for one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def kernels(listed: str) -> dict[str, str]:
    """Return the version of each installed kernel's package by its release; packages that only name others have none.

    `listed`: lines of package, state and version, as dpkg-query gives them.
    """
    found = (line.split() for line in listed.splitlines())
    installed = {words[0]: words[2] for words in found if len(words) == 3 and words[1] == "installed"}
    named = {name[len("linux-image-") :]: version for name, version in installed.items()}
    return {release: version for release, version in named.items() if release[:1].isdigit()}


def observe(module: Any, *, refresh: bool) -> Seen:
    """Return the host as it is; its `trouble` names a program that failed."""
    release = dict(line.partition("=")[::2] for line in text(Path("/etc/os-release")).splitlines())
    name, debian = release.get("PRETTY_NAME", "no Debian").strip('"'), release.get("ID", "").strip('"') == "debian"
    if not debian:
        return Seen(name, debian)
    environment = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    for words in ([REFRESH] if refresh else []) + [SIMULATE]:
        code, out, error = module.run_command(words, environ_update=environment)
        if code:
            return Seen(name, debian, trouble=" ".join((error or out).split())[-500:])
    system, asks = os.uname(), text(REQUIRED.with_suffix(".pkgs")).split()
    # An engine that does not answer keeps nothing running.
    kept = module.run_command(["docker", "info", "--format", "{{.LiveRestoreEnabled}}"])[1].strip() == "true"
    return Seen(
        name, debian, updates(out), kept_back(out), running=system.release, built=system.version,
        kernels=kernels(module.run_command(KERNELS)[1]), asks=sorted(set(asks)) if REQUIRED.exists() else None,
        live_restore=kept, unfinished=unfinished(module.run_command(STATES)[1]),
    )  # fmt: skip


def main() -> None:
    """Observe and judge."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    asked = Asked(given["reboot"], given["alone"], given["agreed"], module.check_mode)
    module.exit_json(changed=False, **judged(observe(module, refresh=given["refresh"]), asked))


if __name__ == "__main__":
    main()
