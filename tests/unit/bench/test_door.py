"""Whatever stops a measurement before it begins is one sentence and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder import Refusal
from builder.catalogue import load
from tests.bench import __main__ as door
from tests.bench import stage

CHECKOUT = Path(__file__).resolve().parents[3]


def bench(*words: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(CHECKOUT / each) for each in ("images", "ansible", "images/pilot/src"))
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(cache), **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--only", "htp"], "There is no part 'htp'"), (["--slow"], "--slow"), (["--quick"], "No Docker Engine answers"),
     (["--to", "3.8"], "no bridge for Python '3.8'"), (["--from", "3.11", "--to", "3.11"], "Both Pythons are 3.11")],
    ids=["an unknown part", "an unknown option", "no engine", "an unknown Python", "one Python twice"],
)
def test_it_is_refused(words, said, tmp_path):
    done = bench(*words, cache=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_engine_elsewhere_is_refused(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
    with pytest.raises(Refusal, match="on this machine"), stage.open_stage("x"):
        pass


def test_two_at_once_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with door.alone(), pytest.raises(Refusal, match="Another bench"), door.alone():
        pass


class NoImages:
    def inspect(self, _: str) -> None:
        return None


def test_a_missing_image_is_named_with_what_makes_it():
    with pytest.raises(Refusal, match=r"no image eduhub/.* ./invoke images.build --names bridge,edge makes it"):
        stage.demand(NoImages(), [image for image in load() if image.name in ("bridge", "edge")])


def test_the_oldest_python_is_compared_with_the_newest():
    """By number: as texts, 3.11 would come before 3.9."""
    assert [image.python for image in stage.bridges(tuple(reversed(load())))] == ["3.9", "3.13"]


def test_any_pair_may_be_compared():
    assert [image.python for image in stage.bridges(load(), "3.11", "3.13")] == ["3.11", "3.13"]
