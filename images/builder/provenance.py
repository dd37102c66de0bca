"""`python -m builder.provenance --sign-key KEY NAME...`: sign a statement about each image that the engine has.

A statement is in the form of in-toto, and about one of ours says by SLSA's predicate how it was made. The signature is
a file beside it, by ssh-keygen.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from builder import HERE, Refusal, addons, cache, manifest, report, sbom, signing
from builder.__main__ import Parser, run
from builder.build import BASE_ID, BASE_NAME, INPUTS, Builder, created
from builder.catalogue import Image, load, with_addons
from builder.engine import Engine
from module_utils.image_layers import described
from module_utils.image_signatures import FOLDERS, NAMESPACE, STATEMENT, file_of, subject

DOES = "Sign a statement about each image that the engine has."
DIRECTORY = HERE.parent / FOLDERS[0]
SLSA = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:eduhub-rollout:image:1"
BUILDER = "urn:eduhub-rollout:builder"
# About an image that somebody else built: who signs vouches for it, and says nothing of how it was made.
VOUCHED = "urn:eduhub-rollout:vouched:1"
REVISION = "org.opencontainers.image.revision"
MANIFEST = "org.eduhub.manifest"

# An image of ours, or the tag of another one, with the engine's facts.
Found = tuple[Image | str, Mapping[str, Any]]


def statement(builder: Builder, image: Image, facts: Mapping[str, Any], *, witnessed: bool) -> dict[str, Any]:
    """Return the statement about our `image`, as the engine's `facts` describe it.

    `witnessed`: whether it was built by this program. Otherwise its labels say how it was made, and Refusal is raised
    where its files are not those that they are of.
    """
    labels = facts["Config"].get("Labels") or {}
    if not witnessed and files_in(builder.engine, facts["Id"]) != labels.get(MANIFEST):
        raise Refusal(
            f"{image.tag} was changed after it was built: its files are not those that its label {MANIFEST} is of. "
            f"Build it again: ./invoke images.build --names {image.short}."
        )
    contents = builder.contents(image, facts["Id"])
    text = sbom.text(builder, image, facts)
    parameters = {"image": image.name, "version": image.version, "python": image.python}
    if BASE_NAME in labels:
        parameters["base"] = labels[BASE_NAME]
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "internalParameters": {"inputs": labels.get(INPUTS, "")},
            "resolvedDependencies": [
                *materials(builder, image, labels, witnessed), *({"uri": purl} for purl in contents.purls),
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"eduhub-rollout": labels.get("org.opencontainers.image.version")}},
            "metadata": {"finishedOn": f"{created(facts):%Y-%m-%dT%H:%M:%SZ}"},
            "byproducts": [
                {
                    "name": sbom.file_of(image), "mediaType": "application/vnd.cyclonedx+json",
                    "digest": {"sha256": hashlib.sha256(text.encode()).hexdigest()},
                },
                {"name": "files", "digest": {"eduhubManifest": labels.get(MANIFEST, "")}},
            ],
        },
    }  # fmt: skip
    return about(image.tag, facts, SLSA, predicate)


def files_in(engine: Engine, identity: str) -> str:
    """Return the hash over the list of files of an image, as its label has it that was built."""
    with engine.exported(identity) as chunks:
        return manifest.digest(manifest.lines(chunks))


def about(tag: str, facts: Mapping[str, Any], kind: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement of one `kind` about the image `tag`."""
    return {
        "_type": STATEMENT, "subject": [subject(tag, described(facts))], "predicateType": kind, "predicate": predicate,
    }  # fmt: skip


