"""`python -m builder.kit --tags TAG...`: write a kit below kits/. Exit code 0, or 2 with one sentence on stderr."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import yaml

from builder import HERE, Refusal, addons, cache, inputs, report, revision, sbom, signing, wheels
from builder.__main__ import Parser, run
from builder.build import BASE_ID, BASE_NAME, INPUTS
from builder.catalogue import load, tagged, with_addons
from builder.engine import Engine
from builder.kit import debian, signature
from builder.kit.unpacked import DEBIAN, IMAGES, MANIFEST, SBOM, WHEELS, Manifest
from builder.kit.verify import of_archive, unpacked
from builder.wheels import Target
from module_utils import image_signatures
from module_utils.image_layers import described, images_in, layer_file

CHECKOUT = HERE.parent
PROVENANCE = image_signatures.FOLDERS[1]
DIRECTORY = Path("kits")
# The toolkit's own ones. Others are of institutions, and travel only where they are asked for.
INVENTORIES = ("example", "local")
# The oldest Python of an operator's machine, and the C library of the oldest Debian that has it.
OLDEST_PYTHON, GLIBC = (3, 11), "2.36"
# What ./invoke, Ansible and the roles need beside an engine, and what reaches hosts and checks signatures.
BESIDE = ("openssh-client", "python3-apt", "python3-requests", "python3-venv")
# Layers are compressed by themselves, and the same layer to the same bytes. A kit is made once and carried often.
LEVEL = 6
# How compressed files begin.
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass
class Part:
    """Files of one kind for a kit: by their paths in it, where they are now."""

    name: str
    files: dict[str, Path] = field(default_factory=dict)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line as values; raise Refusal where it makes no sense."""
    parser = Parser(prog="kit", description="Write a kit.", allow_abbrev=False)
    parser.add_argument("--tags", nargs="+", required=True, help="the images that hosts need, by their tags")
    parser.add_argument("--packages", nargs="+", default=[], help="Debian packages that make the engine")
    parser.add_argument("--optional", nargs="*", default=[], help="such that only some suites have")
    parser.add_argument("--suite", action="append", default=[], help="Debian of hosts and operator's machine")
    parser.add_argument("--sign-key", type=Path, help="ssh key that signs the kit")
    parser.add_argument("--since", type=Path, help="an older kit, whose files are left out")
    parser.add_argument("--addons", default="[]", help="add-ons of Plone, as a JSON list")
    parser.add_argument("--inventory", type=Path, help="whose hosts the kit is for")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Write the kit that `words` ask for and say what is in it; return 0. Raise Refusal where that cannot be."""
    wanted, began, made = arguments(words), time.monotonic(), datetime.now(UTC)
    commit = clean_commit()
    beside = uncommitted(wanted.inventory) if wanted.inventory else []
    suites = dict.fromkeys(wanted.suite or [own_suite()])
    pythons = [target_of(suite) for suite in suites]
    older = older_kit(wanted.since) if wanted.since else None
    if wanted.sign_key:
        signing.demand_key(wanted.sign_key)
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    DIRECTORY.mkdir(exist_ok=True)
    progress = report.Progress()
    with tempfile.TemporaryDirectory(dir=DIRECTORY, prefix=".making-") as folder:
        draft = Path(folder)
        parts = [toolkit(draft / "toolkit", wanted.inventory)]
        with progress.step("wheels", "those of the lock") as show:
            parts.append(wheels_of(pythons))
            show(f"{len(parts[-1].files)} for Python {', '.join(sorted({target.python for target in pythons}))}")
        for suite in suites:
            with progress.step("packages", f"Docker Engine for Debian {suite}") as show:
                found = debian.fetch(suite, [*wanted.packages, *BESIDE], wanted.optional)
                files = {f"{DEBIAN}/{suite}/{path.name}": path for path in sorted(found.iterdir())}
                parts.append(Part("packages", files))
                show(f"{len(parts[-1].files) - 1} packages")
        with progress.step("images", "export") as show:
            part, images = images_of(wanted.tags, draft / "images")
            parts.append(part)
            show(f"{len(images)} images, {sum(name.endswith('.tar') for name in part.files)} layers")
        parts.append(sboms(wanted.tags, wanted.addons, draft / "sbom"))
        signed, unsigned = signatures(Engine(), wanted.tags)
        parts.append(Part("signatures", signed))
        with progress.step("kit", "manifest"):
            known = facts_of(parts)
            manifest = Manifest(
                name=f"eduhub-rollout-{version}-{made:%Y%m%dT%H%M%SZ}-{commit[:8]}", version=version, commit=commit,
                made=f"{made:%Y-%m-%dT%H:%M:%SZ}", machine=platform.machine(),
                pythons=tuple(sorted({target.python for target in pythons})), suites=tuple(suites), images=images,
                files=left_out(known, older) if older else known,
            )  # fmt: skip
        path = written(manifest, parts, draft, wanted.sign_key, DIRECTORY)
    for line in table(manifest, parts, path, time.monotonic() - began):
        print(line)
    for name in beside:
        print(f"{name} is not committed, so it is not in the kit: take it along.")
    if unsigned:
        print(
            f"The kit has no signature of {' and none of '.join(unsigned)} as it is now, which hosts may ask for. "
            f"Type ./invoke images.sign --names {','.join(unsigned)}, and make the kit again."
        )
    return 0


def clean_commit() -> str:
    """Return the commit that the kit will be of. Raise Refusal where that is not what is here."""
    commit = revision.commit(CHECKOUT)
    if not (CHECKOUT / ".git").exists() or commit == "unknown":
        raise Refusal("A kit is made in a git checkout, and this is none: clone the repository, and make it there.")
    # Files that only an inventory has are the operator's own; everything else decides what images are made of.
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", ".", ":!inventories"],
        cwd=CHECKOUT, env=revision.environment(CHECKOUT), capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise Refusal(f"A kit is of a commit, and {changed[0][3:]}{more} differ from it: commit or remove them.")
    return commit.removesuffix("-changed")


def place_of(inventory: Path) -> Path | None:
    """Return the path of an `inventory` in the checkout, None where it is elsewhere; of a file, its directory."""
    path, checkout = inventory.resolve(), CHECKOUT.resolve()
    # Variables are beside a file of hosts.
    if path.is_file() and checkout / "inventories" in path.parent.parents:
        path = path.parent
    return path.relative_to(checkout) if path.is_relative_to(checkout) else None


def uncommitted(inventory: Path) -> list[str]:
    """Return the files of an `inventory` that no commit has. Raise Refusal where one differs from what the commit has.

    The commit's would be in the kit, and the images are those that the changed one names.
    """
    place = place_of(inventory)
    if place is None:
        return [str(inventory)]
    lines = subprocess.run(
        ["git", "status", "--porcelain", "-z", "--no-renames", "--ignored", "--", str(place)],
        cwd=CHECKOUT, env=revision.environment(CHECKOUT), capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    states = [(line[:2], line[3:]) for line in lines if line]
    if changed := [path for state, path in states if state not in {"??", "!!"}]:
        raise Refusal(f"A kit brings the inventory of the commit, and {changed[0]} differs from it: commit it.")
    return [path for _, path in states]


def own_suite() -> str:
    """Return the Debian suite of this machine."""
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if suite not in catalogue_suites():
        raise Refusal(f"This machine is no Debian that hosts have ({suite or 'no suite'}): name one with --suite.")
    return suite


def catalogue_suites() -> dict[str, Any]:
    """Return the rows of Debian's suites in images.yml."""
    return dict(yaml.safe_load((HERE / "images.yml").read_text(encoding="utf-8"))["suites"])


