"""The wheels of a hashed lock, fetched on this machine for the Python that is inside an image."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from builder import Refusal, pip_settings


@dataclass(frozen=True)
class Target:
    """The Python that wheels are fetched for: "3.11.2", its C library ("2.36") and the machine ("x86_64")."""

    version: str
    glibc: str
    machine: str

    @property
    def python(self) -> str:
        """The version as wheels are tagged with it: "3.11"."""
        return ".".join(self.version.split(".")[:2])

    @property
    def platforms(self) -> list[str]:
        """Every platform tag that runs here, the newest C library first."""
        newest = int(self.glibc.split(".")[1])
        names = [f"manylinux_2_{minor}" for minor in range(newest, 4, -1)]
        return [f"{name}_{self.machine}" for name in (*names, "manylinux2014", "manylinux2010", "manylinux1", "linux")]

    @property
    def markers(self) -> dict[str, str]:
        """The environment that `; python_version < ...` is asked about: the image's, not this machine's."""
        return {
            "python_version": self.python,
            "python_full_version": self.version,
            "implementation_version": self.version,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
        }


def requirements(lock: str, target: Target) -> dict[str, str]:
    """Return the requirements of the text `lock` that count on `target`: name -> "name==1.0 --hash=..."."""
    wanted = {}
    for entry in entries(lock):
        spec, *hashes = re.split(r"\s+(?=--hash=)", entry)
        requirement = Requirement(spec)
        if not hashes:
            raise Refusal(f"The lock has {spec.strip()!r} without a hash; renew it with ./invoke lock.")
        if requirement.marker is None or requirement.marker.evaluate(dict(target.markers)):
            wanted[requirement.name] = " ".join([f"{requirement.name}{requirement.specifier}", *hashes])
    return wanted


def entries(lock: str) -> Iterator[str]:
    """Yield the entries of a lock, continued lines joined, comments and options left out."""
    for line in lock.replace("\\\n", " ").splitlines():
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if entry and not entry.startswith("-"):
            yield entry


def fetch(
    wanted: dict[str, str], target: Target, sdists: tuple[str, ...], tools: Path, into: Path, beside: Path | None = None
) -> None:
    """Download the wheels of `wanted` to `into`; those in `sdists` have none, so theirs are built here.

    `tools` is a directory that `fetch_tools` filled, `beside` one with wheels that are on no index. Raise Refusal where
    an index does not answer or offers something else than the lock says.
    """
    pip = [sys.executable, str(tools / "pip.whl" / "pip")]
    links = ["--find-links", str(beside)] if beside else []
    lock = into / "lock.txt"
    lock.write_text("\n".join(line for name, line in wanted.items() if name not in sdists), encoding="utf-8")
    where = [word for name in target.platforms for word in ("--platform", name)]
    _pip(
        pip, ["download", "--no-deps", "--only-binary=:all:", "--implementation=cp", "--require-hashes",
         "--python-version", target.version, *where, *links, "--dest", str(into), "--requirement", str(lock)],
    )  # fmt: skip
    for name in sdists:
        lock.write_text(wanted[name], encoding="utf-8")
        # pip keeps the wheels it made before, with whatever it made them: they would be in an image without a hash.
        _pip(
            pip, ["wheel", "--no-deps", "--no-build-isolation", "--use-pep517", "--require-hashes",
             "--no-binary", name, *links, "--wheel-dir", str(into), "--requirement", str(lock)],
            PYTHONPATH=str(tools / "setuptools"), SOURCE_DATE_EPOCH="315532800", PIP_NO_CACHE_DIR="1",
        )  # fmt: skip
    lock.unlink()


def fetch_tools(lock: Path, into: Path) -> None:
    """Fill `into` with what `lock` pins: pip.whl, to be run as it is, and setuptools unpacked, for sdists."""
    own_pip = [sys.executable, "-m", "pip"]
    _pip(own_pip, ["download", "--no-deps", "--only-binary=:all:", "--require-hashes",
          "--dest", str(into), "--requirement", str(lock)])  # fmt: skip
    next(into.glob("pip-*.whl")).rename(into / "pip.whl")
    wheel = next(into.glob("setuptools-*.whl"))
    _pip(own_pip, ["install", "--no-deps", "--no-index", "--target", str(into / "setuptools"), str(wheel)])
    wheel.unlink()


def _pip(pip: list[str], words: list[str], **environment: str) -> None:
    """Run `pip` with `words`, of which the first is its command; raise Refusal with its own reason where it fails."""
    settings = pip_settings.environment(pip, words[0])
    common = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}
    done = subprocess.run(
        [*pip, *words], env={**settings, **common, **environment}, capture_output=True, text=True, check=False
    )
    if not done.returncode:
        return
    output = done.stderr + done.stdout
    if "No space left on device" in output:
        raise Refusal("The disk is full: free some space for the wheels and try again.")
    errors = [line.removeprefix("ERROR: ").strip() for line in done.stderr.splitlines() if "ERROR" in line]
    why = errors[-1] if errors else (output.strip().splitlines() or ["no reason given"])[-1]
    if "No matching distribution found" in why:
        # pip says the same of an index that does not answer and of one that lacks the version or the platform.
        why = f"no index that answers has {why.rpartition(' for ')[2]} for this Python"
    if changed := re.search(r"DO NOT MATCH THE HASHES.*?\n\s*(\S+?)[ =]", output, re.DOTALL):
        raise Refusal(f"The file of {changed[1]} is not the one in the lock; put that one back, or renew the lock.")
    raise Refusal(
        f"pip could not fetch the wheels ({why.rstrip('.')}); "
        "check the network, or name your index with PIP_INDEX_URL=..."
    )
