"""Where this machine gets its Debian packages: read from its apt sources, for any suite that the mirror has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder import Refusal

APT = Path("/etc/apt")
# How the address of a Debian archive ends; the .list ones are the mirror lists of Debian's cloud images.
NAMES = {"debian", "debian-security", "debian.list", "debian-security.list"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def sources(suite: str, apt: Path = APT, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return one-line apt sources for `suite`.

    EDUHUB_DEBIAN_MIRROR names the mirror, and EDUHUB_DEBIAN_SECURITY_MIRROR one with security updates (none is
    used if only the first is set: an air-gapped site has what it mirrors). Without them the machine's own apt
    sources tell both. Raise Refusal where those name no Debian mirror, as on another distribution.
    """
    mirror = environment.get("EDUHUB_DEBIAN_MIRROR")
    security = environment.get("EDUHUB_DEBIAN_SECURITY_MIRROR")
    if mirror:
        return _lines(suite, mirror, security)
    known = list(_known(apt))
    main = next((uri for uri, name in known if "/" not in name and "-" not in name), None)
    if main is None:
        raise Refusal(f"No apt source below {apt} names a Debian mirror; name one with EDUHUB_DEBIAN_MIRROR=http://...")
    return _lines(suite, main, security or next((uri for uri, name in known if name.endswith("-security")), None))


def security(suite: str, apt: Path = APT, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the one of `sources` that has the security updates of `suite`, None where no such mirror is named."""
    return next((line for line in sources(suite, apt, environment) if line.split()[-2] == f"{suite}-security"), None)


def _lines(suite: str, mirror: str, security: str | None) -> list[str]:
    signed = f"[signed-by={KEYRING}] " if Path(KEYRING).exists() else ""
    lines = [f"deb {signed}{mirror} {suite} main"]
    return [*lines, f"deb {signed}{security} {suite}-security main"] if security else lines


def _known(apt: Path) -> Iterator[tuple[str, str]]:
    """Yield (URI, suite) of every Debian source in `apt`, of both formats."""
    for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.exists():
            yield from _one_line(path.read_text(encoding="utf-8"))
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        yield from _deb822(path.read_text(encoding="utf-8"))


def _one_line(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words[:1] != ["deb"]:
            continue
        while len(words) > 1 and words[1].startswith("["):
            # Options may hold spaces: they end with the first word that closes the bracket.
            end = next((at for at, word in enumerate(words) if word.endswith("]")), 1)
            del words[1 : end + 1]
        if len(words) >= 4 and _is_debian(words[1], words[3:]):
            yield words[1].rstrip("/"), words[2]


def _deb822(text: str) -> Iterator[tuple[str, str]]:
    for stanza in text.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ", "\t")):
                fields[name.lower()] = value.split()
        types, components = fields.get("types", []), fields.get("components", [])
        enabled = fields.get("enabled", ["yes"]) != ["no"]
        for uri in fields.get("uris", []) if "deb" in types and enabled else []:
            for suite in fields.get("suites", []) if _is_debian(uri, components) else []:
                yield uri.rstrip("/"), suite


def _is_debian(uri: str, components: list[str]) -> bool:
    """Whether a source is Debian's own archive or a copy of it, not one of the others that machines have."""
    last = uri.rstrip("/").rsplit("/", 1)[-1]
    return ("main" in components and last in NAMES) or "/archive/debian/" in uri
