"""The pilot, which decides on a host, and the control machine, which sends images there, call an image the same."""

from __future__ import annotations

import pytest

from eduhub_pilot.adapters.identity import CONFIGURED, identity
from module_utils import image_layers

IMAGE = {
    "Id": "sha256:1", "Created": "2026-11-29T19:37:22.12Z",
    "RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]},
    "Config": {
        "User": "10001", "Env": ["PATH=/usr/bin"], "Cmd": None, "Entrypoint": ["python3"], "Labels": {"a": "b"},
        "ExposedPorts": {"1/tcp": {}}, "WorkingDir": "/srv", "StopSignal": "SIGTERM", "Hostname": "x",
    },
}  # fmt: skip
BARE = {"Id": "sha256:1", "RootFS": {"Type": "layers"}}


@pytest.mark.parametrize(
    "image", [IMAGE, BARE, {**IMAGE, "Created": "0001-01-01T00:00:00Z"}, {**BARE, "Config": None, "Created": None}]
)
def test_an_image_has_one_identity(image):
    assert identity(image) == image_layers.described(image)["identity"]


def test_what_counts_of_a_configuration_is_the_same():
    assert CONFIGURED == image_layers.CONFIGURED
