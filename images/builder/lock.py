"""`python -m builder.lock --addons JSON -- OPTION...`: the hashed locks of Plone with an institution's add-ons.

OPTION are those of `uv pip compile` for every lock. Exit code 0, or 2 with one sentence on stderr.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from builder import HERE, Refusal, addons, wheels
from builder.__main__ import Parser, run
from builder.addons import AddOns
from builder.catalogue import Image, choose, listed, load, pythons

DOES = "Lock Plone with the add-ons of an inventory, beside the packages that our Plone has."
NEXT = (
    ("not found", "correct the name, put its wheel into {directory}, or name the index that has it"),
    ("no usable wheels", "add the package to plone_addon_sdists if it is pure Python"),
    (
        "requested Python version",
        "take another release of the add-on, or lock for the newest Python alone with --python {newest}",
    ),
    ("no version of", "take a release that there is; what has a file in {directory} comes from there alone"),
    ("peer certificate", "give this machine the authority of your proxy or index (update-ca-certificates)"),
    ("unsatisfiable", "take a release of the add-on that fits: Plone's own packages stay as {pins} has them"),
)
NETWORK = "check the network, or name your index with UV_DEFAULT_INDEX=..."
# The files of an institution's own, and what tells their names.
FORMS: dict[str, Callable[[str], tuple[Any, ...]]] = {".whl": parse_wheel_filename, ".gz": parse_sdist_filename}
# How uv ends each of its explanations.
USELESS = ", we can conclude that your requirements are unsatisfiable"


def compiled(told: AddOns, image: Image, python: str, options: Sequence[str], upgraded: Sequence[str] = ()) -> str:
    """Return the lock of `told` for the version of our Plone `image`, from `python` on, without its header.

    What an earlier lock has of them stays, but for the `upgraded` ones and those with files in the directory: of these
    the newest is taken.
    Raise Refusal where they do not fit our packages, or one another.
    """
    ours, before = HERE / image.lock, told.lock(image.version)
    told.directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wanted, constraints, lock = (Path(folder, name) for name in ("addons.in", "constraints.txt", "lock.txt"))
        wanted.write_text("\n".join(told.requirements), encoding="utf-8")
        constraints.write_text("\n".join(told.constraints), encoding="utf-8")
        if before.exists():
            shutil.copy(before, lock)
        sources = [word for name in (*image.sdists, *told.sdists) for word in ("--no-binary", name)]
        own = offered(told.directory, Path(folder, "index"))
        # An earlier lock would keep the hash of a file that was made anew since.
        anew = [word for name in (*own, *upgraded) for word in ("--upgrade-package", name)]
        # A name that the first index has comes from no other one, whatever version a stranger publishes there.
        addresses = [Path(folder, "index").as_uri(), *os.environ.get("UV_INDEX", "").split()]
        # In the environment: one may have a password in it. A proxy's certificate authority only this machine knows.
        environment = {"UV_SYSTEM_CERTS": "1", **os.environ, "UV_INDEX": " ".join(addresses)}
        done = subprocess.run(
            [sys.executable, "-m", "uv", "pip", "compile", "--index-strategy", "first-index", *options,
             "--python-version", python, "--only-binary", ":all:", *sources, *anew, "--constraints", str(ours),
             "--constraints", str(constraints), "--output-file", str(lock), str(ours.with_name("requirements.in")),
             str(wanted)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Refusal(refusal(done.stderr, told, image))
        text = lock.read_text(encoding="utf-8")
    demand_own(text, own, told.directory)
    return text


def offered(directory: Path, index: Path) -> dict[str, set[str]]:
    """Write an index of the files in `directory` to `index`; return the hashes of each name, as a lock has them.

    Raise Refusal for a file whose name tells no package.
    """
    index.mkdir()
    own: dict[str, set[str]] = {}
    for path in sorted(each for each in directory.iterdir() if each.suffix in FORMS):
        try:
            name = FORMS[path.suffix](path.name)[0]
        except (InvalidSdistFilename, InvalidWheelFilename):
            raise Refusal(f"{path} has no name of a wheel: make it with python -m build --wheel.") from None
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        own.setdefault(name, set()).add(f"--hash=sha256:{digest}")
        (index / name).mkdir(exist_ok=True)
        with (index / name / "index.html").open("a", encoding="utf-8") as page:
            page.write(f'<a href="{path.resolve().as_uri()}#sha256={digest}">{path.name}</a>\n')
    return own


def demand_own(text: str, own: dict[str, set[str]], directory: Path) -> None:
    """Raise Refusal where the lock `text` has a name of `own` with another hash than those of its files."""
    for entry in wheels.entries(text):
        spec, *hashes = entry.split(" --hash=")
        name = Requirement(spec).name
        if name in own and not {f"--hash={each.strip()}" for each in hashes} <= own[name]:
            raise Refusal(
                f"{name} has a file in {directory}, and uv took another one: unset UV_FIND_LINKS, and remove "
                "find-links from your uv.toml."
            )


def refusal(stderr: str, told: AddOns, image: Image) -> str:
    """Return in one sentence why uv found no lock, and what to do."""
    error = stderr.rpartition("error: ")[2].partition("\n\nhint:")[0]
    said = " ".join(error.split()).replace(" cause:", ":")
    why = said.removeprefix("No solution found when resolving dependencies: ").rstrip(".").removesuffix(USELESS)
    advice = next((advice for sign, advice in NEXT if sign in said), NETWORK)
    pins = f"images/{image.lock}"
    names = {"directory": told.directory, "newest": image.python, "pins": pins}
    what = f"The add-ons of {told.inventory} cannot be locked for Plone {image.version}"
    return f"{what}: {why}; {advice.format(**names)}".rstrip(".") + ("..." if advice == NETWORK else ".")


def write(told: AddOns, image: Image, python: str, text: str) -> Path:
    """Write the lock `text` under its header, whole or not at all; return its path."""
    lock = told.lock(image.version)
    with tempfile.TemporaryDirectory(dir=lock.parent, prefix=".lock-") as draft:
        Path(draft, "lock").write_text(addons.header(told, HERE / image.lock, python) + text, encoding="utf-8")
        Path(draft, "lock").replace(lock)
    return lock


def main(words: Sequence[str]) -> int:
    """Make the locks that `words` ask for and name them; return 0. Raise Refusal where one cannot be made."""
    parser = Parser(prog="lock", description=DOES, allow_abbrev=False)
    parser.add_argument("options", nargs="*", metavar="OPTION", help="option of `uv pip compile`")
    parser.add_argument("--addons", required=True, help="the add-ons, as a JSON list")
    parser.add_argument("--version", help="version of Plone; default: those that the inventory names")
    parser.add_argument("--python", help="oldest Python to lock for; default: the oldest that the version is built for")
    parser.add_argument("--upgrade-package", action="append", default=[], help="package to take the newest of")
    wanted = parser.parse_args(words)
    catalogue = load(on_request=True)
    for told in addons.told(wanted.addons):
        for version in [wanted.version] if wanted.version else told.versions:
            choose(catalogue, ["plone"], wanted.python, version)  # refuses what there is not
            rows = choose(catalogue, ["plone"], None, version)
            known = pythons(rows, "plone")
            python = wanted.python or known[0]
            newest = next(row for row in rows if row.python == known[-1])
            lock = write(told, newest, python, compiled(told, newest, python, wanted.options, wanted.upgrade_package))
            print(f"{lock}: for Plone {version}, Python {listed(known[known.index(python):])}")
    return 0


if __name__ == "__main__":
    run("lock", main)
