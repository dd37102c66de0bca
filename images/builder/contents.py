"""What is in an image: its Debian packages and Python distributions, with their licences, as its own files name them.

The audit and the SBOM both read it here.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.parser import HeaderParser
from pathlib import Path

from packageurl import PackageURL
from packaging.utils import canonicalize_name

STATUS = "var/lib/dpkg/status"
RELEASE = "usr/lib/os-release"
DOCS = "usr/share/doc/"
# States of dpkg in which nothing of a package is there; in any other it may be, as in "triggers-pending".
ABSENT = {"", "not-installed", "config-files"}
METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO")
# A longer "short name" of a licence is a sentence of its text.
LICENCE_CHARACTERS = 50


@dataclass(frozen=True)
class Package:
    """An installed package of Debian. `source` and `source_version` are those of the source it was built from.

    `licences` are the short names in its copyright file, Debian's or SPDX's; () where that file is only prose.
    """

    name: str
    version: str
    architecture: str = ""
    source: str = ""
    source_version: str = ""
    licences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """An installed Python distribution. `licences` is one name or SPDX expression, or the names of its classifiers."""

    name: str
    version: str
    licences: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        """Its package URL, as "pkg:pypi/orjson@3.11.5"."""
        return PackageURL("pypi", name=canonicalize_name(self.name), version=self.version).to_string()


@dataclass(frozen=True)
class Contents:
    """What an image holds, by name; `system` and `release` are ID and VERSION_ID of its os-release ("debian", "12")."""

    system: str = ""
    release: str = ""
    packages: tuple[Package, ...] = ()
    distributions: tuple[Distribution, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """The Debian packages: name -> version."""
        return {package.name: package.version for package in self.packages}

    @property
    def purls(self) -> tuple[str, ...]:
        """The package URL of all that is inside, Debian's packages first."""
        return (*map(self.purl, self.packages), *(distribution.purl for distribution in self.distributions))

    def purl(self, package: Package) -> str:
        """Return the package URL of `package`, with the system and the source by which scanners know it."""
        system = self.system or "debian"
        qualifiers = {"arch": package.architecture, "distro": f"{system}-{self.release}" if self.release else ""}
        if (package.source, package.source_version) != (package.name, package.version):
            qualifiers["upstream"] = f"{package.source}@{package.source_version}" if package.source else ""
        known = {name: value for name, value in qualifiers.items() if value}
        return PackageURL("deb", system, package.name, package.version, known).to_string()

    def save(self, file: Path) -> None:
        """Write it to `file`, for `load`."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")


def load(file: Path) -> Contents:
    """Return what `save` wrote to `file`."""
    document = json.loads(file.read_text(encoding="utf-8"))
    packages = (Package(**row | {"licences": tuple(row["licences"])}) for row in document["packages"])
    found = (Distribution(**row | {"licences": tuple(row["licences"])}) for row in document["distributions"])
    return Contents(document["system"], document["release"], tuple(packages), tuple(found))


def read(archive: tarfile.TarFile) -> Contents:
    """Return what is in the root file system `archive`, which may be a stream; nothing of what it does not name."""
    texts: dict[str, str] = {}
    links: dict[str, str] = {}
    for member in archive:
        name = member.name.removeprefix("./")
        if member.issym() and name.startswith(DOCS):
            links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.isfile() and _is_read(name) and (content := archive.extractfile(member)):
            texts[name] = content.read().decode(errors="replace")
    release = dict(line.split("=", 1) for line in texts.get(RELEASE, "").splitlines() if "=" in line)
    packages = (_package(fields, texts, links) for fields in _installed(texts.get(STATUS, "")))
    named = (_distribution(text) for name, text in texts.items() if name.endswith(METADATA))
    # setuptools, for one, brings copies of others.
    found = {one.purl: one for one in named if one}
    return Contents(
        release.get("ID", "").strip('"'),
        release.get("VERSION_ID", "").strip('"'),
        tuple(sorted(packages, key=lambda package: (package.name, package.architecture))),
        tuple(found[purl] for purl in sorted(found)),
    )


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Yield the paragraphs of a Debian control file, the first line of each field."""
    for paragraph in text.split("\n\n"):
        lines = (line for line in paragraph.splitlines() if line[:1].strip())
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        if fields:
            yield fields


def _is_read(name: str) -> bool:
    is_copyright = name.startswith(DOCS) and name.endswith("/copyright")
    return is_copyright or name in {STATUS, RELEASE} or name.endswith(METADATA)


def _installed(status: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each installed package of a dpkg status file."""
    for fields in paragraphs(status):
        if fields.get("Status", "").rpartition(" ")[2] not in ABSENT and "Version" in fields:
            yield fields


def _package(fields: dict[str, str], texts: dict[str, str], links: dict[str, str]) -> Package:
    name, version = fields["Package"], fields["Version"]
    # "openssl (3.0.17-1)" where the versions differ, "openssl" where they do not.
    source, _, other = fields.get("Source", name).partition(" ")
    home = links.get(DOCS + name, DOCS + name)
    file = links.get(f"{home}/copyright", f"{home}/copyright")
    licences = _licences(texts.get(file, ""))
    return Package(name, version, fields.get("Architecture", ""), source, other.strip("()") or version, licences)


def _licences(text: str) -> tuple[str, ...]:
    """Return the short names in a copyright file of Debian's machine-readable form; () of any other."""
    if not text.lstrip().startswith("Format:"):
        return ()
    names = {" ".join(fields.get("License", "").split()) for fields in paragraphs(text)}
    return tuple(sorted(name for name in names if 0 < len(name) <= LICENCE_CHARACTERS))


def _distribution(text: str) -> Distribution | None:
    """Return the distribution of a METADATA file; None where it names none."""
    fields = HeaderParser().parsestr(text)
    if not (fields["Name"] and fields["Version"]):
        return None
    expression, licence = fields.get("License-Expression", ""), fields.get("License", "").replace("UNKNOWN", "")
    classifiers = [line.split(" :: ") for line in fields.get_all("Classifier", [])]
    named = sorted({words[-1] for words in classifiers if words[0] == "License" and words[-1] != "OSI Approved"})
    # Older ones have the whole text of the licence there.
    if expression or 0 < len(licence) <= LICENCE_CHARACTERS:
        named = [expression or licence]
    return Distribution(fields["Name"], fields["Version"], tuple(named))
