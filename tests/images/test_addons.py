"""An institution's add-ons, one from an index and one of its own: locked, built without a network, and at work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.images import wheel
from tests.rotation import everything

CHECKOUT = Path(__file__).parents[2]
IMAGE = "eduhub-test/plone-addons"
EASYFORM = "collective.easyform==4.5.1"
HOSTS = """\
plone:
  hosts:
    campus:
      plone_image: "%s:{version}-py{python}"
      plone_addons: [%s, school.theme==1.0]
"""


def invoke(*words: str) -> str:
    """Type `./invoke` with `words`; return what it printed."""
    done = subprocess.run(
        [sys.executable, "tasks.py", *words], cwd=CHECKOUT, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """The engine; the images that the tests of this file have built on it go at the end."""
    client = docker.from_env(timeout=600)
    yield client
    for image in client.images.list(IMAGE):
        client.images.remove(image.id, force=True)
    client.close()


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inventory with add-ons and their lock."""
    folder = tmp_path_factory.mktemp("school")
    (folder / "hosts.yml").write_text(HOSTS % (IMAGE, EASYFORM))
    (folder / "plone_addons").mkdir()
    wheel.make(folder / "plone_addons", "school.theme", "collective.easyform")
    invoke("plone.lock", "--inventory", str(folder))
    return folder


# That of 3.9 stands on an image of ours that takes minutes and no other test builds.
@pytest.mark.parametrize("python", ["3.11", *(["3.9"] if everything() else [])])
def test_add_ons_are_at_work_in_a_site_of_volto(client: docker.DockerClient, inventory: Path, python: str) -> None:
    """No network is there when the image is built, nor when it runs."""
    words = ["--inventory", str(inventory), "--names", IMAGE, "--python", python]
    (built,) = json.loads(invoke("images.build", *words, "--json"))["images"][-1:]
    (again,) = json.loads(invoke("images.build", *words, "--missing", "--json"))["images"]
    assert (built["image"], again["state"], again["id"]) == (f"{IMAGE}:6.0.13-py{python}", "present", built["id"])

    found = at_work(client, built["image"], inventory)

    assert found["statuses"] == [204, 204]
    assert {"plone.volto", "collective.easyform", "school.theme"} <= set(found["installed"])
    assert found["form"] == [201, "EasyForm"]


def at_work(client: docker.DockerClient, image: str, folder: Path) -> dict[str, Any]:
    """Start `image` without a network, and return what its site answers."""
    password = folder / "password"
    password.write_text("a-password-of-tests")
    password.chmod(0o644)
    mounts = {
        str(password): {"bind": "/run/secrets/plone_admin_password", "mode": "ro"},
        str(Path(__file__).with_name("asked_addons.py")): {"bind": "/asked.py", "mode": "ro"},
    }
    container = client.containers.run(
        image, detach=True, network_mode="none", environment={"SITE": "Plone"}, volumes=mounts
    )
    try:
        code, output = container.exec_run(["python3", "/asked.py", "collective.easyform", "school.theme"])
        assert code == 0, (output.decode(), container.logs(tail=40).decode())
        return dict(json.loads(output.splitlines()[-1]))
    finally:
        container.remove(force=True, v=True)
