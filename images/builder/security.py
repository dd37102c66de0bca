"""Security updates of Debian: what a suite's security archive has now, and which packages of an image are behind it.

apt reads the archive, as it does for a machine: conditional requests, signature, `Valid-Until`, hashes, proxy. The
lists are in the cache, never among those of this machine. An archive that cannot be read stops nothing.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from builder import Refusal, cache, contents, debian, inputs

# What was read or refused is believed that long by who did not ask for a look.
EVERY_HOURS = 6
# How long a look may take: for a build that only mentions updates, and for a run that asked for them.
MENTION_SECONDS = 10.0
ASKED_SECONDS = 60.0
# How long a mirror may be silent meanwhile.
SILENCE_SECONDS = 5


@dataclass(frozen=True)
class Update:
    """A package of an image whose security update is newer than what the image has."""

    package: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.package} {self.old} -> {self.new}"


@dataclass(frozen=True)
class Look:
    """What the security archive of `suite` held: package -> newest version, as read at `seen`.

    `trouble` is why it could not be read at `tried`; the versions are then those of an earlier look, or none. Times
    are in seconds since 1970, 0.0 for never. `is_named` is False where no security mirror is named at all.
    """

    suite: str
    tried: float = 0.0
    seen: float = 0.0
    trouble: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    is_named: bool = True

    @property
    def sentence(self) -> str:
        """What is said where the archive could not be read; "" where it was."""
        if not self.trouble:
            return ""
        day = time.strftime("%Y-%m-%d", time.gmtime(self.seen)) if self.seen else ""
        known = f"what it had on {day} counts" if day else "none are known"
        return f"Security updates of {self.suite} could not be looked up ({self.trouble}); {known}."


def look(suite: str, *, asked: bool = False) -> Look:
    """Return what the security archive of `suite` holds; an answer younger than EVERY_HOURS will do unless `asked`."""
    now = time.time()
    try:
        source = debian.security(suite)
    except Refusal as refusal:
        return Look(suite, now, trouble=str(refusal).rstrip("."))
    if source is None:
        why = "no security mirror is named; name one with EDUHUB_DEBIAN_SECURITY_MIRROR=http://..."
        return Look(suite, now, trouble=why, is_named=False)
    key = inputs.text_digest(source)[:16]
    kept = cache.home() / "security" / f"{suite}-{key}.json"
    before = _kept(kept, suite)
    if not asked and 0 <= now - before.tried < EVERY_HOURS * 3600:
        return before
    try:
        versions = _read(source, kept.with_suffix(""), ASKED_SECONDS if asked else MENTION_SECONDS)
        found = Look(suite, now, now, "", versions)
    except (Refusal, OSError) as error:
        found = Look(suite, now, before.seen, str(error), before.versions)
    with suppress(OSError), tempfile.TemporaryDirectory(dir=cache.home()) as draft:
        kept.parent.mkdir(exist_ok=True)
        Path(draft, "look").write_text(json.dumps(asdict(found)), encoding="utf-8")
        Path(draft, "look").rename(kept)
    return found


def updates(packages: Mapping[str, str], seen: Look) -> tuple[Update, ...]:
    """Return which of the installed `packages` (name -> version) have a newer version in what was `seen`."""
    pairs = [(name, old, seen.versions[name]) for name, old in sorted(packages.items()) if name in seen.versions]
    return tuple(Update(*pair) for pair in pairs if is_newer(pair[2], pair[1]))


@functools.cache
def is_newer(version: str, than: str) -> bool:
    """Whether the Debian `version` is newer than another; dpkg's own answer."""
    if version == than:
        return False
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than], check=False).returncode == 0


def _kept(file: Path, suite: str) -> Look:
    """Return the last look, one that never was where there is none that can be read."""
    try:
        return Look(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Look(suite)


def _read(source: str, home: Path, seconds: float) -> dict[str, str]:
    """Return package -> newest version of the apt `source`, its lists kept in `home`. Raise Refusal with the reason."""
    if not shutil.which("apt-get"):
        raise Refusal("apt-get is not installed here")
    for part in ("lists/partial", "archives/partial"):
        (home / part).mkdir(parents=True, exist_ok=True)
    (home / "sources.list").write_text(source + "\n", encoding="utf-8")
    _update(home, seconds)
    versions: dict[str, str] = {}
    for listing in (home / "lists").glob("*_Packages"):
        for fields in contents.paragraphs(listing.read_text(encoding="utf-8", errors="replace")):
            name, version = fields.get("Package", ""), fields.get("Version", "")
            if name and (name not in versions or is_newer(version, versions[name])):
                versions[name] = version
    return versions


def _update(home: Path, seconds: float) -> None:
    """Let apt bring the lists in `home` up to date. Raise Refusal with apt's reason where it does not in time."""
    options = {
        "Dir::Etc::SourceList": home / "sources.list", "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": home / "lists", "Dir::Cache": home,
        "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root", "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none", "Acquire::GzipIndexes": "false", "Acquire::Retries": 0,
        "Acquire::http::Timeout": SILENCE_SECONDS, "Acquire::https::Timeout": SILENCE_SECONDS,
    }  # fmt: skip
    # Above the machine's own configuration, of which proxies and the like count, and what it runs after an update not.
    hooks = [f"#clear APT::Update::{name};" for name in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")]
    lines = [*hooks, *(f'{name} "{value}";' for name, value in options.items())]
    (home / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["apt-get", "-qq", f"--config-file={home / 'apt.conf'}", "update"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    # A file, since what apt has started may hold a pipe open after apt itself was ended.
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            code = child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Refusal(f"no answer within {seconds:.0f} s") from None
        finally:
            child.kill()
            child.wait()
        output.seek(0)
        lines = output.read().splitlines()
    errors = [line[2:].strip() for line in lines if line.startswith(("E:", "W:"))]
    if code or errors:
        # Without the address that apt adds in brackets.
        raise Refusal(" ".join((errors or ["apt-get gave no reason"])[0].split(" [IP:")[0].split()).rstrip("."))
