"""All of it: reads every file, imports every module, and prints one line of JSON."""

import json
import os
import sys
import time
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set

from .importing import STANDARD, imported, modules
from .places import distributions, extra_roots, import_roots, walk
from .reading import Finding, Removed, machine, misfit, scan, scan_script

MOST_FILES = 60000
MOST_FINDINGS = 400


class Examination:
    """What is known of the image, and what was found so far."""

    def __init__(self, given: Dict[str, Any]) -> None:
        self.given = given
        self.deadline = time.monotonic() + given["seconds"]
        self.roots = import_roots()
        self.known, self.owners = distributions(self.roots)
        self.started = self.entry(given["words"])
        self.findings: List[Finding] = []
        self.seen: Set[Any] = set()
        self.files = self.modules = self.packages = self.dropped = 0
        self.unexamined: List[str] = []
        # The modules of each package by name, with their files.
        self.found: Dict[str, Dict[str, str]] = {}

    def entry(self, words: List[str]) -> Set[str]:
        """Return the distributions that the container's command belongs to, by `-m NAME` or a script's name."""
        names = {words[at + 1].split(".")[0] for at, word in enumerate(words[:-1]) if word == "-m"}
        scripts = {os.path.basename(word) for word in words}
        by_file = {owner for path, owner in self.owners.items() for root in self.roots
                   if os.path.relpath(path, root).split(os.sep)[0].split(".")[0] in names}
        return by_file | {each.name for each in self.known.values() if scripts & set(each.scripts)}

    def ours(self, path: str) -> bool:
        """Return whether a file is of the application, not of a library it uses."""
        owner = self.owner(path)
        return owner is None or self.known[owner].built or owner in self.started

    def note(self, finding: Finding) -> None:
        """Keep a finding, with whose it is; the same once."""
        path = finding["path"]
        key = (finding["kind"], path, finding["line"], finding["what"])
        if key in self.seen:
            return
        self.seen.add(key)
        owner = self.owner(path) if path else None
        finding.update(owner=owner, ours=bool(path) and self.ours(path),
                       supported=bool(owner and self.known[owner].supports))
        if len(self.findings) < MOST_FINDINGS or finding["kind"] not in ("deprecated", "boot"):
            self.findings.append(finding)
        else:
            self.dropped += 1

    def run(self) -> Dict[str, Any]:
        """Return everything that is found."""
        removed = Removed(self.given["removed"])
        extra = extra_roots(self.given["words"], self.given["mounts"])
        self.read(dict.fromkeys(path for root in self.roots + extra for path in walk(root)), removed)
        for word in self.given["words"]:
            if os.path.isfile(word) and not word.endswith(".py") and machine(word) is None:
                for finding in scan_script(word):
                    self.note(finding)
        self.load()
        return {
            "python": sys.version.split()[0], "files": self.files, "modules": self.modules, "packages": self.packages,
            "distributions": {each.name: each.version for each in self.known.values()},
            "findings": self.findings, "dropped": self.dropped, "unexamined": self.unexamined,
        }

    def read(self, paths: Iterable[str], removed: Removed) -> None:
        """Read all files, without running any."""
        paths = list(paths)
        for number, path in enumerate(paths):
            if number >= MOST_FILES or time.monotonic() >= self.deadline:
                self.unexamined.append("%d files" % (len(paths) - number))
                return
            self.files += 1
            if path.endswith(".so"):
                why = misfit(path)
                if why:
                    self.note({"kind": "abi", "path": path, "line": 0, "what": why})
                continue
            for finding in scan(path, removed, self.ours(path)):
                self.note(finding)

    def load(self) -> None:
        """Import everything, the application first."""
        found = self.found
        entry = {os.path.realpath(word) for word in self.given["words"] if os.path.isfile(word)}
        for root in self.roots:
            for name, pairs in modules(root, self.roots).items():
                known = found.setdefault(name, {})
                for dotted, path in pairs:
                    if os.path.realpath(path) not in entry:  # a script is started, not imported
                        known.setdefault(dotted, path)
        for name in sorted(found, key=lambda name: (not any(map(self.ours, found[name].values())), name)):
            if time.monotonic() >= self.deadline:
                self.unexamined.append(name)
                continue
            self.packages += 1
            self.modules += len(found[name])
            self.take(name, found[name])

    def take(self, name: str, paths: Dict[str, str]) -> None:
        """Import one package; where that fails, once more after those that need it, if any do."""
        lines = list(self.imported(sorted(paths)))
        company = self.company(paths) if any("failed" in line for line in lines) else []
        if company:
            again = self.imported(company + sorted(paths))
            lines = [line for line in again if line.get("failed", line.get("module", name)) in paths or "left" in line]
        for line in lines:
            if "left" in line:
                self.unexamined += [each for each in line["left"] if each in paths]
            elif "failed" in line:
                error, module = line["error"], line["failed"]
                what = "cannot be imported as %s: %s: %s" % (module, error["type"], error["text"])
                self.note({"kind": "import", "path": paths[module], "line": 0, "what": what, "module": module,
                           "top": module == name, "error": error})
            elif "what" in line:
                # A module that is deprecated itself warns of the line that imports it, which is one of importlib.
                inside = line["path"].startswith(STANDARD)
                path, number = (paths[line["module"]], 0) if inside else (line["path"], line["line"])
                self.note({"kind": "deprecated", "path": path, "line": number, "what": line["what"]})


    def imported(self, names: List[str]) -> Iterator[Dict[str, Any]]:
        """Yield what importing these modules one by one, in a process of their own, says."""
        return imported(names, self.deadline, self.given["module_seconds"])

    def company(self, paths: Dict[str, str]) -> List[str]:
        """Return the packages that need this one: a part of another (psycopg_binary) is imported only after it."""
        mine = {self.owner(path) for path in paths.values()}
        by = {each.name for each in self.known.values() if each.requires & mine and each.name not in mine}
        return sorted(top for top, files in self.found.items() if top in files and self.owner(files[top]) in by)

    def owner(self, path: str) -> Optional[str]:
        """Return the distribution that a file belongs to, if it is known."""
        return self.owners.get(os.path.normpath(path))


def main(given: Dict[str, Any]) -> None:
    """Examine, and print one line of JSON."""
    printed = os.dup(1)
    os.dup2(2, 1)  # whatever the code of others prints is no part of the answer
    report = Examination(given).run()
    with os.fdopen(printed, "w") as stream:
        stream.write(json.dumps(report) + "\n")
