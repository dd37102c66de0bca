#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: image_signatures
short_description: Check that images are those that an allowed signer signed
version_added: "0.2.0"
author: EduHub rollout
description:
  - Compares images, as the module M(host_images) described them, with signed statements about them.
  - What is compared is the content that an engine has, its layers and its configuration; no label of an image is believed.
  - Reads statements, signatures and allowed signers from files, or takes what it returned on the machine that has them.
options:
  images:
    description: The C(images) that the module M(host_images) returned.
    type: dict
    required: true
  checkout:
    description: Directory below which statements and signatures are, in C(provenance) or C(kit/provenance).
    type: path
  allowed:
    description: File of allowed signers, as in ALLOWED SIGNERS of ssh-keygen's manual.
    type: path
  archive:
    description:
      - Archive on this machine that C(docker load) is to load.
      - Those of the C(images) that it holds are judged as they are in it; others are left out.
    type: path
  signed:
    description: The C(signed) that this module returned on the machine with the files.
    type: dict
attributes:
  check_mode:
    description: It changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
requirements:
  - Python 3.9 or newer and ssh-keygen on the machine
"""

EXAMPLES = r"""
- name: Check the images of this machine
  image_signatures:
    images: "{{ here.images }}"
    checkout: /srv/rollout
    allowed: /srv/rollout/inventories/hub/allowed_signers
  delegate_to: localhost
  register: checked

- name: Check what the host is to load
  image_signatures:
    images: "{{ here.images }}"
    archive: /var/tmp/images.tar.gz
    signed: "{{ checked.signed }}"

- name: Check what the host's engine has
  image_signatures:
    images: "{{ there.images }}"
    signed: "{{ checked.signed }}"
"""

RETURN = r"""
signed:
  description: The text of the C(allowed) signers, and by image the C(file), C(statement) and C(signature).
  returned: success
  type: dict
signers:
  description: Who signed each image that is the signed one, by its name.
  returned: success
  type: dict
  sample: {"eduhub/edge:bookworm": "ci@example.edu"}
unsigned:
  description: Names of the images that have no statement, or a statement without a signature.
  returned: success
  type: list
  elements: str
refused:
  description: A sentence for each other image that is not the one that an allowed signer signed.
  returned: success
  type: list
  elements: str
"""

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # has no types
from ansible.module_utils.image_layers import described_in
from ansible.module_utils.image_signatures import UnreadableError, judged, read

ARGUMENTS = {
    "images": {"type": "dict", "required": True},
    "checkout": {"type": "path"},
    "allowed": {"type": "path"},
    "archive": {"type": "path"},
    "signed": {"type": "dict"},
}


def main() -> None:
    """Find the papers, and judge each image by its own."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, required_together=[("checkout", "allowed")],
        required_one_of=[("signed", "checkout")], mutually_exclusive=[("signed", "checkout")],
    )  # fmt: skip
    images, signed = module.params["images"], module.params["signed"] or read_files(module)
    if module.params["archive"]:
        with tarfile.open(module.params["archive"]) as archive:
            images = described_in(archive, images)
    with tempfile.TemporaryDirectory() as folder:
        allowed = Path(folder, "allowed")
        allowed.write_text(signed["allowed"], encoding="utf-8")
        verdicts = {
            name: judged(name, image, signed["papers"][name], allowed)
            for name, image in images.items()
            if name in signed["papers"]
        }
    module.exit_json(
        changed=False, signed=signed, signers={name: who for name, (who, against) in verdicts.items() if not against},
        unsigned=[name for name in images if name not in signed["papers"]],
        refused=[against for _, against in verdicts.values() if against],
    )  # fmt: skip


def read_files(module: Any) -> dict[str, Any]:
    """Return the allowed signers and the papers of the images. End the module where some cannot be read."""
    try:
        allowed = Path(module.params["allowed"]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(
            msg=f"The allowed signers in {module.params['allowed']} cannot be read "
            f"({getattr(error, 'strerror', None) or 'no text'}): correct docker_host_image_signers in the inventory."
        )
    try:
        papers = read(Path(module.params["checkout"]), module.params["images"])
    except UnreadableError as error:
        module.fail_json(msg=str(error))
    return {"allowed": allowed, "papers": papers}


if __name__ == "__main__":
    main()
