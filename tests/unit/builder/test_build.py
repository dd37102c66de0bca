"""What is built, on what, and what is left alone; with an engine that only remembers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import pytest

import builder.engine
from builder import Refusal, catalogue, rootfs, wheels
from builder.build import Builder
from builder.report import Progress
from builder.wheels import Target

FOREIGN = "site/python:3.11"


@dataclass
class Engine:
    """Stands for builder.engine.Engine: images are names with labels, a build is a line in `asked`."""

    images: dict[str, dict[str, str]] = field(default_factory=lambda: {FOREIGN: {}})
    asked: list[str] = field(default_factory=list)
    contexts: list[list[str]] = field(default_factory=list)

    def inspect(self, tag: str) -> dict[str, Any] | None:
        if tag not in self.images:
            return None
        return {"Id": f"id of {tag}", "Size": 1, "Config": {"Labels": self.images[tag]}}

    def labels(self, tag: str) -> dict[str, str] | None:
        return self.images.get(tag)

    def demand(self, tag: str) -> None:
        if tag not in self.images:
            raise Refusal(f"no image {tag}")

    def import_root(self, archive: Path) -> str:
        assert archive.exists()
        self.asked.append("import")
        return "made"

    def build(
        self,
        context: IO[bytes],
        arguments: Mapping[str, str],
        *,
        no_cache: bool = False,
        on_step: Callable[[str], object] = str,
    ) -> str:
        on_step("Step 1/1 : FROM")
        with tarfile.open(fileobj=context) as tar:
            self.contexts.append(tar.getnames())
        self.asked.append(f"build on {arguments.get('BASE', 'nothing')}" + (" without cache" if no_cache else ""))
        return "made"

    def target(self, _image: str) -> Target:
        return Target("3.11.2", "2.36", "x86_64")

    @contextmanager
    def exported(self, _image: str) -> Iterator[Iterable[bytes]]:
        buffer = io.BytesIO()
        tarfile.open(fileobj=buffer, mode="w").close()
        yield [buffer.getvalue()]

    def label(self, _image: str, tag: str, labels: Mapping[str, str]) -> dict[str, Any]:
        self.images[tag] = dict(labels)
        self.asked.append(tag)
        return self.inspect(tag) or {}


@dataclass
class Bench:
    """A small tree of images and an engine to build them on."""

    tree: Path
    engine: Engine = field(default_factory=Engine)

    def build(self, *names: str, **options: Any) -> dict[str, str]:
        """Build the images `names` and return the state of each in the result."""
        self.engine.asked.clear()
        images = catalogue.load(self.tree)
        engine = cast("builder.engine.Engine", self.engine)
        made = Builder(engine, images, Progress(io.StringIO()), directory=self.tree, **options)
        return {result.image: result.state for result in made.run(catalogue.choose(images, names, None))}

    def change(self, name: str) -> None:
        """Change the source of the image `name`."""
        (self.tree / name / "src" / "program.py").write_text("changed")


@pytest.fixture
def bench(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench on which packages and wheels are made out of nothing."""
    monkeypatch.setattr(rootfs, "make", lambda root, into, _epoch: (into / rootfs.ARCHIVE).write_text(root.suite))
    monkeypatch.setattr(wheels, "fetch_tools", lambda _lock, into: (into / "pip.whl").write_text("pip"))
    monkeypatch.setattr(wheels, "fetch", lambda *args: (args[-1] / "tiny-1.0-py3-none-any.whl").write_text(""))
    return Bench(tree)


def test_a_missing_base_is_built_first(bench: Bench) -> None:
    """Nobody has to know the order."""
    engine = bench.engine
    assert list(bench.build("pilot")) == ["eduhub/base:bookworm", "eduhub/pilot:py3.11"]
    assert engine.asked == ["import", "eduhub/base:bookworm", "build on eduhub/base:bookworm", "eduhub/pilot:py3.11"]


