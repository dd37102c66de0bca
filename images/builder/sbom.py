"""`python -m builder.sbom [NAME...] [--to DIRECTORY]`: a CycloneDX document of each image that is built here."""

from __future__ import annotations

import hashlib
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.exceptions import InvalidSpdxLicenseException
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder import Refusal, addons, cache, report, wheels
from builder.__main__ import Parser, run
from builder.build import Builder, built, created
from builder.catalogue import Image, load, with_addons
from builder.contents import Contents, Distribution, Package
from builder.engine import Engine
from builder.wheels import Target

DOES = "Write a CycloneDX document of what is in each image that is built here."
DIRECTORY = Path("reports/sbom")
LICENCES = LicenseFactory()
TOOL = Component(type=ComponentType.APPLICATION, name="eduhub-rollout")

# The sha256 of each file that a lock admits, by canonical name and version.
Hashes = Mapping[tuple[str, str], Sequence[str]]


def document(tag: str, facts: Mapping[str, Any], found: Contents, hashes: Hashes) -> str:
    """Return the CycloneDX 1.6 document, as JSON, of the image `tag` with what is `found` in it.

    `facts` are the engine's. The same arguments give the same text: the serial number comes from the image's id, the
    time from its creation.
    """
    image = Component(
        type=ComponentType.CONTAINER, name=tag.partition(":")[0], version=tag.partition(":")[2], bom_ref=facts["Id"],
        properties=[Property(name=name, value=value) for name, value in (facts["Config"].get("Labels") or {}).items()],
    )  # fmt: skip
    components = [
        *(_package(package, found) for package in found.packages),
        *(_distribution(distribution, hashes) for distribution in found.distributions),
    ]
    if found.system:
        components.append(
            Component(
                type=ComponentType.OPERATING_SYSTEM, name=found.system, version=found.release or None,
                bom_ref="operating-system",
            )
        )  # fmt: skip
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, facts["Id"]),
        metadata=BomMetaData(component=image, timestamp=created(facts), tools=ToolRepository(components=[TOOL])),
        components=components,
    )
    bom.register_dependency(image, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def locked(lock: Path, python: str) -> dict[tuple[str, str], list[str]]:
    """Return what the file `lock` admits for `python` ("3.11.2"); {} without a lock."""
    if not lock.exists():
        return {}
    wanted = wheels.requirements(lock.read_text(encoding="utf-8"), Target(python, "2.17", "x86_64"))
    admitted: dict[tuple[str, str], list[str]] = {}
    for line in wanted.values():
        pin, *hashes = line.split(" --hash=sha256:")
        requirement = Requirement(pin)
        admitted[canonicalize_name(requirement.name), next(iter(requirement.specifier)).version] = hashes
    return admitted


def _package(package: Package, found: Contents) -> Component:
    purl = found.purl(package)
    source = f"{package.source} {package.source_version}"
    said = {"org.eduhub.debian.architecture": package.architecture, "org.eduhub.debian.source": source}
    return Component(
        type=ComponentType.LIBRARY, name=package.name, version=package.version, bom_ref=purl,
        purl=PackageURL.from_string(purl), licenses=[_licence(name) for name in package.licences],
        properties=[Property(name=name, value=value) for name, value in said.items()],
    )  # fmt: skip


def _distribution(distribution: Distribution, hashes: Hashes) -> Component:
    name, version = canonicalize_name(distribution.name), distribution.version
    admitted = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in hashes.get((name, version), ())]
    # The lock admits a file for each platform: they are those of the distribution, not of this component. It has no
    # address, since any index may serve it.
    named = XsUri(distribution.purl)
    where = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=named, hashes=admitted)
    licences = distribution.licences
    # An expression must be the only one.
    licenses = [LICENCES.make_from_string(licences[0])] if len(licences) == 1 else [_licence(name) for name in licences]
    return Component(
        type=ComponentType.LIBRARY, name=distribution.name, version=version, bom_ref=distribution.purl,
        purl=PackageURL.from_string(distribution.purl), external_references=[where] if admitted else [],
        licenses=licenses,
    )  # fmt: skip


def _licence(name: str) -> License:
    """Return the licence called `name`, by SPDX's id where it is one."""
    try:
        return LICENCES.make_with_id(name)
    except InvalidSpdxLicenseException:
        return LICENCES.make_with_name(name)


def write(text: str, file: Path) -> None:
    """Write `text` to `file`, whole or not at all. Raise Refusal where that cannot be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".sbom-") as draft:
            Path(draft, "sbom").write_text(text, encoding="utf-8")
            Path(draft, "sbom").replace(file)
    except OSError as error:
        raise Refusal(f"{file} cannot be written ({error.strerror}); name another directory with --to.") from None


def text(builder: Builder, image: Image, facts: Mapping[str, Any]) -> str:
    """Return the document of our `image`, as the engine's `facts` describe it."""
    python = (facts["Config"].get("Labels") or {}).get("org.eduhub.python")
    hashes = locked(builder.directory / image.lock, python) if python else {}
    return document(image.tag, facts, builder.contents(image, facts["Id"]), hashes)


def file_of(image: Image) -> str:
    """Return the name of the file with the document of `image`."""
    return f"{re.sub('[:/]', '-', image.short)}.cdx.json"


def main(words: Sequence[str]) -> int:
    """Write what `words` ask for and say where; return 0. Raise Refusal where an image that is named is not built."""
    parser = Parser(prog="sbom", description=DOES, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bridge, bridge:py3.11, ...; without it all")
    parser.add_argument("--to", type=Path, default=DIRECTORY, help=f"directory of the files; default: {DIRECTORY}")
    parser.add_argument("--addons", default="[]", help="add-ons of Plone, as a JSON list: images with them, too")
    wanted = parser.parse_args(words)
    images = load(on_request=True)
    images = (*images, *with_addons(images, addons.told(wanted.addons)))
    print("\n".join(report.columns(write_all(images, wanted.names, wanted.to), right={1, 2})))
    return 0


def write_all(images: Sequence[Image], names: Sequence[str], to: Path) -> list[tuple[str, ...]]:
    """Write the document of each of `images` that is built, of those called `names` if any, into `to`.

    Return a table of them. Raise Refusal where an image that is named is not built.
    """
    progress = report.Progress()
    rows: list[tuple[str, ...]] = [("IMAGE", "DEBIAN", "PYTHON", "SHA256", "FILE")]
    with cache.lock(lambda: progress.say("sbom", "a build is running; waiting for it to end")):
        builder = Builder(Engine(), images, progress)
        chosen = built(builder.engine, images, names)
        for image, facts in chosen:
            found, told, file = builder.contents(image, facts["Id"]), text(builder, image, facts), to / file_of(image)
            write(told, file)
            digest = hashlib.sha256(told.encode()).hexdigest()
            rows.append((image.tag, str(len(found.packages)), str(len(found.distributions)), digest, str(file)))
    return rows


if __name__ == "__main__":
    run("sbom", main)
