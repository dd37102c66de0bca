"""The lock of Plone with add-ons: made by uv beside our pins, or refused with uv's reason and what to do."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from builder import Refusal, lock
from builder.addons import AddOns
from builder.catalogue import choose, load
from tests.images import wheel

OPTIONS = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-find-links"]


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
    """Let our Plone be one package, on the only index; return the folder of wheels, with a theme that needs it."""
    monkeypatch.setattr(lock, "HERE", tree)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    (tree / "plone/6.0.13/requirements.in").write_text("our.plone==1.0\n")
    (tree / "plone/6.0.13/requirements.txt").write_text("our-plone==1.0\n")
    publish(tree, monkeypatch, wheel.make(tree, "our.plone", "our.plone"))
    wheel.make(school.directory, "school.theme", "our.plone")
    return school.directory


def publish(tree: Path, monkeypatch: pytest.MonkeyPatch, *wheels: Path) -> None:
    """Let there be one index, with `wheels`, each of another package."""
    for each in wheels:
        name = canonicalize_name(each.name.partition("-")[0])
        (tree / "index" / name).mkdir(parents=True, exist_ok=True)
        (tree / "index" / name / "index.html").write_text(f'<a href="{each.as_uri()}">{each.name}</a>')
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tree / "index").as_uri())


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
    assert sorted(each.suffix for each in ours.iterdir()) == [".txt", ".whl"]
    assert capsys.readouterr().out.startswith(f"{path}: for Plone 6.0.13, Python ")


def test_without_wheels_of_its_own_an_inventory_needs_no_folder(
    tree: Path, ours: Path, school: AddOns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made, and the lock is in it."""
    elsewhere = replace(school, directory=ours.parent / "other")
    publish(tree, monkeypatch, *ours.iterdir())
    assert lock.main(["--addons", given(elsewhere), "--", *OPTIONS]) == 0
    assert elsewhere.lock("6.0.13").exists()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_has_a_wheel_there_comes_from_no_index(
    tree: Path, ours: Path, school: AddOns, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """A stranger may publish that name in a higher version, or in the same; and a wheel may be made anew."""
    (tree / "strange").mkdir()
    publish(tree, monkeypatch, wheel.make(tree / "strange", "school.theme", "our.plone>=1", version))
    loose = replace(school, requirements=("school.theme",))
    for needs in ("our.plone", "our.plone>=1,<2"):
        file = wheel.make(ours, "school.theme", needs)
        assert lock.main(["--addons", given(loose), "--", *OPTIONS]) == 0
        entry = loose.lock("6.0.13").read_text().partition("school-theme")[2]
        assert entry.split() == ["==1.0", "\\", f"--hash=sha256:{sha256(file.read_bytes()).hexdigest()}"]


def test_addresses_of_indexes_are_in_no_argument_and_the_machines_certificates_count(
    ours: Path, school: AddOns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every account of this machine sees arguments, and a proxy that reads along has a certificate of its own."""
    heard: list[tuple[list[str], dict[str, str]]] = []
    own = subprocess.run

    def run(words: list[str], *, env: dict[str, str], **options: Any) -> Any:
        heard.append((words, env))
        return own(words, env=env, **options)

    wheel.make(ours.parent, "school.other", "our.plone")
    (tmp_path / "more" / "school-other").mkdir(parents=True)
    (file,) = ours.parent.glob("school_other*.whl")
    (tmp_path / "more" / "school-other" / "index.html").write_text(f'<a href="{file.as_uri()}">{file.name}</a>')
    monkeypatch.setenv("UV_INDEX", (tmp_path / "more").as_uri())
    monkeypatch.delenv("UV_SYSTEM_CERTS", raising=False)
    monkeypatch.setattr(subprocess, "run", run)
    more = replace(school, requirements=(*school.requirements, "school.other"))
    assert lock.main(["--addons", given(more), "--", *OPTIONS]) == 0
    (words, env), *_ = heard
    assert not [word for word in words if "://" in word]
    assert env["UV_INDEX"].split()[1:] == [(tmp_path / "more").as_uri()]
    assert env["UV_SYSTEM_CERTS"] == "1"


def test_a_package_of_the_lock_is_upgraded_by_name(
    tree: Path, ours: Path, school: AddOns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fix of what an add-on needs is taken without any other release that came since."""
    (ours / "school_theme-1.0-py3-none-any.whl").unlink(missing_ok=True)
    loose = replace(school, requirements=("one", "two"))
    for version in ("1.0", "2.0"):
        folder = tree / version
        folder.mkdir()
        publish(tree, monkeypatch, *(wheel.make(folder, name, "our.plone", version) for name in ("one", "two")))
        upgrade = ["--upgrade-package", "two"] if version == "2.0" else []
        assert lock.main(["--addons", given(loose), *upgrade, "--", *OPTIONS]) == 0
        text = loose.lock("6.0.13").read_text()
        assert "one==1.0" in text
        assert f"two=={version}" in text


def test_another_file_of_a_name_with_a_wheel_there_is_refused(
    tree: Path, ours: Path, school: AddOns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in uv's own settings counts beside every index."""
    (tree / "strange").mkdir()
    wheel.make(tree / "strange", "school.theme", "our.plone", "2.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(tree / "strange"))
    loose = replace(school, requirements=("school.theme",))
    with pytest.raises(Refusal) as refusal:
        lock.main(["--addons", given(loose), "--", *OPTIONS])
    assert str(refusal.value) == (
        f"school-theme has a file in {ours}, and uv took another one: unset UV_FIND_LINKS, and remove find-links from "
        "your uv.toml."
    )
    assert not loose.lock("6.0.13").exists()


def test_a_file_whose_name_tells_no_package_is_refused(ours: Path, school: AddOns) -> None:
    """uv would pass it over, and take the package from an index."""
    file = next(ours.iterdir()).rename(ours / "theme.whl")
    with pytest.raises(Refusal, match=f"^{file} has no name of a wheel: make it with python -m build --wheel.$"):
        lock.main(["--addons", given(school), "--", *OPTIONS])


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
        "take a release that there is; what has a file in {directory} comes from there alone."
    ),
    "Failed to fetch: `https://index.example/a/`: invalid peer certificate: UnknownIssuer": (
        "give this machine the authority of your proxy or index (update-ca-certificates)."
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
