"""Wheels are chosen for the Python inside the image, not for the one that builds it, and only as the lock says."""

from __future__ import annotations

import hashlib
import io
import site
import tarfile
import zipfile
from pathlib import Path

import pytest

from builder import HERE, Refusal
from builder.catalogue import Image, load
from builder.wheels import Target, fetch, fetch_tools, requirements
from tests.unit.builder.small import wheel_of

OLD = Target("3.9.2", "2.31", "x86_64")
NEW = Target("3.11.2", "2.36", "x86_64")
# Given twice in the bridge's requirements.in, and what follows from it: their fixes need a later Python than 3.9.
CURRENT = {"aiohttp", "fastapi", "opentelemetry-api", "starlette", "yarl"}
PLONES = [image for image in load(on_request=True) if image.name == "plone"]
LOCK = """
# a remark
--index-url https://nowhere.invalid
exceptiongroup==1.3.1 ; python_full_version < '3.11' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cc
attrs==26.1.0 \\
    --hash=sha256:dd
"""


def pins(target: Target) -> dict[str, str]:
    """Return what the bridge's lock has for `target`."""
    return requirements((HERE / "bridge" / "requirements.txt").read_text(encoding="utf-8"), target)


def test_markers_are_asked_about_the_images_python() -> None:
    """pip itself would ask about the Python it runs on."""
    assert requirements(LOCK, OLD) == {
        "exceptiongroup": "exceptiongroup==1.3.1 --hash=sha256:aa --hash=sha256:bb",
        "attrs": "attrs==26.1.0 --hash=sha256:dd",
    }
    assert requirements(LOCK, NEW) == {"attrs": "attrs==26.1.0 --hash=sha256:dd"}


def test_the_bridge_has_the_same_pins_on_every_python_but_where_a_fix_needs_a_later_one() -> None:
    """The oldest only adds what stands in for newer modules, and keeps what has no later release for it."""
    old, new = pins(OLD), pins(NEW)
    assert {name for name in new if old.get(name) != new[name]} == CURRENT
    assert set(old) - set(new) == {"async-timeout", "exceptiongroup"}


def test_an_upgrade_between_pythons_that_get_fixes_changes_the_interpreter_and_nothing_else() -> None:
    """Their pins are the same, to the hash."""
    assert pins(Target("3.13.5", "2.41", "x86_64")) == pins(NEW)


@pytest.mark.parametrize("image", PLONES, ids=lambda image: image.short)
def test_the_lock_of_a_version_of_plone_has_that_version_and_a_hash_for_each_pin(image: Image) -> None:
    """A row that was copied without its lock would build another Plone under its name."""
    lock = (HERE / image.lock).read_text(encoding="utf-8")
    found = requirements(lock, Target(f"{image.python}.2", "2.31", "x86_64"))
    for name in ("plone", "products-cmfplone"):
        assert found[name].split()[0] == f"{name}=={image.version}"
    assert "://" not in lock


def test_a_pin_without_a_hash_is_refused() -> None:
    """Nothing enters an image that the lock does not fix by its content."""
    with pytest.raises(Refusal, match=r"'attrs==26.1.0' without a hash; renew it with ./invoke lock"):
        requirements("attrs==26.1.0\n", NEW)


def test_no_wheel_is_fetched_for_a_newer_c_library() -> None:
    """A wheel for glibc 2.32 would not load on Debian 11, which has 2.31."""
    assert OLD.platforms[0] == "manylinux_2_31_x86_64"
    assert OLD.platforms[-1] == "linux_x86_64"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A directory pip may take wheels from, with one in it, and that one's hash; there is no index."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf, wheel_of("tiny", shelf)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """The pip of this environment where the builder's own would be."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "pip.whl").symlink_to(site.getsitepackages()[0])
    return tmp_path / "tools"


def test_what_the_lock_names_is_fetched(offline: tuple[Path, str], tools: Path, tmp_path: Path) -> None:
    """The right bytes are taken, and nothing but wheels is left in the directory."""
    fetch({"tiny": f"tiny==1.0 --hash=sha256:{offline[1]}"}, NEW, (), tools, tmp_path)
    assert [path.name for path in tmp_path.glob("*.*")] == ["tiny-1.0-py3-none-any.whl"]


def test_settings_of_pip_for_other_work_change_nothing(
    offline: tuple[Path, str], tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would put packages elsewhere, or find that they contradict the builder's own."""
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "absent.txt"))
    monkeypatch.setenv("PIP_USER", "1")
    fetch({"tiny": f"tiny==1.0 --hash=sha256:{offline[1]}"}, NEW, (), tools, tmp_path)
    pins = (f"{name}==1.0 --hash=sha256:{wheel_of(name, offline[0])}\n" for name in ("pip", "setuptools"))
    (tmp_path / "lock.txt").write_text("".join(pins), encoding="utf-8")
    (tmp_path / "made").mkdir()
    fetch_tools(tmp_path / "lock.txt", tmp_path / "made")
    assert (tmp_path / "made/setuptools/setuptools.py").exists()


@pytest.mark.usefixtures("offline")
def test_other_bytes_under_the_same_name_are_refused(tools: Path, tmp_path: Path) -> None:
    """A swapped wheel stops the build, in one sentence."""
    with pytest.raises(Refusal, match=r"^The file of tiny is not the one in the lock; ") as refusal:
        fetch({"tiny": f"tiny==1.0 --hash=sha256:{'0' * 64}"}, NEW, (), tools, tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("offline")
def test_an_index_without_the_version_is_named_as_the_reason(tools: Path, tmp_path: Path) -> None:
    """pip's own words would send an operator after the wrong thing."""
    with pytest.raises(Refusal) as refusal:
        fetch({"tiny": f"tiny==2.0 --hash=sha256:{'0' * 64}"}, NEW, (), tools, tmp_path)
    assert str(refusal.value) == (
        "pip could not fetch the wheels (no index that answers has tiny==2.0 for this Python); "
        "check the network, or name your index with PIP_INDEX_URL=..."
    )


BACKEND = """
import os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{directory}/old-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("old.py", os.environ["MADE_BY"])
        archive.writestr("old-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: old\\nVersion: 1.0\\n")
        archive.writestr("old-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("old-1.0.dist-info/RECORD", "")
    return "old-1.0-py3-none-any.whl"
"""


def test_the_wheel_of_a_source_is_not_one_that_pip_made_before(
    offline: tuple[Path, str], tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip keeps the wheels it made for this user, and no hash of the lock covers those."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND, "PKG-INFO": "Metadata-Version: 2.1\nName: old\nVersion: 1.0\n",
    }  # fmt: skip
    source = offline[0] / "old-1.0.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"old-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    wanted = {"old": f"old==1.0 --hash=sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}"}
    for made_by in ("one", "another"):
        monkeypatch.setenv("MADE_BY", made_by)
        (tmp_path / made_by).mkdir()
        fetch(wanted, NEW, ("old",), tools, tmp_path / made_by)
        with zipfile.ZipFile(tmp_path / made_by / "old-1.0-py3-none-any.whl") as wheel:
            assert wheel.read("old.py").decode() == made_by