def test_a_suite_that_cannot_be_built_stops_only_what_needs_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that has dropped a Debian release must not keep the other Pythons from being built."""

    def make(root: catalogue.Root, into: Path, _epoch: int) -> None:
        if root.suite == "bullseye":
            raise Refusal("the mirror has no bullseye")
        (into / rootfs.ARCHIVE).write_text(root.suite)

    monkeypatch.setattr(rootfs, "make", make)
    images = catalogue.load(bench.tree)
    builder = Builder(
        cast("builder.engine.Engine", bench.engine), images, Progress(io.StringIO()), directory=bench.tree
    )
    made = []
    run = builder.run(images)
    with pytest.raises(Refusal, match=r"^base:bullseye: the mirror has no bullseye$"):
        made.extend(result.image for result in run)
    assert made == [image.tag for image in images if "bullseye" not in image.tag and image.python != "3.9"]


def test_what_is_sent_is_the_sources_the_installer_and_the_wheels(bench: Bench) -> None:
    """The build has all it needs without a network, and nothing else."""
    engine = bench.engine
    bench.build("pilot")
    assert engine.contexts == [
        ["Dockerfile", "build/install.py", "build/pip.whl", "build/wheels/tiny-1.0-py3-none-any.whl", "src/program.py"]
    ]


def test_a_second_run_with_missing_changes_nothing(bench: Bench) -> None:
    """A deployment asks for everything each time; an unchanged tree costs no build."""
    engine = bench.engine
    bench.build()
    assert set(bench.build(missing=True).values()) == {"present"}
    assert engine.asked == []


def test_a_changed_source_is_built_and_nothing_else(bench: Bench) -> None:
    """The hash of the inputs decides, image by image."""
    bench.build()
    bench.change("pilot")
    states = bench.build(missing=True)
    assert [image for image, state in states.items() if state == "built"] == ["eduhub/pilot:py3.11"]


def test_an_unchanged_base_is_not_imported_again(bench: Bench) -> None:
    """A new import is a new image, and everything above it would be new as well."""
    bench.build("pilot")
    assert bench.build("base:bookworm", "pilot") == {
        "eduhub/base:bookworm": "present",
        "eduhub/pilot:py3.11": "built",
    }


def test_without_cache_even_an_unchanged_base_is_made_anew(bench: Bench) -> None:
    """That is how Debian's updates are taken up."""
    engine = bench.engine
    bench.build("pilot")
    bench.build("base:bookworm", "pilot", no_cache=True)
    assert "import" in engine.asked
    assert "build on eduhub/base:bookworm without cache" in engine.asked


def test_on_a_given_base_no_root_file_system_is_made(bench: Bench) -> None:
    """The given image takes the place of ours, and is recorded."""
    engine = bench.engine
    bench.build("bridge:py3.11", base=FOREIGN)
    assert engine.asked == [f"build on {FOREIGN}", "eduhub/bridge:py3.11"]
    assert engine.images["eduhub/bridge:py3.11"]["org.eduhub.base"] == FOREIGN


def test_a_deployment_keeps_the_base_a_site_has_chosen(bench: Bench) -> None:
    """Unchanged it is present; changed it is built on that base again; asked for plainly it returns to ours."""
    engine = bench.engine
    bench.build("bridge:py3.11", base=FOREIGN)
    assert bench.build("bridge:py3.11", missing=True) == {"eduhub/bridge:py3.11": "present"}

    bench.change("bridge")
    bench.build("bridge:py3.11", missing=True)
    assert f"build on {FOREIGN}" in engine.asked

    bench.build("bridge:py3.11")
    assert "build on eduhub/base:bookworm" in engine.asked
    assert "org.eduhub.base" not in engine.images["eduhub/bridge:py3.11"]


def test_the_chosen_base_must_be_there_to_build_on(bench: Bench) -> None:
    """It is not silently replaced by ours."""
    engine = bench.engine
    bench.build("bridge:py3.11", base=FOREIGN)
    del engine.images[FOREIGN]
    bench.change("bridge")
    with pytest.raises(Refusal, match=f"no image {FOREIGN}"):
        bench.build("bridge:py3.11", missing=True)


def test_labels_say_what_is_inside(bench: Bench) -> None:
    """Who meets the image later can tell its origin; an image without a Python claims none."""
    engine = bench.engine
    bench.build()
    assert engine.images["eduhub/plone:6.0.13-py3.11"]["org.opencontainers.image.version"] == "6.0.13"
    assert engine.images["eduhub/pilot:py3.11"]["org.eduhub.python"] == "3.11.2"
    assert "org.eduhub.python" not in engine.images["eduhub/edge:bookworm"]


def test_an_image_without_a_lock_is_refused(bench: Bench) -> None:
    """No wheel is fetched that no lock names."""
    (bench.tree / "pilot" / "requirements.txt").unlink()
    with pytest.raises(Refusal, match=r"images/pilot has no requirements.txt; make its lock with ./invoke lock"):
        bench.build("pilot")