def target_of(suite: str) -> Target:
    """Return what wheels are fetched for on an operator's machine of `suite`: its Python, if that is new enough."""
    rows = catalogue_suites()
    if suite not in rows:
        raise Refusal(f"There is no Debian suite {suite!r}: choose {', '.join(rows)}.")
    python = rows[suite]["python"]
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    is_new = tuple(map(int, python.split("."))) >= OLDEST_PYTHON
    return Target(f"{python if is_new else own}.0", GLIBC, platform.machine())


def toolkit(into: Path, inventory: Path | None) -> Part:
    """Unpack the commit into `into`; return its files. Of inventories, those of `inventory` and of the example."""
    into.mkdir()
    archive = into.with_suffix(".tar")
    words = ["git", "archive", "--output", str(archive.absolute()), "HEAD"]
    subprocess.run(words, cwd=CHECKOUT, env=revision.environment(CHECKOUT), check=True)
    with tarfile.open(archive) as source:
        source.extractall(into, filter="data")
    ours = [into / "inventories" / name for name in INVENTORIES]
    if inventory and (place := place_of(inventory)):
        ours.append(into / place)
    return Part("toolkit", {
        str(path.relative_to(into)): path for path in sorted(into.rglob("*"))
        if path.is_file() and (into / "inventories" not in path.parents or {*ours} & {path, *path.parents})
    })  # fmt: skip


