"""Renders a role's template as Ansible would, without playing anything: defaults, the playbooks' wiring, role vars."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader([])  # what ansible-playbook does as it starts: lookups are found by it

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
ROLES = ("docker_host", "edge", "bridge", "plone", "pilot", "release", "front")


def variables(**given: Any) -> dict[str, Any]:
    """Return what a host's templates see, with `given` set in its inventory; nothing is rendered yet."""
    roles = [ANSIBLE / "roles" / role for role in ROLES]
    seen: dict[str, Any] = {"inventory_hostname": "here", "playbook_dir": str(ANSIBLE / "playbooks")}
    seen |= {"groups": {}, "hostvars": {}}
    for layer in ("defaults/main.yml", None, "vars/main.yml"):
        seen |= _read(ANSIBLE / "playbooks/group_vars/all.yml") if layer is None else {}
        for role in roles if layer else []:
            seen |= _read(role / layer)
        seen |= given if layer == "defaults/main.yml" else {}
    return seen


@cache  # its constants, with their tags: half of the time of a test of the wiring if each reads them
def _read(path: Path) -> dict[str, Any]:
    """Return a file's variables, of which nobody may change any; none where there is no file."""
    return DataLoader().load_from_file(str(path), trusted_as_template=True) if path.exists() else {}


def render(role: str, template: str, **given: Any) -> str:
    """Return the text of a role's template on a host whose inventory sets `given`."""
    text = (ANSIBLE / "roles" / role / "templates" / template).read_text()
    loader = DataLoader()
    loader.set_basedir(str(ANSIBLE / "roles" / role / "templates"))  # where it includes others from
    said = Templar(loader=loader, variables=variables(ansible_managed="by Ansible", **given))
    return str(said.template(trust_as_template(text)))


def value(name: str, **given: Any) -> Any:
    """Return a variable's value on a host whose inventory sets `given`."""
    return Templar(loader=DataLoader(), variables=variables(**given)).template(trust_as_template(f"{{{{ {name} }}}}"))
