#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_images
short_description: Describe images on a machine's Docker Engine, and load those that it lacks
version_added: "0.1.0"
author: EduHub rollout
description:
  - Describes images by what is the same on every engine; an image's id is not, with containerd's image store.
  - Compares them with the images of another machine, and says which layers are lacking here.
  - Fails where an image that is lacking is for another processor architecture than the engine's.
  - Loads an archive first, if one is given, and fails if images are lacking afterwards.
  - With containerd's image store, an image that another one takes its name from keeps one, with C(-before) at its end,
    and has its own again where the load fails.
options:
  names:
    description: Names of the images.
    type: list
    elements: str
    required: true
  wanted:
    description: The C(images) that this module returned on the machine that has them all.
    type: dict
    default: {}
  archive:
    description: Archive on this machine that the engine loads first. It is removed, whatever comes of it.
    type: path
attributes:
  check_mode:
    description: Describes and compares, and loads nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
requirements:
  - Python 3.9 or newer and the Docker client on the machine
"""

EXAMPLES = r"""
- name: Describe the image of this machine
  host_images:
    names: [eduhub/edge:bookworm]
  delegate_to: localhost
  register: here

- name: Ask the host which of its layers it lacks
  host_images:
    names: [eduhub/edge:bookworm]
    wanted: "{{ here.images }}"
"""

RETURN = r"""
images:
  description: The images that are there, by name, with C(id), C(identity), C(layers), C(python)
    C(healthcheck) and C(architecture), as amd64.
  returned: success
  type: dict
absent:
  description: Names of the images that are not there.
  returned: success
  type: list
  elements: str
  sample: [eduhub/edge:bookworm]
present:
  description: Wanted images that are there, by name, with their C(id) here, and C(bytes) 0 since nothing of them is sent.
  returned: success
  type: dict
  sample: {"eduhub/edge:bookworm": {"id": "sha256:c687", "bytes": 0}}
lacking:
  description:
    - Wanted images that are not there, or are others, by name, with C(identity) and C(layers).
    - C(missing) are those of the layers that have to be sent.
  returned: success
  type: dict
  sample: {"eduhub/edge:bookworm": {"identity": "5f1e", "layers": ["sha256:01a7", "sha256:3997"], "missing": ["sha256:3997"]}}
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.host_readiness.engine import containerd_store
from ansible.module_utils.image_layers import BEFORE, NOT_UNPACKED, described, lacking

ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "required": True},
    "wanted": {"type": "dict", "default": {}},
    "archive": {"type": "path"},
}
ALL = ["image", "ls", "--all", "--quiet", "--no-trunc"]


class Engine:
    """This machine's engine, asked with its client. A client that fails ends the module with what it said."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def run(self, *words: str) -> str:
        """Run the client; return what it printed."""
        code, out, error = self._module.run_command(["docker", *words])
        if code:
            self._module.fail_json(msg=error.strip() or out.strip())
        return str(out)

    def keeps_in_containerd(self) -> bool:
        """Whether the engine keeps its images in containerd."""
        return bool(containerd_store(json.loads(self.run("info", "--format", "{{json .}}"))))

    def refuse_others(self, wanted: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
        """End the module where one of the images `names` is for another architecture: its program would not start."""
        here = self.run("version", "--format", "{{.Server.Arch}}").strip()
        for name in names:
            there = wanted[name].get("architecture")
            if there and here and there != here:
                self._module.fail_json(
                    msg=f"The image {name} is for the architecture {there}, and this host is {here}: build the images "
                    f"on a machine of the architecture {here} (./invoke images.build), and type this command there."
                )

    def load(self, archive: Path, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        """Load an archive with those of the images `wanted` that are lacking, and remove it.

        containerd's image store gives an image its name before it has unpacked it, and before engine 28.1 forgets the
        image that had the name, though a container runs on it: no other one could be started from that image.
        """
        try:
            keeps = bool(wanted) and self.keeps_in_containerd()
            before = self.images(list(wanted)) if keeps else {}
            names = lacking(wanted, before, ()) if keeps else {}
            for name in before.keys() & names:
                self.run("image", "tag", before[name]["id"], f"{name}{BEFORE}")
            code, out, error = self._module.run_command(["docker", "image", "load", "--quiet", "--input", str(archive)])
        finally:
            archive.unlink()
        unpacked = NOT_UNPACKED.search(out)
        if not code and not unpacked:
            return
        for name in names:
            undo = ["tag", before[name]["id"], name] if name in before else ["rm", name]
            self._module.run_command(["docker", "image", *undo])
        self._module.fail_json(msg=unpacked[0] if unpacked else error.strip() or out.strip())

    def images(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the descriptions of those of the images `names` that are there."""
        code, out, error = self._module.run_command(["docker", "image", "inspect", *names])
        if code and "no such image" not in error.lower():
            self._module.fail_json(msg=error.strip())
        if code and len(names) > 1:  # the answer does not say whose names those are that it has
            return {key: image for name in names for key, image in self.images([name]).items()}
        return dict(zip(names, map(described, json.loads(out)))) if not code else {}

    def layers(self) -> list[list[str]]:
        """Return the layers of every image whose layers need not be sent again."""
        if self.keeps_in_containerd():
            return []
        ids = sorted(set(self.run(*ALL).split()))
        # One that is removed meanwhile is an error beside the answer about the others.
        told = self._module.run_command(["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", *ids])[1]
        return [json.loads(line) or [] for line in told.splitlines()]


def main() -> None:
    """Load, describe, compare."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    engine, names, wanted = Engine(module), module.params["names"], module.params["wanted"]
    loads = module.params["archive"] is not None and not module.check_mode
    if loads:
        engine.load(Path(module.params["archive"]), wanted)
    images = engine.images(names)
    found = lacking(wanted, images, ())
    if found and not loads:
        engine.refuse_others(wanted, list(found))
    if found and loads:
        module.fail_json(msg=f"The engine loaded the archive and does not have {', '.join(found)}.")
    if found:
        found = lacking(wanted, images, engine.layers())
    absent = [name for name in names if name not in images]
    present = {name: {"id": images[name]["id"], "bytes": 0} for name in wanted if name not in found}
    module.exit_json(changed=loads, images=images, absent=absent, present=present, lacking=found)


if __name__ == "__main__":
    main()