def wheels_of(targets: Sequence[Target]) -> Part:
    """Return the wheels of the operator's lock for each of `targets`."""
    lock = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    tool_lock = HERE / "base/tools.txt"
    tools, _ = cache.keep(
        "tools", inputs.text_digest(tool_lock.read_text()), lambda draft: wheels.fetch_tools(tool_lock, draft)
    )
    part = Part("wheels")
    for target in targets:
        wanted = wheels.requirements(lock, target)
        key = inputs.text_digest(repr((sorted(wanted.items()), target)))
        entry, _ = cache.keep("kit-wheels", key, partial(wheels.fetch, wanted, target, (), tools))
        part.files |= {f"{WHEELS}/{path.name}": path for path in sorted(entry.glob("*.whl"))}
    return part


def images_of(tags: Sequence[str], into: Path) -> tuple[Part, dict[str, Any]]:
    """Write the images `tags` into `into`, each layer once; return their files, and what the manifest says of them."""
    into.mkdir()
    engine, images = Engine(), {}
    labels = {tag: engine.labels(tag) for tag in tags}
    if absent := [tag for tag, found in labels.items() if found is None]:
        lacks = " and no ".join(absent)
        raise Refusal(f"The engine here has no image {lacks}: load it first (docker load, docker pull).")
    part, saved = Part("images"), into.with_suffix(".tar")
    for tag in tags:
        engine.save(tag, saved)
        with tarfile.open(saved) as source:
            (image,) = images_in(source).values()
            config = f"{hashlib.sha256(image['config']).hexdigest()}.json"
            (into / config).write_bytes(image["config"])
            for diff_id, member in zip(image["diff_ids"], image["Layers"], strict=True):
                _pack(source, member, into / layer_file(diff_id), tag, diff_id)
        layers = [f"{IMAGES}/{layer_file(diff_id)}" for diff_id in image["diff_ids"]]
        names = [f"{IMAGES}/{config}", *layers]
        part.files |= {name: into / Path(name).name for name in names}
        said = labels[tag] or {}
        images[tag] = {
            "config": names[0], "layers": layers, "diff_ids": image["diff_ids"],
            "inputs": said.get(INPUTS, ""), "base": {name: said[name] for name in (BASE_NAME, BASE_ID) if name in said},
        }  # fmt: skip
    saved.unlink()
    return part, images


def _pack(source: tarfile.TarFile, member: str, path: Path, tag: str, diff_id: str) -> None:
    """Write the layer `member` of `tag` to `path`, compressed once, unless an image before had it.

    Raise Refusal where what it holds has not the digest `diff_id`: an engine would refuse it where there is no network.
    """
    content = source.extractfile(member)
    if content is None or path.exists():
        return
    begin, _ = content.read(len(ZSTD)), content.seek(0)
    if begin == ZSTD:
        raise Refusal(
            f"The engine here gives {tag} with layers in zstd, which a kit cannot hold: "
            "make the kit on an engine without containerd's image store."
        )
    # An engine with containerd's image store gives layers as they were pulled, which is compressed.
    plain: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=content)) if begin.startswith(GZIP) else content
    digest = hashlib.sha256()
    try:
        with path.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
            while block := plain.read(1 << 20):
                digest.update(block)
                packed.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        digest = hashlib.sha256()
    if f"sha256:{digest.hexdigest()}" != diff_id:
        raise Refusal(
            f"The engine here gives {tag} with a layer that is not the one its configuration names ({diff_id}): "
            "build or load the image anew, and make the kit again."
        )


def sboms(tags: Sequence[str], given: str, into: Path) -> Part:
    """Write the SBOM of each of our images among `tags`, with add-ons too; return the files."""
    into.mkdir()
    images = load(on_request=True)
    images = (*images, *with_addons(images, addons.told(given)))
    if names := [image.short for image in tagged(images, tags)]:
        sbom.write_all(images, names, into)
    return Part("SBOMs", {f"{SBOM}/{path.name}": path for path in sorted(into.iterdir())})