def materials(
    builder: Builder, image: Image, labels: Mapping[str, str], witnessed: bool
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield what `image` was made of beside packages: the commit, the lock, and a given base."""
    commit, _, changed = labels.get(REVISION, "unknown").partition("-")
    if commit != "unknown":
        told = {"changed": bool(changed), "witnessed": witnessed}
        yield {"name": "source", "digest": {"gitCommit": commit}, "annotations": told}
    lock = builder.directory / image.lock
    # One that was made of other files than are here was made of another lock, too.
    if lock.exists() and labels.get(INPUTS) == builder.inputs(image):
        name = lock.relative_to(HERE.parent) if lock.is_relative_to(HERE.parent) else lock.name
        yield {"name": str(name), "digest": {"sha256": hashlib.sha256(lock.read_bytes()).hexdigest()}}
    if BASE_NAME in labels:
        yield {"name": labels[BASE_NAME], "digest": {"sha256": labels[BASE_ID].removeprefix("sha256:")}}


def write(
    builder: Builder, found: Sequence[Found], key: Path, *, witnessed: bool = False
) -> list[tuple[str, ...]]:  # fmt: skip
    """Write the statement about each image that was `found`, and its signature; return a table of them.

    All are signed by one run of ssh-keygen. Raise Refusal where `key` cannot sign; and where the files of an image that
    was not `witnessed` as it was built are not those that its labels are of.
    """
    rows: list[tuple[str, ...]] = [("IMAGE", "STATEMENT", "SHA256", "FILE")]
    DIRECTORY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DIRECTORY, prefix=".signing-") as folder:
        drafts = []
        for image, facts in found:
            told = (
                about(image, facts, VOUCHED, {}) if isinstance(image, str)
                else statement(builder, image, facts, witnessed=witnessed)
            )  # fmt: skip
            name = told["subject"][0]["name"]
            draft, text = Path(folder, file_of(name)), json.dumps(told, indent=1) + "\n"
            draft.write_text(text, encoding="utf-8")
            drafts.append(draft)
            kind = "vouched for" if isinstance(image, str) else "provenance"
            rows.append((name, kind, hashlib.sha256(text.encode()).hexdigest(), str(DIRECTORY / draft.name)))
        signing.sign(drafts, key, NAMESPACE)
        for draft in drafts:
            for path in (draft, signing.path_of(draft)):
                path.replace(DIRECTORY / path.name)
    return rows


def sign_built(builder: Builder, tag: str, key: Path) -> None:
    """Sign the statement about our image `tag`, which was just built; no host gets a base. Raise Refusal."""
    image, facts = next(image for image in builder.images if image.tag == tag), builder.engine.inspect(tag)
    if image.name != "base" and facts:
        with builder.progress.step(image.short, "sign its provenance"):
            write(builder, [(image, facts)], key, witnessed=True)


def found_in(engine: Engine, images: Sequence[Image], names: Sequence[str], *, are_tags: bool) -> list[Found]:
    """Return the images called `names` that the engine has: ours by name, short or whole tag, others by their tag.

    Raise Refusal where it has none, and with `are_tags` where it has none at all.
    """
    chosen: dict[str, Found] = {}
    absent = []
    for name in names:
        ours = [image for image in images if name in {image.name, image.short, image.tag}]
        facts = {tag: engine.inspect(tag) for tag in ([image.tag for image in ours] or [name])}
        there = {tag: found for tag, found in facts.items() if found}
        absent += [] if there else [name]
        for tag, found in there.items():
            chosen[tag] = next((image for image in ours if image.tag == tag), tag), found
    if absent and (not are_tags or not chosen):
        raise Refusal(f"The engine has no image {' and no '.join(absent)}: build it, or load it, before you sign it.")
    return list(chosen.values())


def main(words: Sequence[str]) -> int:
    """Sign what `words` name, and say where the statements are; return 0. Raise Refusal where that cannot be."""
    parser = Parser(prog="provenance", description=DOES, allow_abbrev=False)
    parser.add_argument("names", nargs="+", metavar="NAME", help="bridge, bridge:py3.11, or another image's whole name")
    parser.add_argument("--tags", action="store_true", help="tags: those that the engine lacks are left out")
    parser.add_argument("--sign-key", type=Path, required=True, help="ssh key that signs")
    parser.add_argument("--addons", default="[]", help="add-ons of Plone, as a JSON list: images with them, too")
    wanted = parser.parse_args(words)
    images = load(on_request=True)
    images = (*images, *with_addons(images, addons.told(wanted.addons)))
    progress = report.Progress()
    with cache.lock(lambda: progress.say("provenance", "a build is running; waiting for it to end")):
        builder = Builder(Engine(), images, progress)
        found = found_in(builder.engine, images, wanted.names, are_tags=wanted.tags)
        print("\n".join(report.columns(write(builder, found, wanted.sign_key), right=set())))
    return 0


if __name__ == "__main__":
    run("provenance", main)
