"""Debian packages with all that they depend on, fetched for any suite, and the index that apt reads beside them.

apt decides on the host what of them is missing there: it knows what the host has, we do not.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder import Refusal, cache, debian
from builder.inputs import text_digest
from builder.kit.unpacked import INDEX


def fetch(suite: str, packages: Sequence[str], optional: Sequence[str]) -> Path:
    """Return a directory with `packages` of `suite`, those of the `optional` ones that it has, and apt's index.

    Raise Refusal where the suite has not all of `packages`, or the mirror does not give them.
    """
    with tempfile.TemporaryDirectory() as folder:
        apt = Apt(suite, Path(folder))
        apt.run("apt-get", "--quiet=2", "update")
        there = apt.run("apt-cache", "--generate", "pkgnames").split()
        if absent := [name for name in packages if name not in there]:
            raise Refusal(
                f"Debian {suite} has no package {absent[0]}: where docker_host_packages names it, put it into "
                "docker_host_split_packages if another suite has it; one of another archive no kit brings, so install "
                "it on the hosts by hand."
            )
        wanted = [*packages, *(name for name in optional if name in there)]
        install = ["apt-get", "--quiet=2", "--yes", "--no-install-recommends"]
        # "Inst NAME (VERSION ...)"; nothing is installed here, so all that is needed is in the list.
        planned = apt.run(*install, "--simulate", "install", *wanted).splitlines()
        chosen = [line.split() for line in planned if line.startswith("Inst ")]
        index = apt.run("apt-cache", "show", *(f"{words[1]}={words[2].lstrip('(')}" for words in chosen))

        def make(draft: Path) -> None:
            apt.run(*install, "--download-only", "install", *wanted)
            kept = {_normal(file.name): file for file in apt.archives.glob("*.deb")}
            stanzas = []
            for stanza in filter(None, index.split("\n\n")):
                lines = stanza.strip().splitlines()
                fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))
                name = f"{fields['Package']}_{fields['Version']}_{fields['Architecture']}.deb"
                flat = Path(fields["Filename"]).name  # without the epoch, whose colon an address would have quoted
                shutil.move(kept[name], draft / flat)  # /tmp may be another file system than the cache
                stanzas.append("\n".join(f"Filename: ./{flat}" if li.startswith("Filename:") else li for li in lines))
            (draft / INDEX).write_text("\n\n".join(stanzas) + "\n", encoding="utf-8")

        entry, _ = cache.keep("kit-debian", text_digest(f"{suite}\n{index}"), make)
        return entry


def _normal(name: str) -> str:
    return name.replace("%3a", ":")


class Apt:
    """apt with sources, lists and packages of its own in `folder`, as on a machine of `suite` that has nothing."""

    def __init__(self, suite: str, folder: Path) -> None:
        self._suite, self._folder = suite, folder
        self._lines = debian.sources(suite)
        self.archives = folder / "cache/archives"
        for name in ("lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text("\n".join(self._lines) + "\n", encoding="utf-8")

    def run(self, *words: str) -> str:
        """Return what a program of apt's prints. Raise Refusal where it fails."""
        settings = {
            "Dir::State": "", "Dir::State::status": "status", "Dir::State::lists": "lists", "Dir::Cache": "cache",
            "Dir::Etc": "etc", "Dir::Etc::sourcelist": "sources.list", "Dir::Etc::sourceparts": "etc/none",
        }  # fmt: skip
        options = [word for name, path in settings.items() for word in ("-o", f"{name}={self._folder / path}")]
        # Keys and proxies are this machine's; apt gives its rights away where it can, and may not read the folder then.
        options += ["-o", "Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d", "-o", "APT::Sandbox::User=root"]
        done = subprocess.run([words[0], *options, *words[1:]], capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line.removeprefix("E: ") for line in done.stderr.splitlines() if line.startswith("E: ")]
            why = (errors or ["no reason given"])[0].rstrip(".")
            mirrors = ", ".join(line.split()[-3] for line in self._lines)
            raise Refusal(
                f"apt could not get packages of {self._suite} from {mirrors} ({why}); check the network, or name a "
                "mirror that has them with EDUHUB_DEBIAN_MIRROR=http://..."
            )
        return done.stdout
