"""The command line: exit code 2 and one sentence for every mistake; stdout is for the result alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder import PYTHONPATH, Refusal
from builder.__main__ import arguments, main, on_given_base
from builder.catalogue import choose, load
from builder.report import Result


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the builder as an operator's shell does."""
    return subprocess.run(
        [sys.executable, "-m", "builder", *words],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, **environment}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "environment", "sentence"),
    [
        (["brige"], {}, "There is no image 'brige' (did you mean bridge?)"),
        (["--python", "3.10"], {}, "No image is built for Python '3.10'; choose 3.9, 3.11, 3.13."),
        (["--pythn", "3.9"], {}, "unrecognized arguments: --pythn"),
        (["--missing", "--json"], {"DOCKER_HOST": "unix:///nowhere.sock"}, "No Docker Engine answers here; "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: list[str], environment: dict[str, str], sentence: str
) -> None:
    """Never a traceback, and nothing on stdout that a program might read."""
    done = run(*words, **environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"builder: {sentence}")


def test_a_cache_that_cannot_be_written_is_one_sentence_too(tmp_path: Path) -> None:
    """The disk is an operator's matter, not a bug."""
    (tmp_path / "file").write_text("")
    done = run("--missing", XDG_CACHE_HOME=str(tmp_path / "file"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(tmp_path / "file") in done.stderr


def test_help_is_no_mistake() -> None:
    """And names every option."""
    done = run("--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--python", "--base", "--missing", "--no-cache", "--json"))


def test_abbreviated_options_are_not_guessed() -> None:
    """`--no` would mean something else after the next option is added."""
    with pytest.raises(Refusal, match="unrecognized arguments: --miss"):
        arguments(["--miss"])


def given(*names: str, python: str) -> list[str]:
    """Return the tags built on a given base that has `python`."""
    images = load()
    chosen = on_given_base(images, choose(images, names, None), bool(names), "site/python", python)
    return [image.tag for image in chosen]


def test_on_a_given_base_its_python_decides() -> None:
    """Without names, everything that fits."""
    assert given(python="3.9") == ["eduhub/bridge:py3.9"]
    assert given("bridge", "pilot", python="3.11") == ["eduhub/bridge:py3.11", "eduhub/pilot:py3.11"]


@pytest.mark.parametrize(
    ("names", "python", "sentence"),
    [
        (["edge"], "3.11", "edge cannot be built on site/python: it has a root file system of its own."),
        (
            ["pilot"],
            "3.9",
            "pilot cannot be built on site/python: that has Python 3.9, and pilot:py3.11 is for another.",
        ),
        ([], "3.14", "No image asked for is built for Python 3.14, which site/python has; there are 3.9, 3.11, 3.13."),
    ],
)
def test_a_base_that_does_not_fit_is_refused(names: list[str], python: str, sentence: str) -> None:
    """The operator learns which Python it has and which are built for."""
    with pytest.raises(Refusal) as refusal:
        given(*names, python=python)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(("words", "state", "said"), [([], "built", 1), ([], "present", 0), (["--json"], "built", 0)])
def test_a_build_says_what_writes_down_its_images(
    words: list[str], state: str, said: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing was built, or a deployment has it built, silence."""
    result = Result("eduhub/edge:bookworm", None, 1, "sha256:1", 1.0, state, "i", "m")
    monkeypatch.setattr("builder.__main__.Engine", object)
    monkeypatch.setattr("builder.build.Builder.run", lambda _builder, _chosen: iter([result]))
    assert main(["edge", *words]) == 0
    assert capsys.readouterr().err.count("./invoke images.sbom writes down what is in them.") == said
