"""What an image holds, read from its files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.contents import DOCS, RELEASE, STATUS, Contents, Distribution, Package, load, read
from tests.unit.builder.roots import archive

LIBC = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u14\n"
SSL = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl (3.0)\nVersion: 3.0+b1\n"
BOOKWORM = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'


def found(files: Mapping[str, str | bytes], **links: str) -> Contents:
    """Return what is read from a root file system with `files`, and the doc directories that are `links`."""
    named = {DOCS + name: target for name, target in links.items()}
    with tarfile.open(fileobj=io.BytesIO(archive(files, named)), mode="r|") as stream:
        return read(stream)


def licences(copyright_file: str) -> tuple[str, ...]:
    """Return the licences of a package with this copyright file."""
    (package,) = found({f"./{STATUS}": LIBC, f"{DOCS}libc6/copyright": copyright_file}).packages
    return package.licences


def distribution(*fields: str) -> Distribution:
    """Return the distribution that METADATA with `fields` names."""
    text = "\n".join(["Metadata-Version: 2.4", "Name: Zope.Interface", "Version: 6.3", *fields]) + "\n\nIts manual."
    (one,) = found({"opt/lib/zope.interface-6.3.dist-info/METADATA": text}).distributions
    return one


def test_only_installed_packages_count() -> None:
    """What was taken out again leaves its configuration's entry behind; what waits for a trigger is there."""
    bins = LIBC.replace("libc6", "libc-bin").replace("ok installed", "ok triggers-pending")
    perl = "Package: perl\nStatus: deinstall ok config-files\nVersion: 5\n"
    versions = found({f"./{STATUS}": f"{LIBC}Description: GNU C library\n more: text\n\n{bins}\n{perl}"}).versions
    assert versions == dict.fromkeys(("libc-bin", "libc6"), "2.36-9+deb12u14")


def test_a_package_has_the_source_it_was_built_from() -> None:
    """Debian's advisories speak of sources, and a binary rebuild has a version of its own."""
    libc, ssl = found({STATUS: f"{LIBC}\n{SSL}"}).packages
    assert (libc.source, libc.source_version) == ("glibc", "2.36-9+deb12u14")
    assert (ssl.source, ssl.source_version) == ("openssl", "3.0")


def test_a_package_url_names_system_architecture_and_source() -> None:
    """By these, scanners look a package of Debian up; what equals the package is left out."""
    zlib = "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib1g\nVersion: 1:1.2\n"
    assert found({STATUS: f"{SSL}\n{zlib}", RELEASE: BOOKWORM}).purls == (
        "pkg:deb/debian/libssl3@3.0%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0",
        "pkg:deb/debian/zlib1g@1:1.2?arch=amd64&distro=debian-12",
    )


def test_licences_are_the_short_names_of_a_machine_readable_copyright() -> None:
    """Each once; the text of a licence is not its name."""
    text = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        "Files: *\nLicense: GPL-2+\n text\n\n"
        "Files: a\nLicense: BSD-3-clause\n\nFiles: b\nLicense: GPL-2+\n\n"
        "License: Permission to use, copy, modify, and distribute this software and its\n"
    )
    assert licences(text) == ("BSD-3-clause", "GPL-2+")
    assert licences("This is the Debian package of glibc.\nLicense: as below\n") == ()


@pytest.mark.parametrize("target", ["gcc-14-base", "../doc/gcc-14-base"])
def test_a_package_may_share_the_copyright_of_another(target: str) -> None:
    """Debian makes the directory a link."""
    shared = found({STATUS: LIBC, f"{DOCS}gcc-14-base/copyright": "Format: x\n\nLicense: GPL-3\n"}, libc6=target)
    assert shared.packages[0].licences == ("GPL-3",)


def test_a_distribution_has_its_licence_by_the_best_field() -> None:
    """An expression before a name, a name before classifiers, classifiers before a whole text."""
    classifiers = ["Classifier: License :: OSI Approved", "Classifier: License :: OSI Approved :: MIT License"]
    text = f"License: {'Permission is hereby granted. ' * 9}"
    assert distribution("License: MIT", "License-Expression: ZPL-2.1 OR MIT").licences == ("ZPL-2.1 OR MIT",)
    assert distribution("License: ZPL 2.1", *classifiers).licences == ("ZPL 2.1",)
    assert distribution(text, *classifiers).licences == ("MIT License",)
    assert distribution("License: UNKNOWN").licences == ()


def test_a_distribution_is_found_wherever_it_is_and_named_once() -> None:
    """On a given base, Python stands elsewhere; a package may bring a copy of another; a file may be damaged."""
    text = "Metadata-Version: 2.1\nName: Wheel\nVersion: 1\n\n"
    both = found(
        {
            "usr/local/lib/python3.11/site-packages/wheel-1.dist-info/METADATA": text,
            "usr/local/lib/python3.11/site-packages/setuptools/_vendor/wheel-1.dist-info/METADATA": text,
            "usr/lib/python3/dist-packages/six.egg-info/PKG-INFO": "Name: six\nVersion: 2\n\n",
            "opt/broken.dist-info/METADATA": b"\xff\x00",
        }
    )
    assert both.purls == ("pkg:pypi/six@2", "pkg:pypi/wheel@1")


def test_the_package_url_of_a_distribution_has_its_normal_name() -> None:
    """As PyPI and advisories write it."""
    assert distribution().purl == "pkg:pypi/zope-interface@6.3"


def test_a_root_file_system_that_names_nothing_holds_nothing() -> None:
    """Not every base is a Debian."""
    assert found({"bin/true": ""}) == Contents()


def test_what_is_kept_is_what_was_read(tmp_path: Path) -> None:
    """The cache holds it as JSON, which has no tuples."""
    whole = Contents("debian", "12", (Package("a", "1", licences=("MIT",)),), (Distribution("b", "2", ("ZPL",)),))
    whole.save(tmp_path / "kept")
    assert load(tmp_path / "kept") == whole
