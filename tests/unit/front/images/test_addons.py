"""Add-ons of hosts are handed to the image builder, or refused where no image can be made of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from front.arguments.refusal import RefusalError
from front.images import addons
from front.inventory.loader import Target

CHECKOUT = Path(__file__).resolve().parents[4]
DEFAULTS = {
    "plone_addons": [], "plone_addon_constraints": [], "plone_addon_sdists": [], "plone_url": "",
    "plone_image": "eduhub/plone:{version}-py{python}", "plone_version": "6", "plone_python": "3.11",
}  # fmt: skip
KNOWN = {"6": ["3.9", "3.11"], "7": ["3.13"]}
IMAGE = "school/plone:{version}-py{python}"
SCHOOL = {"plone_addons": ["collective.easyform==4.5.1"], "plone_image": IMAGE}


def of(*variables, path=Path("/inventories/school/hosts.yml")):
    """Return the rows of hosts a, b, ... that set `variables`."""
    hosts = [Target(name, each) for name, each in zip("abc", variables, strict=False)]
    return addons.of(hosts, DEFAULTS, KNOWN, "school", path)


def test_hosts_of_one_image_are_one_row_with_each_version_and_python_once():
    older = {**SCHOOL, "plone_python": "3.9"}
    assert of(SCHOOL, older, SCHOOL) == [{
        "image": IMAGE, "requirements": ["collective.easyform==4.5.1"], "constraints": [], "sdists": [],
        "hosts": [["6", "3.11"], ["6", "3.9"]], "inventory": "school",
        "directory": "/inventories/school/plone_addons",
    }]  # fmt: skip


def test_the_folder_of_an_inventory_that_is_a_folder_is_in_it(tmp_path):
    (row,) = of(SCHOOL, path=tmp_path)
    assert row["directory"] == str(tmp_path / "plone_addons")


def test_each_image_is_a_row_and_a_host_without_add_ons_none():
    other = {**SCHOOL, "plone_image": "campus:5000/b/plone:{version}-{python}"}
    rows = of(SCHOOL, other, {})
    assert [row["image"] for row in rows] == [IMAGE, other["plone_image"]]


def test_a_host_with_a_plone_of_its_own_may_see_the_image_of_others():
    assert len(of(SCHOOL, {"plone_image": IMAGE, "plone_url": "https://cms.example.edu/Plone"})) == 1


def test_an_image_with_add_ons_does_not_stay_in_service_without_them(tmp_path):
    """Emptied plone_addons beside the same plone_image are a mistake, or the image is made elsewhere now."""
    emptied, other = {"plone_image": IMAGE}, {"plone_image": "school/plone-dev:{version}-py{python}"}
    (tmp_path / "plone_addons").mkdir()
    lock = tmp_path / "plone_addons/school-plone-6.txt"
    lock.touch()
    with pytest.raises(RefusalError) as refusal:
        of({}, emptied, path=tmp_path)
    assert refusal.value.messages[0] == (
        f"b has no plone_addons, and its plone_image is {IMAGE}, which was built with those in {lock}: remove "
        "plone_image from the inventory to have our Plone, or the lock if you make that image yourself."
    )
    assert of({}, other, {**emptied, "plone_url": "https://cms.example.edu/Plone"}, path=tmp_path) == []
    lock.rename(tmp_path / "plone_addons/school-plone-dev-6.txt")
    assert of(emptied, path=tmp_path) == []


NAME_ONE = "name an image of your own, with both placeholders in its tag, as in school/plone:{version}-py{python}."


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            [{"plone_addons": SCHOOL["plone_addons"]}],
            f"a has plone_addons, and its plone_image is eduhub/plone:{{version}}-py{{python}}: {NAME_ONE}",
        ),
        (
            [{**SCHOOL, "plone_image": "school/plone:{version}"}],
            f"a has plone_addons, and its plone_image is school/plone:{{version}}: {NAME_ONE}",
        ),
        (
            [{**SCHOOL, "plone_image": "plone:{version}-py{python}"}],
            f"a has plone_addons, and its plone_image is plone:{{version}}-py{{python}}: {NAME_ONE}",
        ),
        (
            [{**SCHOOL, "plone_image": "School/plone:{version}-py{python}"}],
            f"a has plone_addons, and its plone_image is School/plone:{{version}}-py{{python}}: {NAME_ONE}",
        ),
        (
            [{**SCHOOL, "plone_url": "https://cms.example.edu/Plone"}],
            (
                "a has plone_addons, and with plone_url a Plone that is not ours: install them there, and remove "
                "plone_addons."
            ),
        ),
        (
            [{**SCHOOL, "plone_addons": "{{ common + ['school.theme'] }}"}],
            "plone_addons of a is a template, and images are made before hosts are asked: write it out.",
        ),
        (
            [SCHOOL, {**SCHOOL, "plone_addons": ["school.theme"]}],
            (
                "a and b have one image, school/plone, and differ in plone_addons: give them the same, or each a "
                "plone_image of its own."
            ),
        ),
        (
            [{"plone_image": IMAGE}, SCHOOL],
            (
                "a and b have one image, school/plone, and differ in plone_addons: give them the same, or each a "
                "plone_image of its own."
            ),
        ),
        (
            [SCHOOL, {**SCHOOL, "plone_addon_constraints": ["x<2"]}],
            (
                "a and b have one image, school/plone, and differ in plone_addon_constraints: give them the same, or "
                "each a plone_image of its own."
            ),
        ),
        (
            [{**SCHOOL, "plone_version": "7"}],
            (
                "a has Plone 7 on Python 3.11, and it is built as 6 for 3.9, 3.11; 7 for 3.13: correct plone_version "
                "or plone_python."
            ),
        ),
    ],
)
def test_add_ons_of_which_no_image_can_be_made_are_refused(variables, message):
    with pytest.raises(RefusalError) as refusal:
        of(*variables)
    assert refusal.value.messages == (message,)


def test_what_stands_beside_hosts_is_no_inventory(tmp_path):
    """Ansible would try to read each file of a folder, and fail for one that it cannot read."""
    (tmp_path / "plone_addons").mkdir()
    (tmp_path / "plone_addons/school_theme-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04")
    (tmp_path / "campus-ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "allowed_signers").write_text("ci@example.edu ssh-ed25519 AAAA\n")
    (tmp_path / "hosts.yml").write_text("bridge:\n  hosts:\n    a:\n")
    done = subprocess.run(
        [sys.executable, "-m", "front", "plone.lock", "--inventory", str(tmp_path)],
        cwd=CHECKOUT / "ansible", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        f"invoke: The inventory {tmp_path} sets no plone_addons: name there what its Plone needs beside ours.\n",
    )
