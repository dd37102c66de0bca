"""Makes images: root file system, wheels, build, labels; an image after the one it stands on."""

from __future__ import annotations

import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from builder import HERE, Refusal, cache, contents, context, inputs, manifest, revision, rootfs, security, wheels
from builder.catalogue import Image, Root, choose
from builder.contents import Contents
from builder.engine import Engine
from builder.kit.unpacked import Kit
from builder.report import Progress, Result
from builder.security import Look, Update
from module_utils.image_layers import BEFORE

# On an image that stands on a given base: its name and its id.
BASE_NAME = "org.eduhub.base"
BASE_ID = "org.eduhub.base.id"
# Hosts keep no earlier one of these, and one is not built again with the packages of then: a name keeps the last one.
WITHOUT_ROLLBACK = {"copy", "edge", "pilot"}
# On every image of ours: the hash of all that went into it.
INPUTS = "org.eduhub.inputs"


@dataclass
class Builder:
    """Builds images of `images` on `engine`. `base`, where given, is the image that ours stand on instead.

    With `missing`, images whose inputs have not changed are left alone, and an image that was built on a given base
    stays on it: a deployment must not swap the base that a site has chosen. So does an image that is only needed for
    another one. With `fresh` besides, images are made anew whose Debian packages have security updates, by what `look`
    tells of a suite (by default: nothing).

    With a `kit`, an image that is left alone where it has not changed is loaded from there where it is missing, and
    never built.
    """

    engine: Engine
    images: Sequence[Image]
    progress: Progress
    base: str | None = None
    missing: bool = False
    no_cache: bool = False
    fresh: bool = False
    look: Callable[[str], Look] = Look
    directory: Path = HERE
    kit: Kit | None = None
    looks: dict[str, Look] = field(default_factory=dict)
    _inputs: dict[str, str] = field(default_factory=dict)
    _chosen: Sequence[Image] = ()
    _exchanged: dict[str, tuple[str, str]] = field(default_factory=dict)

    def inputs(self, image: Image) -> str:
        """Return the hash of all that goes into `image`, its base included."""
        if image.tag not in self._inputs:
            self._inputs[image.tag] = inputs.digest(image, self._base_inputs(image), self.directory)
        return self._inputs[image.tag]

    def _base_inputs(self, image: Image) -> str:
        if not image.base:
            return ""
        given, given_id = self._given(image)
        return given_id if given else self.inputs(self._named(image.base))

    def _given(self, image: Image) -> tuple[str, str]:
        """Return name and id of the image that `image` is to stand on instead of our own base; ("", "") for ours."""
        if image.addons:
            return "", ""
        if image.tag in self._exchanged:
            return self._exchanged[image.tag]
        if self.base:
            facts = self.engine.inspect(self.base)
            return self.base, facts["Id"] if facts else ""
        stays = self.missing or image not in self._chosen
        labels = (self.engine.labels(image.tag) if stays else None) or {}
        if stays and self.kit and image.tag in self.kit.manifest.images:
            labels = labels or self.kit.manifest.images[image.tag]["base"]
        return labels.get(BASE_NAME, ""), labels.get(BASE_ID, "")

    def _named(self, tag: str) -> Image:
        return next(image for image in self.images if image.tag == tag)

    def is_present(self, image: Image) -> bool:
        """Whether the engine has `image`, made from these inputs and, with `fresh`, without security updates since."""
        facts = self.engine.inspect(image.tag)
        if facts is None or (facts["Config"].get("Labels") or {}).get(INPUTS) != self.inputs(image):
            return False
        return not (self.fresh and self.updates(image, facts["Id"]))

    def builds(self, chosen: Sequence[Image]) -> bool:
        """Whether any of `chosen` would be built, and not be left alone or loaded from a kit."""
        if not self.missing:
            return True
        return not self.kit and not all(self.is_present(image) for image in chosen)

    def suite(self, image: Image) -> str:
        """Return the Debian suite in `image`; "" on a given base, whose packages are the business of its maker."""
        if image.root or not image.base:
            return image.root.suite if image.root else ""
        return "" if self._given(image)[0] else self.suite(self._named(image.base))

    def updates(self, image: Image, identity: str) -> tuple[Update, ...]:
        """Return the security updates that `image` lacks, as the engine has it by the id `identity`."""
        suite = self.suite(image)
        if not suite or not self._seen(suite).versions:
            return ()
        return security.updates(self.contents(image, identity).versions, self._seen(suite))

    def contents(self, image: Image, identity: str) -> Contents:
        """Return what is in `image`, as the engine has it by the id `identity`; it is read once."""

        def make(draft: Path) -> None:
            with self.progress.step(image.short, "read its packages") as show:
                with self.engine.exported(identity) as chunks, manifest.opened(chunks) as archive:
                    found = contents.read(archive)
                show(f"{len(found.packages)} of Debian, {len(found.distributions)} of Python")
            found.save(draft / "contents.json")

        # What another reader has read is not believed.
        reader = inputs.text_digest(Path(contents.__file__).read_text(encoding="utf-8"))[:8]
        entry, _ = cache.keep("contents", f"{identity.removeprefix('sha256:')}-{reader}", make)
        return contents.load(entry / "contents.json")

    def _seen(self, suite: str) -> Look:
        if suite not in self.looks:
            self.looks[suite] = self.look(suite)
        return self.looks[suite]

    def run(self, chosen: Sequence[Image]) -> Iterator[Result]:
        """Build `chosen` and yield a result each, bases that have to be built for them included.

        An unchanged base is left alone unless it is to be made anew: importing it again would make everything
        above it new. An image that cannot be made stops only those that stand on it: Refusal comes at the end, with a
        sentence for each.
        """
        self._chosen = chosen
        failed: dict[str, str] = {}
        needed = set() if self.kit and self.missing else self._needed_for(chosen)
        unmade: set[str] = set()
        for image in self.images:
            wanted = image in chosen
            if not wanted and image.tag not in needed:
                continue
            if self._stays(image):
                if wanted:
                    yield self._result(image, self._facts(image.tag), 0.0, "present")
                continue
            if image.base in unmade:
                self.progress.say(image.short, f"left out: {image.base} cannot be made")
                unmade.add(image.tag)
                continue
            try:
                yield self._loaded(image, self.kit) if self.kit and self.missing else self._built(image)
            except Refusal as refusal:
                failed[image.tag] = f"{image.short}: {refusal}"
                unmade.add(image.tag)
        if failed:
            raise Refusal(" ".join(failed.values()))

    def _stays(self, image: Image) -> bool:
        """Whether `image`, chosen or only needed for another one, is left alone."""
        may_stay = self.missing or image not in self._chosen or (image.base is None and not self.no_cache)
        return may_stay and self.is_present(image)

    def _needed_for(self, chosen: Sequence[Image]) -> set[str]:
        """Return the tags of the images that those of `chosen` stand on that are going to be built.

        An image that is there needs no base: it may have been loaded where no root file system can be made.
        """
        needed: set[str] = set()
        for image in reversed(self.images):  # an image is after the one it stands on
            if image.base and (image in chosen or image.tag in needed) and not self._given(image)[0]:
                needed |= set() if self._stays(image) else {image.base}
        return needed

    def _built(self, image: Image) -> Result:
        self._say_why(image)
        started = time.monotonic()
        facts = self._make(image)
        return self._result(image, facts, time.monotonic() - started, "built")

    def _loaded(self, image: Image, kit: Kit) -> Result:
        """Load an image from the kit. Raise Refusal where it is not there, or made from other inputs."""
        started, told = time.monotonic(), kit.manifest.images.get(image.tag)
        if told is None or told["inputs"] != self.inputs(image):
            why = "has it as made of other files than are here" if told else "does not either"
            advice = "unpack it anew" if told else image.asked
            raise Refusal(f"the engine does not have it, and the kit {kit.manifest.name} {why}; {advice}.")
        with self.progress.step(image.short, "load from the kit"), tempfile.TemporaryFile() as file:
            kit.archive(image.tag, file)
            file.seek(0)
            self.engine.load(file, image.tag)
        return self._result(image, self._facts(image.tag), time.monotonic() - started, "loaded")

    def _say_why(self, image: Image) -> None:
        """With `fresh`, say which security updates `image` is made anew for."""
        facts = self.engine.inspect(image.tag) if self.fresh else None
        if facts and (behind := self.updates(image, facts["Id"])):
            self.progress.say(image.short, f"security updates: {', '.join(map(str, behind))}")

    def _make(self, image: Image) -> dict[str, Any]:
        """Make one image and return the engine's description of it."""
        self._find_given(image)
        home = self.directory / image.home
        shared = (self.directory / name for name in ("base", "builder", "images.yml"))
        epoch = revision.epoch(home, *shared, directory=self.directory)
        archive = self._root(image, epoch) if image.root else None
        if archive and not inputs.is_built(image, self.directory):
            with self.progress.step(image.short, "import the root file system"):
                made = self.engine.import_root(archive)
        else:
            made = self._build(image, archive, epoch)
        return self._label(image, made)

    def _root(self, image: Image, epoch: int) -> Path:
        """Return the tar archive of the image's root file system, made unless it is kept."""
        root = image.root
        assert root  # noqa: S101 - for the type checker: the caller has looked
        with self.progress.step(image.short, f"root file system of Debian {root.suite}") as show:
            entry, was_there = cache.keep(
                "rootfs",
                inputs.root_digest(root, self.directory),
                lambda draft: rootfs.make(root, draft, epoch),
                renew=self.no_cache or (self.fresh and self._is_behind(root)),
            )
            show("kept from an earlier build" if was_there else "made by mmdebstrap")
        return entry / rootfs.ARCHIVE

    def _is_behind(self, root: Root) -> bool:
        """Whether the root file system that is kept for `root` lacks security updates."""
        archive = cache.home() / "rootfs" / inputs.root_digest(root, self.directory) / rootfs.ARCHIVE
        if not archive.exists():
            return False
        with tarfile.open(archive) as tar:
            return bool(security.updates(contents.read(tar).versions, self._seen(root.suite)))

    def _build(self, image: Image, archive: Path | None, epoch: int) -> str:
        """Build the image's Dockerfile with its files, its wheels or its root file system; return the id."""
        home = self.directory / image.home
        members = [(path.relative_to(home).as_posix(), path) for path in inputs.files(image, self.directory)]
        arguments = {}
        if archive:
            members.append((rootfs.ARCHIVE, archive))
        else:
            arguments["BASE"] = self._standing_on(image)
            members += self._wheels(image, arguments["BASE"])
        with self.progress.step(image.short, "build") as show, tempfile.TemporaryFile() as file:
            context.write(file, members, epoch)
            file.seek(0)
            made = self.engine.build(file, arguments, no_cache=self.no_cache, on_step=show)
            show("without a network")
        return made

    def _find_given(self, image: Image) -> None:
        """Where the given base that `image` stood on is gone, take what has its name now, and say so.

        What is recorded of an image must be what it is built on. Raise Refusal where nothing has the name.
        """
        name, identity = self._given(image)
        if not name or self.engine.inspect(identity):
            return
        self.engine.demand(name)
        facts = self._facts(name)
        self.progress.say(image.short, f"{name} is another image than the one it was built on before")
        self._exchanged[image.tag] = name, facts["Id"]
        self._inputs.clear()  # of what stands on `image`, too

    def _standing_on(self, image: Image) -> str:
        """Return what `image` is built on: our base by its tag, a given one by its id, which no pull changes.

        Raise Refusal where the engine does not have it.
        """
        base = self._given(image)[1] or image.base or ""
        self.engine.demand(base)
        return base

    def _wheels(self, image: Image, base: str) -> list[tuple[str, Path]]:
        """Return what goes into the context's build/: the installer, pip, and the wheels for the Python in `base`."""
        lock = self.directory / image.lock
        if not lock.exists():
            raise Refusal(f"images/{image.lock} does not exist; make it with ./invoke lock.")
        with self.progress.step(image.short, "wheels") as show:
            target = self.engine.target(base)
            wanted = wheels.requirements(lock.read_text(encoding="utf-8"), target)
            if image.addons:
                wanted = self._beyond(wanted, base, target)
            beside = image.addons.directory if image.addons else None
            tool_lock = self.directory / "base" / "tools.txt"
            tools, _ = cache.keep(
                "tools", inputs.text_digest(tool_lock.read_text()), lambda draft: wheels.fetch_tools(tool_lock, draft)
            )
            made_by = (tools.name,) if image.sdists else ()  # the entry of the tools is named by its lock
            entry, was_there = cache.keep(
                "wheels",
                inputs.text_digest(repr((sorted(wanted.items()), target, image.sdists, *made_by))),
                lambda draft: wheels.fetch(wanted, target, image.sdists, tools, draft, beside=beside),
            )
            found = sorted(entry.glob("*.whl"))
            show(f"{len(found)} for Python {target.version}, {'kept' if was_there else 'fetched'}")
        slim = [("build/slim.py", self.directory / "plone" / "slim.py")] if image.addons else []
        return [
            *slim,
            ("build/install.py", self.directory / "base" / "install.py"),
            ("build/pip.whl", tools / "pip.whl"),
            *((f"build/wheels/{wheel.name}", wheel) for wheel in found),
        ]

    def _beyond(self, wanted: Mapping[str, str], base: str, target: wheels.Target) -> dict[str, str]:
        """Return what is `wanted` and not in our image `base`. Raise Refusal where that is nothing."""
        lock = self.directory / self._named(base).lock
        there = wheels.requirements(lock.read_text(encoding="utf-8"), target)
        more = {name: line for name, line in wanted.items() if name not in there}
        if not more:
            raise Refusal(f"{base} has all of these add-ons already; remove them from plone_addons.")
        return more

    def _label(self, image: Image, made: str) -> dict[str, Any]:
        """Say on the image what it is and what is in it, name it, and return the engine's description."""
        with self.progress.step(image.short, "manifest and labels") as show:
            with self.engine.exported(made) as chunks:
                listing = list(manifest.lines(chunks))
            labels = {
                "org.opencontainers.image.title": image.title,
                "org.opencontainers.image.version": image.version,
                "org.opencontainers.image.revision": revision.commit(self.directory),
                INPUTS: self.inputs(image),
                "org.eduhub.manifest": manifest.digest(listing),
            }
            given, given_id = self._given(image)
            if image.base and given:
                labels |= {BASE_NAME: given, BASE_ID: given_id}
            if image.python:
                labels["org.eduhub.python"] = self.engine.target(made).version
            show(f"{len(listing)} files")
            before_as = f"{image.tag}{BEFORE}" if image.name in WITHOUT_ROLLBACK else ""
            return self.engine.label(made, image.tag, labels, before_as)

    def _facts(self, tag: str) -> dict[str, Any]:
        facts = self.engine.inspect(tag)
        if facts is None:
            raise Refusal(f"{tag} went away while it was looked at; try again.")
        return facts

    def _result(self, image: Image, facts: dict[str, Any], seconds: float, state: str) -> Result:
        labels, ended = facts["Config"]["Labels"], image.ended(datetime.now(UTC).date())
        return Result(
            image=image.tag,
            python=labels.get("org.eduhub.python"),
            size_bytes=facts["Size"],
            id=facts["Id"],
            seconds=round(seconds, 1),
            state=state,
            inputs=labels[INPUTS],
            manifest=labels["org.eduhub.manifest"],
            end_of_life=ended.isoformat() if ended else None,
            suite=self.suite(image),
            updates=self._told(image, facts["Id"]),
        )

    def _told(self, image: Image, identity: str) -> tuple[Update, ...]:
        """Return the security updates that `image` lacks; without `fresh`, none where it cannot be looked into."""
        try:
            return self.updates(image, identity)
        except (Refusal, OSError):
            if self.fresh:
                raise
            return ()


def built(engine: Engine, images: Sequence[Image], names: Sequence[str]) -> list[tuple[Image, dict[str, Any]]]:
    """Return those of `images` that are built, and the engine's description of each; those called `names`, if any.

    Raise Refusal where one of `names` is not built, or none at all.
    """
    chosen = choose(images, names, None) if names else images
    facts = [(image, engine.inspect(image.tag)) for image in chosen]
    absent = [image.short for image, found in facts if found is None]
    if (names and absent) or len(absent) == len(facts):
        raise Refusal(f"{', '.join(absent)} is not built here; ./invoke images.build --names {','.join(absent)}.")
    return [(image, found) for image, found in facts if found]


def created(facts: Mapping[str, Any]) -> datetime:
    """Return when the image of the engine's `facts` was made."""
    return datetime.fromisoformat(facts["Created"][:19]).replace(tzinfo=UTC)
