"""Images are taken as an allowed key signed them; any other is refused by name, and nothing is touched."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rollout.operator import CHECKOUT, NEW, OLD, STACK, Operator, answered_by, docker, folded, touched
from tests.rotation import STORY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = STORY
EDGE = f"{STACK}/edge:1"


@pytest.fixture
def nothing_signed(tmp_path: Path) -> Iterator[None]:
    """A checkout without signatures; what was signed there before is there again afterwards."""
    signed, aside = CHECKOUT / "provenance", tmp_path / "aside"
    if signed.exists():
        shutil.move(signed, aside)
    yield
    shutil.rmtree(signed, ignore_errors=True)
    if aside.exists():
        shutil.move(aside, signed)


@pytest.fixture
def own_edge() -> Iterator[str]:
    """An image of the institution's own: our edge, under its name."""
    docker("tag", "eduhub/edge:bookworm", EDGE)
    yield EDGE
    docker("rmi", "--force", EDGE)


def new_key(path: Path) -> Path:
    """Make an ssh key; return its path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)
    return path


def allow(operator: Operator, key: Path) -> None:
    """Let the inventory allow this key, and no other one."""
    (operator.inventory / "signers").write_text(f"ci@example.edu {key.with_name(f'{key.name}.pub').read_text()}")


def refused(operator: Operator, *words: str) -> str:
    """Type a line that has to be refused, with nothing touched; return what it says."""
    before = touched()
    done = operator.types(*words)
    assert (done.returncode, touched()) == (2, before)
    return folded(done.stdout)


@pytest.mark.usefixtures("nothing_signed")
def test_signed_images_are_rolled_out_and_what_was_accepted_can_be_rolled_back_to(operator, tmp_path):
    ours, theirs = new_key(tmp_path / "ours"), new_key(tmp_path / "theirs")
    asking = operator.with_variables(tmp_path / "inventory", docker_host_image_signers="signers")
    allow(asking, ours)
    said = refused(asking, "upgrade", "--python", NEW)
    wanted = ("There is no signature of eduhub/pilot:", "./invoke images.sign")
    assert [word for word in wanted if word not in said] == []

    assert asking.types("images.sign", "--sign-key", str(ours)).returncode == 0
    assert asking.types("upgrade", "--python", NEW).returncode == 0

    # Its owner has left: nothing new is taken of that key, and the host goes back to what it had accepted.
    allow(asking, theirs)
    assert "is signed by a key that docker_host_image_signers does not allow" in refused(asking, "deploy")
    assert asking.types("rollback").returncode == 0
    assert (operator.status()["python"].startswith(OLD), answered_by()) == (True, operator.status()["live"])


@pytest.mark.usefixtures("nothing_signed")
def test_an_image_that_was_changed_since_is_refused(operator, own_edge, tmp_path):
    key = new_key(tmp_path / "key")
    asking = operator.with_variables(
        tmp_path / "inventory", docker_host_image_signers="signers", edge_image=own_edge,
        docker_host_image_sign_key=str(key),
    )  # fmt: skip
    allow(asking, key)
    assert asking.types("images.sign").returncode == 0
    changed = b"FROM eduhub/edge:bookworm\nHEALTHCHECK CMD [\"/bin/true\"]\n"
    subprocess.run(["docker", "build", "--quiet", "--tag", own_edge, "-"], input=changed, check=True, timeout=120)
    said = refused(asking, "deploy", "--yes")
    wanted = (own_edge, "is not the image that ci@example.edu signed", "its health check is another one")
    assert [word for word in wanted if word not in said] == []
