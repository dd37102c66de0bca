"""What is built, on what, and what is left alone; with an engine that only remembers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import pytest

import builder.engine
from builder import Refusal, catalogue, contents, rootfs, security, wheels
from builder.addons import AddOns
from builder.build import Builder
from builder.report import Progress
from builder.wheels import Target
from tests.unit.builder.roots import archive

FOREIGN = "site/python:3.11"
SUITES = ("bullseye", "bookworm", "trixie")


@dataclass
class Engine:
    """Stands for builder.engine.Engine: images are names with labels, a build is a line in `asked`."""

    images: dict[str, dict[str, str]] = field(default_factory=lambda: {FOREIGN: {}})
    asked: list[str] = field(default_factory=list)
    contexts: list[list[str]] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, bytes] = field(default_factory=dict)  # dpkg's, by the id of the image

    def inspect(self, tag: str) -> dict[str, Any] | None:
        tag = self.named(tag)
        if tag not in self.images:
            return None
        return {"Id": self.ids.get(tag, f"id of {tag}"), "Size": 1, "Config": {"Labels": self.images[tag]}}

    def named(self, tag: str) -> str:
        """Return the name of the image with the tag or the id `tag`."""
        return next((name for name in self.images if self.ids.get(name, f"id of {name}") == tag), tag)

    def labels(self, tag: str) -> dict[str, str] | None:
        return self.images.get(tag)

    def demand(self, tag: str) -> None:
        if self.inspect(tag) is None:
            raise Refusal(f"no image {tag}")

    def import_root(self, archive: Path) -> str:
        self.asked.append("import")
        with tarfile.open(archive) as tar:
            return self._made(status_in(tar))

    def _made(self, status: bytes) -> str:
        identity = f"made {len(self.statuses)}"
        self.statuses[identity] = status
        return identity

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
            names = tar.getnames()
            self.contexts.append(names)
            root = tar.extractfile(rootfs.ARCHIVE) if rootfs.ARCHIVE in names else None
            with tarfile.open(fileobj=root) if root else nullcontext() as packages:
                status = status_in(packages) if packages else self._status_of(arguments["BASE"])
        base = self.named(arguments.get("BASE", "nothing"))
        self.asked.append(f"build on {base}" + (" without cache" if no_cache else ""))
        return self._made(status)

    def _status_of(self, tag: str) -> bytes:
        return self.statuses.get(self.ids.get(tag, ""), b"")

    def target(self, _image: str) -> Target:
        return Target("3.11.2", "2.36", "x86_64")

    @contextmanager
    def exported(self, image: str) -> Iterator[Iterable[bytes]]:
        yield [archive({contents.STATUS: self.statuses[image]})]

    def label(self, image: str, tag: str, labels: Mapping[str, str], before_as: str = "") -> dict[str, Any]:
        if before_as and tag in self.images:
            self.images[before_as], self.ids[before_as] = self.images[tag], self.ids[tag]
        self.images[tag] = dict(labels)
        self.ids[tag] = image
        self.asked.append(tag)
        return self.inspect(tag) or {}


def status_in(tar: tarfile.TarFile) -> bytes:
    """Return dpkg's status in a root file system."""
    content = tar.extractfile(f"./{contents.STATUS}")
    return content.read() if content else b""


@dataclass
class Bench:
    """A small tree of images, an engine to build them on, and mirrors that have zlib1g in one version a suite."""

    tree: Path
    engine: Engine = field(default_factory=Engine)
    zlib: dict[str, str] = field(default_factory=lambda: dict.fromkeys(SUITES, "1.0"))
    updates: dict[str, str] = field(default_factory=dict)
    said: io.StringIO = field(default_factory=io.StringIO)

    def make(self, root: catalogue.Root, into: Path, _epoch: int) -> None:
        """Stand for mmdebstrap: a root file system with the zlib1g that the mirror of its suite has."""
        status = f"Package: zlib1g\nStatus: install ok installed\nVersion: {self.zlib[root.suite]}\n".encode()
        (into / rootfs.ARCHIVE).write_bytes(archive({f"./{contents.STATUS}": status}))

    def look(self, suite: str) -> security.Look:
        """Stand for the security archive, which has `updates` of zlib1g."""
        newest = {"zlib1g": self.updates[suite]} if suite in self.updates else {}
        return security.Look(suite, 1.0, 1.0, "", newest)

    def build(self, *names: str, **options: Any) -> dict[str, str]:
        """Build the images `names` and return the state of each, "behind" added where it lacks updates."""
        self.engine.asked.clear()
        images = catalogue.load(self.tree)
        engine = cast("builder.engine.Engine", self.engine)
        made = Builder(engine, images, Progress(self.said), look=self.look, directory=self.tree, **options)
        return {
            result.image: result.state + " behind" * bool(result.updates)
            for result in made.run(catalogue.choose(images, names, None))
        }

    def change(self, name: str) -> None:
        """Change the source of the image `name`."""
        (self.tree / name / "src" / "program.py").write_text("changed")