def signatures(engine: Engine, tags: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Return by its path in the kit each statement about one of the images `tags`, and its signature, if any.

    The second value: the images that lack one, where others have one. A statement about an older image is none.
    """
    found = {tag: image_signatures.found(CHECKOUT, tag) for tag in tags}
    fit = {tag: pair for tag, pair in found.items() if pair and _is_about(engine, tag, pair[0])}
    files = {f"{PROVENANCE}/{path.name}": path for pair in fit.values() for path in pair}
    return files, [tag for tag in tags if tag not in fit] if any(found.values()) else []


def _is_about(engine: Engine, tag: str, statement: Path) -> bool:
    facts = engine.inspect(tag)
    told = statement.read_text(encoding="utf-8", errors="replace")
    return facts is not None and not image_signatures.difference(tag, described(facts), told)


def facts_of(parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of each file, without inventories, which are the operator's to change."""
    files = {name: path for part in parts for name, path in part.files.items() if not name.startswith("inventories/")}
    return {name: _facts(path) for name, path in files.items()}


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def older_kit(path: Path) -> Manifest:
    """Return the manifest of an older kit, a file or unpacked. Raise Refusal where it is none."""
    try:
        return unpacked(path).manifest if path.is_dir() else of_archive(path)
    except Refusal as refusal:
        raise Refusal(f"--since {path} cannot be used. {refusal}") from None


def left_out(files: Mapping[str, Mapping[str, Any]], older: Manifest) -> dict[str, Mapping[str, Any]]:
    """Return `files` with the kit that has it beside each file that is the same in the `older` kit.

    The toolkit itself is always there: it is small, and has to run. So are signatures, which it reads by itself.
    """
    return {
        name: {**file, "from": older.files[name].get("from", older.name)}
        if name.startswith("kit/")
        and not name.startswith(PROVENANCE)
        and older.files.get(name, {}).get("sha256") == file["sha256"]
        else file
        for name, file in files.items()
    }


def written(manifest: Manifest, parts: Sequence[Part], draft: Path, key: Path | None, into: Path) -> Path:
    """Write the kit below `into`, whole or not at all, its manifest first; return its path. With `key`, sign it."""
    told = draft / "manifest.json"
    told.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    travelling = {MANIFEST: told, **{name: path for part in parts for name, path in part.files.items()}}
    archive = draft / "kit.tar"
    with tarfile.open(archive, "w") as tar:
        for name, path in travelling.items():
            if "from" not in manifest.files.get(name, {}):
                tar.add(path, f"{manifest.name}/{name}", recursive=False, filter=_plain)
    into.mkdir(exist_ok=True)
    final = into / f"{manifest.name}.tar"
    if key:
        signature.sign(archive, key).replace(signature.path_of(final))
    archive.replace(final)
    return final


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = int(info.mtime)
    info.mode = 0o755 if info.mode & 0o100 else 0o644
    return info


def table(manifest: Manifest, parts: Sequence[Part], path: Path, seconds: float) -> Iterator[str]:
    """Yield what the operator sees at the end: sizes of all parts, what travels, and the next command."""
    rows = [("PART", "FILES", "MB", "IN THIS KIT")]
    sizes: dict[str, list[int]] = {}
    for part in parts:
        row = sizes.setdefault(part.name, [0, 0, 0])
        for file in (manifest.files[name] for name in part.files if name in manifest.files):
            row[0] += 1
            row[1] += file["bytes"]
            row[2] += 0 if "from" in file else file["bytes"]
    rows += [(name, str(count), f"{all_ / 1e6:.1f}", f"{own / 1e6:.1f}") for name, (count, all_, own) in sizes.items()]
    yield from report.columns(rows, right={1, 2, 3})
    yield ""
    beside = f" It needs {' and '.join(manifest.needs)} beside it." if manifest.needs else ""
    yield f"{path}: {path.stat().st_size / 1e6:.1f} MB in {seconds:.0f} s.{beside}"
    if signature.path_of(path).exists():
        yield f"Its signature is {signature.path_of(path).name}: carry both, and check it before you unpack."
    yield f"Next, without a network: tar xf {path.name} && cd {manifest.name} && ./invoke kit.verify"


if __name__ == "__main__":
    run("kit", main, "stopped; nothing was written.")
