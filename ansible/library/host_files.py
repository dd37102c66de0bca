#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Make directories, and files that are written once, in one run
version_added: "0.1.0"
author: EduHub rollout
description:
  - Makes directories and files with their owner, group and mode.
  - A file that exists keeps its content; owner, group and mode are corrected.
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
        description: What a file that is missing gets. It is never returned.
        type: str
        required: true
attributes:
  check_mode:
    description: Reports what would change, and changes nothing.
    support: full
  diff_mode:
    description: RV(paths) names what changed; contents are not shown, since they may be secrets.
    support: none
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
CONTENT = {"content": {"type": "str", "required": True}}
ARGUMENTS = {
    "directories": {"type": "list", "elements": "dict", "default": [], "options": OWNED},
    "files": {"type": "list", "elements": "dict", "default": [], "options": {**OWNED, **CONTENT}},
}


def made(module: Any, item: dict[str, Any]) -> bool:
    """Make one directory, or one file where `item` has content; return whether anything changed or would change."""
    path = Path(item["path"]).resolve()  # a directory may be a link to a larger disk
    content = item.get("content")
    missing = not path.exists()
    if not missing and path.is_dir() != (content is None):
        kind = "directory" if content is None else "file"
        module.fail_json(msg=f"{path} exists and is no {kind}: move it away.")
    if missing and module.check_mode:
        return True
    if missing and content is None:
        path.mkdir(0o700)
    elif missing and content is not None:
        write_new(path, content)
    owned = {name: item[name] for name in ("owner", "group", "mode")}
    attributes = module.load_file_common_arguments({**owned, "path": str(path)})
    return bool(module.set_fs_attributes_if_different(attributes, missing))


def write_new(path: Path, content: str) -> None:
    """Write a file that did not exist, readable by root alone until it has its owner and mode, or leave none."""
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def main() -> None:
    """Make everything, in order; a path that cannot be made fails the task by its name."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    paths = []
    for item in [*module.params["directories"], *module.params["files"]]:
        try:
            if made(module, item):
                paths.append(item["path"])
        except OSError as error:
            module.fail_json(msg=f"{item['path']} cannot be made: {error.strerror}.")
    module.exit_json(changed=bool(paths), paths=paths)


if __name__ == "__main__":
    main()