@pytest.fixture
def bench(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench on which packages and wheels are made out of nothing."""
    bench = Bench(tree)
    monkeypatch.setattr(rootfs, "make", bench.make)
    monkeypatch.setattr(wheels, "fetch_tools", lambda _lock, into: (into / "pip.whl").write_text("pip"))
    monkeypatch.setattr(wheels, "fetch", lambda *args, **_: (args[-1] / "tiny-1.0-py3-none-any.whl").write_text(""))
    return bench


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
        bench.make(root, into, 0)

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


def test_images_that_were_loaded_need_no_base(bench: Bench, school: AddOns, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI built them, or the bases were pruned: a deployment makes no root file system for what is there."""
    ours, theirs = "eduhub/plone:6.0.13-py3.11", "school/plone:6.0.13-py3.11"
    (bench.tree / "plone/6.0.13/requirements.txt").write_text("plone==6.0.13 --hash=sha256:aa\n")
    school.lock("6.0.13").write_text("school-theme==1.0 --hash=sha256:bb\n")
    bench.build("pilot", "bridge:py3.11")
    build_with_addons(bench, school)
    for tag in ("eduhub/base:bookworm", ours):
        del bench.engine.images[tag]
    monkeypatch.setattr(rootfs, "make", lambda *_: pytest.fail("mmdebstrap"))
    assert set(bench.build("pilot", "bridge:py3.11", missing=True).values()) == {"present"}
    assert build_with_addons(bench, school, missing=True) == {theirs: "present"}
    assert bench.engine.asked == []


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


def test_an_earlier_edge_keeps_a_name(bench: Bench) -> None:
    """The edge has no rollback, and the mirror has only the newer HAProxy: it could not be built again."""
    engine, zlib = bench.engine, bench.zlib
    for zlib["bookworm"] in ("1.0", "1.1", "1.2"):
        bench.build("edge", "base:bookworm", "bridge:py3.11", no_cache=True)
    for tag, version in (("edge:bookworm", b"1.2"), ("edge:bookworm-before", b"1.1")):
        assert version in engine.statuses[engine.ids[f"eduhub/{tag}"]]
    assert [tag for tag in engine.images if tag.endswith("-before")] == ["eduhub/edge:bookworm-before"]


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


def test_what_is_recorded_of_a_given_base_is_what_the_image_is_built_on(bench: Bench) -> None:
    """A site pulled its base anew: a name stands for another image then, and the record must not be of the old one."""
    engine = bench.engine
    bench.build("bridge:py3.11", base=FOREIGN)
    bench.change("bridge")
    engine.images["by digest"], engine.ids["by digest"] = {}, f"id of {FOREIGN}"
    engine.ids[FOREIGN] = "another id"
    bench.build("bridge:py3.11", missing=True)
    assert "build on by digest" in engine.asked  # the engine still has it
    assert engine.images["eduhub/bridge:py3.11"]["org.eduhub.base.id"] == f"id of {FOREIGN}"

    del engine.images["by digest"]
    assert bench.build("bridge:py3.11", missing=True) == {"eduhub/bridge:py3.11": "present"}
    (bench.tree / "bridge" / "src" / "program.py").write_text("changed again")
    bench.build("bridge:py3.11", missing=True)
    assert f"build on {FOREIGN}" in engine.asked
    assert engine.images["eduhub/bridge:py3.11"]["org.eduhub.base.id"] == "another id"
    assert f"{FOREIGN} is another image than the one it was built on before" in bench.said.getvalue()
    assert bench.build("bridge:py3.11", missing=True) == {"eduhub/bridge:py3.11": "present"}


def test_the_chosen_base_must_be_there_to_build_on(bench: Bench) -> None:
    """It is not silently replaced by ours."""
    engine = bench.engine
    bench.build("bridge:py3.11", base=FOREIGN)
    del engine.images[FOREIGN]
    bench.change("bridge")
    with pytest.raises(Refusal, match=f"no image {FOREIGN}"):
        bench.build("bridge:py3.11", missing=True)


def test_wheels_of_sources_are_made_anew_with_other_tools(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools make them, so that those which others made are not the same; what is downloaded is."""
    fetched: list[tuple[str, ...]] = []

    def fetch(_wanted: dict[str, str], _target: Target, sdists: tuple[str, ...], *args: Any, **_: Any) -> None:
        fetched.append(sdists)
        (args[-1] / "tiny-1.0-py3-none-any.whl").write_text("")

    monkeypatch.setattr(wheels, "fetch", fetch)
    bench.build("plone", "pilot")
    (bench.tree / "base/tools.txt").write_text("other tools")
    bench.build("plone", "pilot")
    plone = next(image for image in catalogue.load(bench.tree) if image.name == "plone")
    assert plone.sdists
    assert fetched.count(plone.sdists) == 2 * fetched.count(()) > 0


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
    with pytest.raises(Refusal, match=r"images/pilot/requirements.txt does not exist; make it with ./invoke lock"):
        bench.build("pilot")


def build_with_addons(bench: Bench, told: AddOns, **options: Any) -> dict[str, str]:
    """Build Plone 6.0.13 on 3.11 with the add-ons `told`; return the state of each image that was looked at."""
    bench.engine.asked.clear()
    images = catalogue.load(bench.tree, on_request=True)
    images = (*images, *catalogue.with_addons(images, [told]))
    engine = cast("builder.engine.Engine", bench.engine)
    made = Builder(engine, images, Progress(bench.said), directory=bench.tree, **options)
    return {result.image: result.state for result in made.run(catalogue.choose(images, [told.name], None))}


def test_add_ons_stand_on_our_plone_and_bring_only_what_is_beyond_it(
    bench: Bench, school: AddOns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that has our Plone gets one small layer; a changed lock makes that layer anew, and nothing else."""
    fetched: list[tuple[list[str], Any]] = []

    def fetch(wanted: dict[str, str], *args: Any, beside: Path | None) -> None:
        fetched.append((sorted(wanted), beside))
        (args[-1] / "tiny-1.0-py3-none-any.whl").write_text("")

    monkeypatch.setattr(wheels, "fetch", fetch)
    (bench.tree / "plone/6.0.13/requirements.txt").write_text("plone==6.0.13 --hash=sha256:aa\n")
    lock = school.lock("6.0.13")
    lock.write_text("plone==6.0.13 --hash=sha256:aa\nschool-theme==1.0 --hash=sha256:bb\n")
    ours, theirs = "eduhub/plone:6.0.13-py3.11", "school/plone:6.0.13-py3.11"

    assert build_with_addons(bench, school) == {"eduhub/base:bookworm": "built", ours: "built", theirs: "built"}
    assert fetched == [(["plone"], None), (["school-theme"], school.directory)]
    assert bench.engine.contexts[-1] == [
        "Dockerfile", "build/install.py", "build/pip.whl", "build/slim.py", "build/wheels/tiny-1.0-py3-none-any.whl",
        "named.py",
    ]  # fmt: skip
    assert f"build on {ours}" in bench.engine.asked
    assert build_with_addons(bench, school, missing=True) == {theirs: "present"}

    lock.write_text(lock.read_text().replace("bb", "cc"))
    assert build_with_addons(bench, school, missing=True) == {theirs: "built"}
    bench.change("plone")
    assert build_with_addons(bench, school, missing=True) == {ours: "built", theirs: "built"}
    lock.write_text("plone==6.0.13 --hash=sha256:aa\n")
    with pytest.raises(Refusal, match=f"{ours} has all of these add-ons already; remove them from plone_addons"):
        build_with_addons(bench, school, missing=True)


def test_a_plone_that_is_only_needed_stays_on_the_base_a_site_has_chosen(bench: Bench, school: AddOns) -> None:
    """Who builds add-ons has not asked for another base below them."""
    ours = "eduhub/plone:6.0.13-py3.11"
    (bench.tree / "plone/6.0.13/requirements.txt").write_text("plone==6.0.13 --hash=sha256:aa\n")
    school.lock("6.0.13").write_text("school-theme==1.0 --hash=sha256:bb\n")
    bench.build("plone", base=FOREIGN)
    assert build_with_addons(bench, school) == {"school/plone:6.0.13-py3.11": "built"}
    bench.change("plone")
    assert build_with_addons(bench, school) == {ours: "built", "school/plone:6.0.13-py3.11": "built"}
    assert f"build on {FOREIGN}" in bench.engine.asked
    assert bench.engine.images[ours]["org.eduhub.base"] == FOREIGN


def test_without_our_plone_there_is_none_with_add_ons(bench: Bench, school: AddOns) -> None:
    """One sentence says what failed, and nothing is built on what was there before."""
    (bench.tree / "plone/6.0.13/requirements.txt").unlink()
    with pytest.raises(Refusal, match=r"^plone:6.0.13-py3.11: [^:]* does not exist; make it with ./invoke lock.$"):
        build_with_addons(bench, school)
    assert "school/plone:6.0.13-py3.11 left out: eduhub/plone:6.0.13-py3.11 cannot be made" in bench.said.getvalue()


BOOKWORM = ["eduhub/base:bookworm", "eduhub/edge:bookworm", "eduhub/pilot:py3.11"]
NAMES = ("edge", "pilot", "base:bookworm")


def test_a_security_update_is_told_and_changes_nothing(bench: Bench) -> None:
    """A deployment must not make a new release because Debian has published something."""
    bench.build(*NAMES)
    bench.updates["bookworm"] = "1.0+deb12u1"
    assert bench.build(*NAMES, missing=True) == dict.fromkeys(BOOKWORM, "present behind")
    assert bench.engine.asked == []


def test_an_image_that_cannot_be_looked_into_stops_no_deployment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and that is what was asked; a fresh build could not keep its promise."""

    def refuse(_engine: Engine, _image: str) -> str:
        raise Refusal("the engine has no space left")

    bench.build(*NAMES)
    bench.updates["bookworm"] = "2.0"
    monkeypatch.setattr(Engine, "exported", refuse)
    assert bench.build(*NAMES, missing=True) == dict.fromkeys(BOOKWORM, "present")
    with pytest.raises(Refusal, match="no space left"):
        bench.build(*NAMES, missing=True, fresh=True)


def test_a_fresh_build_takes_the_security_updates(bench: Bench) -> None:
    """Base and all that stands on it are made anew, with the package, old and new, in the log; once."""
    bench.build(*NAMES)
    bench.updates["bookworm"] = bench.zlib["bookworm"] = "1.0+deb12u1"
    assert bench.build(*NAMES, missing=True, fresh=True) == dict.fromkeys(BOOKWORM, "built")
    assert bench.said.getvalue().count("security updates: zlib1g 1.0 -> 1.0+deb12u1") == len(BOOKWORM)
    assert bench.build(*NAMES, missing=True, fresh=True) == dict.fromkeys(BOOKWORM, "present")


def test_a_fresh_build_leaves_other_suites_alone(bench: Bench) -> None:
    """An update of one suite is none of the others'."""
    bench.build()
    bench.updates["trixie"] = bench.zlib["trixie"] = "2.0"
    states = bench.build(missing=True, fresh=True)
    assert [image for image, state in states.items() if state == "built"] == [
        "eduhub/base:trixie",
        "eduhub/copy:trixie",
        "eduhub/bridge:py3.13",
    ]


def test_an_image_left_on_an_old_base_is_found_later(bench: Bench) -> None:
    """The base was made anew for another image: each image is judged by what is in it."""
    bench.build("bridge:py3.11", "pilot")
    bench.updates["bookworm"] = bench.zlib["bookworm"] = "2.0"
    bench.build("pilot", missing=True, fresh=True)
    assert bench.build("bridge:py3.11", missing=True, fresh=True) == {"eduhub/bridge:py3.11": "built"}


def test_a_root_file_system_kept_from_before_is_not_taken_for_fresh(bench: Bench) -> None:
    """The image is gone, what it was made of is not."""
    bench.build("base:bookworm")
    del bench.engine.images["eduhub/base:bookworm"]
    bench.updates["bookworm"] = bench.zlib["bookworm"] = "2.0"
    assert bench.build("base:bookworm", missing=True, fresh=True) == {"eduhub/base:bookworm": "built"}


def test_an_update_that_the_mirror_lists_and_does_not_have_is_still_missing(bench: Bench) -> None:
    """A mirror that is half synchronised; the new image does not pass for fresh."""
    bench.build("base:bookworm")
    bench.updates["bookworm"] = "2.0"
    states = bench.build("base:bookworm", missing=True, fresh=True)
    assert states == {"eduhub/base:bookworm": "built behind"}


def test_a_mirror_that_fails_a_fresh_build_leaves_the_images_as_they_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts may go on with what there is."""
    bench.build(*NAMES)
    bench.updates["bookworm"] = "2.0"
    monkeypatch.setattr(rootfs, "make", Mirror.is_gone)
    with pytest.raises(Refusal, match="the mirror is gone"):
        bench.build(*NAMES, missing=True, fresh=True)
    assert bench.build(*NAMES, missing=True) == dict.fromkeys(BOOKWORM, "present behind")


class Mirror:
    """One that fails."""

    @staticmethod
    def is_gone(_root: catalogue.Root, _into: Path, _epoch: int) -> None:
        raise Refusal("the mirror is gone")


def test_packages_of_a_given_base_are_not_compared(bench: Bench) -> None:
    """Which suite it is, if any, its maker knows."""
    bench.build("bridge:py3.11", base=FOREIGN)
    bench.updates["bookworm"] = "2.0"
    assert bench.build("bridge:py3.11", missing=True, fresh=True) == {"eduhub/bridge:py3.11": "present"}
