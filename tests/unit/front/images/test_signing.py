"""The key that signs images is one, and named by the inventory or by who types images.sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from front.arguments.refusal import RefusalError
from front.images import signing
from front.inventory.loader import Target

DEFAULTS = {"docker_host_image_sign_key": ""}


def hosts(*keys: str) -> list[Target]:
    """A host for each of `keys`; "" for one that sets none."""
    return [Target(f"h{n}", {"docker_host_image_sign_key": key} if key else {}) for n, key in enumerate(keys)]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("", ""),
        ("/srv/key", "/srv/key"),
        ("ci.pub", "/srv/hub/ci.pub"),
        ("~/.ssh/id.pub", f"{Path.home()}/.ssh/id.pub"),
    ],
)
def test_a_key_is_found_beside_the_inventory_or_at_home(key, path):
    assert signing.key_of(hosts(key, key), DEFAULTS, Path("/srv/hub/hosts.yml")) == path


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a", "b"], "Hosts differ in docker_host_image_sign_key, which is 'a' and 'b': "),
        (["a", ""], "Hosts differ in docker_host_image_sign_key, which is 'a' and '': "),
        (["{{ key }}"], "docker_host_image_sign_key is a template, "),
    ],
)
def test_a_key_that_is_not_one_is_refused(keys, said):
    with pytest.raises(RefusalError) as refusal:
        signing.key_of(hosts(*keys), DEFAULTS, Path("/srv"))
    assert refusal.value.messages[0].startswith(said)


def test_images_that_were_named_are_signed_or_those_that_hosts_need():
    needed = ["eduhub/pilot:py3.11", "eduhub/edge:bookworm"]
    assert signing.asked("", "", "/k", needed) == ["--sign-key", "/k", "--tags", *needed]
    assert signing.asked("edge,hub/own:1", "/typed", "/k", needed) == ["--sign-key", "/typed", "edge", "hub/own:1"]


def test_without_a_key_nothing_is_signed():
    with pytest.raises(RefusalError) as refusal:
        signing.asked("edge", "", "", [])
    assert refusal.value.messages[0].startswith("No key signs images here: name one with --sign-key, ")
