#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Make directories and files in one run
version_added: "0.1.0"
author: EduHub rollout
description:
  - Makes directories and files with their owner, group and mode.
  - A file that exists keeps its content unless it is to be replaced; owner, group and mode are corrected.
  - Does in one run what M(ansible.builtin.file) and M(ansible.builtin.copy) do in one run for each path.
options:
  directories:
    description: Directories, parents before what is below them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Name or number of the owner.
        type: str
        required: true
      group:
        description: Name or number of the group.
        type: str
        required: true
      mode:
        description: Mode as an octal number.
        type: str
        required: true
  files:
    description: Files, made after the directories.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Name or number of the owner.
        type: str
        required: true
      group:
        description: Name or number of the group.
        type: str
        required: true
      mode:
        description: Mode as an octal number.
        type: str
        required: true
      content:
        description: What a file that is missing gets. It is returned, as a diff, only where it replaces another.
        type: str
        required: true
      replace:
        description: Whether a file with other content gets this one.
        type: bool
        default: false
      validate:
        description: Command that must succeed before content is taken; C(%s) in it stands for a file with that content.
        type: list
        elements: str
        default: []
attributes:
  check_mode:
    description: Reports what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shown for files that are replaced; the others may be secrets.
    support: partial
requirements:
  - Python 3.9 or newer on the host
"""

EXAMPLES = r"""
- name: Make a directory for secrets and a password in it
  host_files:
    directories:
      - {path: /etc/eduhub/secrets, owner: root, group: "500", mode: "0750"}
    files:
      - {path: /etc/eduhub/secrets/password, owner: root, group: "500", mode: "0440", content: "{{ password }}"}

- name: Configure HAProxy
  host_files:
    files:
      - path: /etc/eduhub/edge/haproxy.cfg
        content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
        replace: true
        validate: [haproxy, -c, -f, "%s"]
        owner: root
        group: root
        mode: "0644"
"""

RETURN = r"""
paths:
  description: Paths that were made or corrected, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/eduhub/secrets]
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types

OWNED = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "mode": {"type": "str", "required": True},
}
CONTENT = {
    "content": {"type": "str", "required": True},
    "replace": {"type": "bool", "default": False},
    "validate": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS = {
    "directories": {"type": "list", "elements": "dict", "default": [], "options": OWNED},
    "files": {"type": "list", "elements": "dict", "default": [], "options": {**OWNED, **CONTENT}},
}


class Maker:
    """Makes what the module is told to, and remembers what changed, or would change."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.paths: list[str] = []
        self.diff: list[dict[str, str]] = []

    def make(self, item: dict[str, Any]) -> None:
        """Make one directory, or one file where `item` has content."""
        path = Path(item["path"]).resolve()  # a directory may be a link to a larger disk
        content = item.get("content")
        missing = not path.exists()
        if not missing and path.is_dir() != (content is None):
            kind = "directory" if content is None else "file"
            self.module.fail_json(msg=f"{path} exists and is no {kind}: move it away.")
        written = missing or self._is_to_be_replaced(path, item)
        if written and not self.module.check_mode:
            if content is None:
                path.mkdir(0o700)
            else:
                self._write(path, content, item["validate"])
        if (missing and self.module.check_mode) or self._own(path, item, written):
            self.paths.append(item["path"])

    def _is_to_be_replaced(self, path: Path, item: dict[str, Any]) -> bool:
        """Return whether the file is there with other content, and note how that differs."""
        if not item.get("replace"):
            return False
        before = path.read_text(encoding="utf-8", errors="replace")
        if before == item["content"]:
            return False
        headers = {"before_header": item["path"], "after_header": item["path"]}
        self.diff.append({"before": before, "after": item["content"], **headers})
        return True

    def _write(self, path: Path, content: str, validate: list[str]) -> None:
        """Write a file anew, readable by root alone until it has its owner and mode; without all of it, leave it."""
        temporary = path.with_name(f"{path.name}.new")
        with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if validate:
            code, out, error = self.module.run_command([word.replace("%s", str(temporary)) for word in validate])
            if code:
                temporary.unlink()
                self.module.fail_json(msg=f"{path} stays as it is: {(error or out).strip()}")
        temporary.rename(path)

    def _own(self, path: Path, item: dict[str, Any], changed: bool) -> bool:
        """Give the path its owner, group and mode; return whether that, or what was `changed` before, is a change."""
        owned = {name: item[name] for name in ("owner", "group", "mode")}
        attributes = self.module.load_file_common_arguments({**owned, "path": str(path)})
        return bool(self.module.set_fs_attributes_if_different(attributes, changed))


def main() -> None:
    """Make everything, in order; a path that cannot be made fails the task by its name."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    maker = Maker(module)
    for item in [*module.params["directories"], *module.params["files"]]:
        try:
            maker.make(item)
        except OSError as error:
            module.fail_json(msg=f"{item['path']} cannot be made: {error.strerror}.")
    module.exit_json(changed=bool(maker.paths), paths=maker.paths, diff=maker.diff)


if __name__ == "__main__":
    main()
