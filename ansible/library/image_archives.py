#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: image_archives
short_description: Write archives with the images and layers that hosts lack
version_added: "0.1.0"
author: EduHub rollout
description:
  - Exports images from this machine's Docker Engine once, and writes an archive for C(docker load) from them.
  - An archive holds the layers that a host lacks, compressed by gzip, which every engine reads.
  - Hosts that lack the same share one archive.
  - The archives are in a new directory, which the caller removes.
options:
  hosts:
    description:
      - What each host lacks, by its name, as the module M(host_images) returned it there.
    type: dict
    required: true
  whole:
    description: Whether all layers of those images are sent, whatever a host has.
    type: bool
    default: false
attributes:
  check_mode:
    description: The archives are written all the same, since a plan tells their sizes; no host is touched.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
requirements:
  - Python 3.9 or newer and the Docker client on this machine
"""

EXAMPLES = r"""
- name: Write what the hosts lack
  image_archives:
    hosts:
      h1: "{{ hostvars.h1.found.lacking }}"
  delegate_to: localhost
  run_once: true
  register: archives
"""

RETURN = r"""
directory:
  description: The directory of the archives.
  returned: success
  type: path
  sample: /tmp/eduhub-images-x
archives:
  description: By host, the C(path) of its archive, its C(bytes), and by the C(images) in it the C(bytes) that each adds.
  returned: success
  type: dict
  sample: {"h1": {"path": "/tmp/eduhub-images-x/1.tar.gz", "bytes": 412345, "images": {"eduhub/bridge:py3.11": {"bytes": 412345}}}}
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.image_layers import write

ARGUMENTS = {
    "hosts": {"type": "dict", "required": True},
    "whole": {"type": "bool", "default": False},
}


def main() -> None:
    """Export, and write an archive for each host; without an archive for each, leave nothing behind."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    hosts = {name: lacking for name, lacking in module.params["hosts"].items() if lacking}
    directory = Path(mkdtemp(prefix="eduhub-images-"))
    try:
        archives = write_all(module, hosts, directory)
    except BaseException:
        shutil.rmtree(directory)
        raise
    module.exit_json(changed=False, directory=str(directory), archives=archives)


def write_all(module: Any, hosts: Mapping[str, Any], directory: Path) -> dict[str, dict[str, Any]]:
    """Return the archive of each host in `directory`. End the module where the images cannot be exported."""
    exported, whole = directory / "all.tar", module.params["whole"]
    images = sorted({name for lacking in hosts.values() for name in lacking})
    if not images:
        return {}
    code, _, error = module.run_command(["docker", "image", "save", "--output", str(exported), *images])
    if code:
        module.fail_json(msg=f"The images cannot be exported from this machine: {error.strip()}")
    written: dict[str, dict[str, Any]] = {}
    archives = {}
    for host, lacking in hosts.items():
        key = json.dumps(lacking)
        if key not in written:
            path = directory / f"{len(written)}.tar.gz"
            try:
                adds = write(exported, lacking, path, whole)
            except KeyError:
                module.fail_json(msg="An image was built again meanwhile. Run the command again.")
            except OSError as error:
                module.fail_json(
                    msg=f"The images cannot be written below {directory.parent} ({error.strerror}): set TMPDIR to a "
                    "directory with more space."
                )
            written[key] = {"path": str(path), "bytes": path.stat().st_size, "images": adds}
        archives[host] = written[key]
    exported.unlink()
    return archives


if __name__ == "__main__":
    main()
