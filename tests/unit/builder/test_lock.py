"""The lock of Plone with add-ons: made by uv beside our pins, or refused with uv's reason and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder import Refusal, lock
from builder.addons import AddOns
from builder.catalogue import choose, load
from tests.images import wheel

OPTIONS = ["--no-index", "--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-find-links"]


def given(school: AddOns) -> str:
    """Return what the front would hand over."""
    row = {
        "image": school.image, "requirements": school.requirements, "constraints": school.constraints,
        "sdists": school.sdists, "hosts": school.hosts, "inventory": school.inventory,
        "directory": str(school.directory),
    }  # fmt: skip
    return json.dumps([row])


@pytest.fixture
def ours(tree: Path, monkeypatch: pytest.MonkeyPatch, school: AddOns) -> Path:
    """Let our Plone be one package; return the folder of wheels, which has that and a theme that needs it."""
    monkeypatch.setattr(lock, "HERE", tree)
    (tree / "plone/6.0.13/requirements.in").write_text("our.plone==1.0\n")
    (tree / "plone/6.0.13/requirements.txt").write_text("our-plone==1.0\n")
    wheel.make(school.directory, "our.plone", "our.plone")
    wheel.make(school.directory, "school.theme", "our.plone")
    return school.directory


@pytest.mark.parametrize(("words", "python"), [([], "3.9"), (["--python", "3.11"], "3.11")])
def test_a_lock_has_our_pins_and_those_of_the_add_ons(
    ours: Path, school: AddOns, capsys: pytest.CaptureFixture[str], words: list[str], python: str
) -> None:
    """And says for what it was made; nothing else is left in the folder."""
    assert lock.main(["--addons", given(school), *words, "--", *OPTIONS]) == 0
    path = school.lock("6.0.13")
    text = path.read_text()
    assert [line.split()[0] for line in text.splitlines() if line[0].isalpha()] == [
        "our-plone==1.0", "school-theme==1.0",
    ]  # fmt: skip
    assert text.startswith("# add-ons: school.theme==1.0\n# constraints: none\n")
    assert f"# Python from: {python}\n" in text
    assert sorted(each.suffix for each in ours.iterdir()) == [".txt", ".whl", ".whl"]
    assert capsys.readouterr().out.startswith(f"{path}: for Plone 6.0.13, Python ")


def test_without_wheels_of_its_own_an_inventory_needs_no_folder(ours: Path, school: AddOns) -> None:
    """It is made, and the lock is in it."""
    elsewhere = replace(school, directory=ours.parent / "other")
    assert lock.main(["--addons", given(elsewhere), "--", *OPTIONS, "--find-links", str(ours)]) == 0
    assert elsewhere.lock("6.0.13").exists()


def test_add_ons_that_do_not_fit_our_pins_leave_the_lock_as_it_was(ours: Path, school: AddOns) -> None:
    """An institution's image has the packages of Plone that ours has."""
    school.lock("6.0.13").write_text("before")
    wheel.make(ours, "school.theme", "our.plone>=2")
    with pytest.raises(Refusal) as refusal:
        lock.main(["--addons", given(school), "--", *OPTIONS])
    said = str(refusal.value)
    assert said.startswith("The add-ons of school cannot be locked for Plone 6.0.13: Because ")
    assert "school-theme depend on our-plone>=2" in said
    assert school.lock("6.0.13").read_text() == "before"


ADVICE = {
    "Because collective-easyfom was not found in the package registry and you require collective-easyfom==4": (
        "correct the name, put its wheel into {directory}, or name the index that has it."
    ),
    "Because products-ploneformgen==1.8.1 has no usable wheels and you require products-ploneformgen==1.8.1": (
        "add the package to plone_addon_sdists if it is pure Python."
    ),
    "Because you require plone-api>=2.5 and plone-api==2.2.2": (
        "take a release of the add-on that fits: Plone's own packages stay as images/plone/6.0.13/requirements.txt has "
        "them."
    ),
    "Because there is no version of collective-easyform==999 and you require collective-easyform==999": (
        "take a release that there is."
    ),
    "Because the requested Python version (>=3.9) does not satisfy Python>=3.10 and a==2 depends on Python>=3.10, we "
    "can conclude that a==2 cannot be used. And because you require a==2": (
        "take another release of the add-on, or lock for the newest Python alone with --python 3.11."
    ),
}


@pytest.mark.parametrize(("why", "advice"), ADVICE.items())
def test_what_uv_says_becomes_a_sentence_with_what_to_do(school: AddOns, why: str, advice: str) -> None:
    """uv's own words, which are exact, without its conclusion that nothing can be done."""
    ends = ", we can conclude that your requirements are unsatisfiable.\n\nhint: Wheels are required for `a`\n"
    told = "warning: `constraints.txt` is empty\nerror: No solution found when resolving dependencies\n"
    stderr = f"{told}  cause: {why.replace('. And', f'.{chr(10)}         And')}{ends}"
    image = choose(load(), ["plone"], None)[-1]
    assert lock.refusal(stderr, school, image) == (
        f"The add-ons of school cannot be locked for Plone 6.0.13: {why}; {advice.format(directory=school.directory)}"
    )


def test_an_index_that_does_not_answer_is_told_as_that(school: AddOns) -> None:
    """With the advice that helps there."""
    stderr = "error: Request failed after 3 retries\n  cause: Failed to fetch: `a`\n  cause: dns error\n"
    image = choose(load(), ["plone"], None)[-1]
    assert lock.refusal(stderr, school, image).endswith(
        "Request failed after 3 retries: Failed to fetch: `a`: dns error; check the network, or name your index with "
        "UV_DEFAULT_INDEX=..."
    )
