"""Where an image has Python code, and whose it is."""

import csv
import os
import re
import sys
import sysconfig
from typing import Container, Dict, Iterator, List, Optional, Sequence, Set, Tuple

# A working directory that was not chosen is no place for code.
NOBODYS = ("/", "/tmp", "/root")  # noqa: S108 - compared, not used


class Distribution:
    """An installed distribution: `built` from a folder, as an institution's own code is, or brought from elsewhere.

    `requires`: the names of the distributions that it may need, those of its extras included; `needs`: those that it
    always needs. `targets`: the module that each of its scripts starts.
    """

    def __init__(
        self, name: str, version: str, supports: bool, built: bool, targets: Dict[str, str], requires: Set[str],
        needs: Set[str],
    ) -> None:  # fmt: skip
        self.name, self.version, self.supports, self.built = name, version, supports, built
        self.targets, self.requires, self.needs = targets, requires, needs


def standard() -> Set[str]:
    """Return the folders of the standard library."""
    paths = sysconfig.get_paths()
    library = {os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib")}
    return library | {os.path.join(path, "lib-dynload") for path in library}


def import_roots() -> List[str]:
    """Return the folders that modules are imported from, but for the standard library's, in order."""
    found: List[str] = []
    for entry in sys.path:
        path = os.path.realpath(entry or os.getcwd())
        if os.path.isdir(path) and path not in standard() and path not in found and path not in NOBODYS:
            found.append(path)
    return found


def extra_roots(words: Sequence[str], mounts: Sequence[str]) -> List[str]:
    """Return what else holds code of the application: the folders of the scripts that are started, and mounts."""
    scripts = [os.path.realpath(word) for word in words if word.endswith(".py") and os.path.isfile(word)]
    folders = [os.path.dirname(script) for script in scripts] + [os.path.realpath(mount) for mount in mounts]
    return [path for path in dict.fromkeys(folders) if path != "/" and os.path.exists(path)]


def walk(root: str, but: Container[str] = ()) -> Iterator[str]:
    """Yield the files of Python code below `root`, sources and extension modules, except below the folders `but`."""
    if os.path.isfile(root):
        if root.endswith((".py", ".so")):  # a mounted file may be a secret
            yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith(".")
                            and os.path.join(folder, name) not in but)
        for name in sorted(names):
            if name.endswith((".py", ".so")):
                yield os.path.join(folder, name)


def read(path: str) -> str:
    """Return a file's text, nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def distributions(roots: Sequence[str]) -> Tuple[Dict[str, Distribution], Dict[str, str]]:
    """Return the distributions by name and, for each of their files, which one it belongs to."""
    known: Dict[str, Distribution] = {}
    owners: Dict[str, str] = {}
    for root in roots:
        for entry in sorted(os.listdir(root)):
            path = os.path.join(root, entry)
            if entry.endswith((".dist-info", ".egg-info")):
                found = distribution(path)
                if found and found.name not in known:
                    known[found.name] = found
                    for name in files_of(path, root):
                        owners[os.path.normpath(os.path.join(root, name))] = found.name
    return known, owners


def distribution(path: str) -> Optional[Distribution]:
    """Return the distribution that a .dist-info or .egg-info describes, or None."""
    text = ""
    for name in ("METADATA", "PKG-INFO"):
        text = text or read(os.path.join(path, name))
    head = (text or read(path)).split("\n\n", 1)[0]
    fields = dict(re.findall(r"^(Name|Version): *(.+?)\s*$", head, re.M))
    if len(fields) < 2:
        return None
    mine = "%d.%d" % sys.version_info[:2]
    supports = "Programming Language :: Python :: %s\n" % mine in head + "\n"
    direct = read(os.path.join(path, "direct_url.json"))
    points = read(os.path.join(path, "entry_points.txt"))
    targets = dict(re.findall(r"^([\w.-]+)\s*=\s*([\w.]+)\s*:", points, re.M))
    lines = re.findall(r"^Requires-Dist: *([\w.-]+)([^;\r\n]*)(;.*)?$", head, re.M)
    requires = {canonical(name) for name, _, _ in lines}
    needs = {canonical(name) for name, _, marker in lines if not marker}
    name = canonical(fields["Name"])
    return Distribution(name, fields["Version"], supports, "dir_info" in direct, targets, requires, needs)


def canonical(name: str) -> str:
    """Return a distribution's name as all its spellings are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def files_of(path: str, root: str) -> Iterator[str]:
    """Yield the files of a distribution, relative to `root`, as far as its metadata lists them."""
    record = read(os.path.join(path, "RECORD"))
    if record:
        for row in csv.reader(record.splitlines()):
            if row:
                yield row[0]
        return
    for line in read(os.path.join(path, "installed-files.txt")).splitlines():
        yield os.path.relpath(os.path.join(path, line), root)
    for top in read(os.path.join(path, "top_level.txt")).split():
        for found in (os.path.join(root, top), os.path.join(root, top + ".py")):
            for name in walk(found) if os.path.exists(found) else ():
                yield os.path.relpath(name, root)
