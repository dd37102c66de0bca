"""All of it: reads and imports what the program can reach, and prints one line of JSON.

What it can reach is found from its entry points by the imports in each file, and from the modules that are loaded once
those are imported. Where no entry point is known, all of the application counts, or all there is.
"""

import json
import os
import sys
import time
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from .importing import DJANGO_SETUP, STANDARD, imported, is_started, modules
from .places import canonical, distributions, extra_roots, import_roots, walk
from .reaching import DOTTED, beside, entries, named, packages_of, reached, references
from .reading import Finding, Removed, machine, misfit, scan, scan_script
from .spreading import spread

MOST_FILES = 60000
MOST_FINDINGS = 400
# Modules of one package that one process imports.
SHARE = 150


class Examination:
    """What is known of the image, and what was found so far."""

    def __init__(self, given: Dict[str, Any]) -> None:
        self.given = given
        self.words: List[str] = given["words"]
        self.deadline = time.monotonic() + given["seconds"]
        self.removed = Removed(given["removed"])
        self.extra = extra_roots(self.words, given["mounts"])
        self.scripts = [os.path.realpath(word) for word in self.words if word.endswith(".py") and os.path.isfile(word)]
        sys.path[:0] = [path for path in map(os.path.dirname, self.scripts) if path not in sys.path]
        self.roots = import_roots()
        self.known, self.owners = distributions(self.roots)
        self.findings: List[Finding] = []
        self.seen: Set[Any] = set()
        self.files = self.modules = self.packages = self.dropped = 0
        self.unexamined: List[str] = []
        # The file of each module, and the module of each file.
        self.paths: Dict[str, str] = {}
        for root in self.roots:
            for pairs in modules(root, self.roots).values():
                for dotted, path in pairs:
                    self.paths.setdefault(dotted, path)
        self.names = {path: name for name, path in self.paths.items()}
        self.reach: Dict[str, str] = {}
        self.edges: Dict[str, List[List[Any]]] = {}
        programs, served = entries(self.words, self.paths, self.known.values())
        self.starts = [*programs, *served]
        # A server is a library of what it serves, and the application where it serves nothing else.
        self.started = {self.owner(self.paths[name]) for name in served or programs}

    def owner(self, path: str) -> Optional[str]:
        """Return the distribution that a file belongs to, if it is known."""
        return self.owners.get(os.path.normpath(path))

    def name(self, path: str) -> str:
        """Return the name of the module in a file, or the path of a file that is no module."""
        return self.names.get(path, path)

    def ours(self, path: str) -> bool:
        """Return whether a file is of the application, not of a library it uses."""
        owner = self.owner(path)
        return owner is None or self.known[owner].built or owner in self.started

    def note(self, finding: Finding) -> None:
        """Keep a finding, with whose it is and how the program reaches it; the same once."""
        path = finding["path"]
        key = (finding["kind"], path, finding["line"], finding["what"])
        if key in self.seen:
            return
        self.seen.add(key)
        owner = self.owner(path) if path else None
        finding.setdefault("reach", self.reach.get(self.name(path)))
        finding.update(owner=owner, ours=bool(path) and self.ours(path),
                       supported=bool(owner and self.known[owner].supports))
        if len(self.findings) < MOST_FINDINGS or finding["kind"] not in ("deprecated", "boot"):
            self.findings.append(finding)
        else:
            self.dropped += 1

    def run(self) -> Dict[str, Any]:
        """Return everything that is found."""
        extensions, rest = self.unlisted()
        roots = self.entry_points(rest)
        self.follow(roots)
        loaded = self.start()
        self.follow({**roots, **{name: "start" for name in loaded if name in self.paths}})
        self.rest([path for path in [*self.paths.values(), *rest] if self.ours(path)])
        for path in extensions:
            why = misfit(path)
            if why:
                self.note({"kind": "abi", "path": path, "line": 0, "what": why, "reach": "start"})
        for word in self.words:
            if os.path.isfile(word) and not word.endswith(".py") and machine(word) is None:
                for finding in scan_script(word):
                    self.note({**finding, "reach": "start"})
        self.load(loaded)
        return {
            "python": sys.version.split()[0], "files": self.files, "modules": self.modules, "packages": self.packages,
            "distributions": {each.name: each.version for each in self.known.values()},
            "findings": self.findings, "dropped": self.dropped, "unexamined": self.unexamined,
            "mounted": sum(1 for mount in self.given["mounts"] for _ in walk(os.path.realpath(mount))),
            "unreached": len(self.paths) - len(self.reach.keys() & self.paths.keys()),
        }

    def unlisted(self) -> Tuple[List[str], List[str]]:
        """Return the extension modules, and the sources that are no modules but may be the application's."""
        extensions, sources = [], []
        for path in dict.fromkeys(path for root in self.roots + self.extra for path in walk(root)):
            if path.endswith(".so"):
                extensions.append(path)
            elif path not in self.names:
                sources.append(path)
        return extensions, sources

    def entry_points(self, rest: List[str]) -> Dict[str, str]:
        """Return where the program starts: modules by name, files that are none by path; with how they are reached."""
        scripts = [self.name(path) for path in self.scripts]
        options = [name for value in os.environ.values() if DOTTED.match(value)
                   for name in named(value, "", self.paths)[-1:]]  # fmt: skip
        roots = {**dict.fromkeys(options, "named"), **dict.fromkeys(self.starts + scripts, "start")}
        mounted = [os.path.realpath(path) + os.sep for path in self.given["mounts"]]
        files = [self.paths.get(name, name) for name in roots]
        # What is mounted is there to be used, even where no import shows how.
        for path in [*self.paths.values(), *rest]:
            mount = next((each for each in mounted if (path + os.sep).startswith(each)), None)
            if mount and not any(file.startswith(mount) for file in files):
                roots.setdefault(self.name(path), "start")
        for name in ("sitecustomize", "usercustomize"):
            if name in self.paths:
                roots.setdefault(name, "start")
        if not (self.starts or scripts):
            own = [name for name, path in self.paths.items() if self.ours(path) and not is_started(name)]
            every = [name for name in self.paths if not is_started(name)]
            roots.update(dict.fromkeys(own or every, "start"))
        for name in list(roots):
            roots.update({each: roots[name] for each in packages_of(name) if each in self.paths and each not in roots})
        return roots

    def visit(self, name: str) -> Dict[str, Any]:
        """Return what is found in one file by reading it, and what it refers to."""
        path = self.paths.get(name, name)
        ours = self.ours(path)
        if not path.endswith(".py"):
            return {"findings": [], "edges": [], "missing": [], "dynamic": False}
        findings, tree = scan(path, self.removed, ours)
        if tree is None:
            return {"findings": findings, "edges": [], "missing": [], "dynamic": False}
        main = name.rsplit(".", maxsplit=1)[-1] == "__main__" or name not in self.paths or path in self.scripts
        return {"findings": findings, **references(tree, name if name in self.paths else "", path, self.paths, ours,
                                                   main)}  # fmt: skip

    def follow(self, roots: Dict[str, str]) -> None:
        """Read what can be reached from the roots, file after file, and note what is found."""
        todo = [name for name in roots if name not in self.edges]
        answers: Dict[str, Dict[str, Any]] = {}
        whole: Set[str] = set()
        while todo:
            self.files += len(todo)
            for index, answer in spread(self.visit, todo, self.deadline):
                answers[todo[index]] = answer
                self.edges[todo[index]] = answer["edges"]
            left = [name for name in todo if name not in answers]
            if left or self.files > MOST_FILES:
                self.unexamined.append("%d files" % len(left or todo))
                break
            for name in todo:
                top = name.split(".")[0]
                if answers[name]["dynamic"] and name in self.paths and top not in whole:
                    whole.add(top)
                    parts = [each for each in beside(name, self.paths) if not is_started(each)]
                    self.edges[name] = self.edges[name] + [["possible", each, 0] for each in parts]
            todo = list(dict.fromkeys(other for name in todo for _, other, _ in self.edges[name]
                                      if other not in self.edges))  # fmt: skip
        self.reach = reached(roots, self.edges)
        for finding in self.findings:
            finding["reach"] = self.reach.get(self.name(finding["path"]), finding["reach"])
        for name, answer in answers.items():
            for finding in answer["findings"]:
                self.note(finding)
            self.lacks(name, answer["missing"])

    def lacks(self, name: str, missing: Iterable[List[Any]]) -> None:
        """Note what is imported in a function only and is not there: a request would find out."""
        path = self.paths.get(name, name)
        for how, module, line in missing:
            if how == "later" and self.removed.gone(module) and module not in self.removed.names:
                error = {"type": "ModuleNotFoundError", "missing": module, "path": path, "line": line}
                self.note({"kind": "import", "path": path, "line": line, "module": name, "error": error, "lazy": True,
                           "what": "imports %s in a function, which is not installed" % module,
                           "declared": self.declared(path, module)})  # fmt: skip

    def declared(self, path: str, module: Optional[str]) -> bool:
        """Return whether the distribution of a file always needs the distribution that a module is named after."""
        owner = self.owner(path)
        return bool(owner and module and canonical(module.split(".")[0]) in self.known[owner].needs)

    def rest(self, paths: Iterable[str]) -> None:
        """Read what else the application has, for notes."""
        names = [name for name in dict.fromkeys(self.name(path) for path in paths) if name not in self.edges]
        for _, answer in spread(self.visit, names, self.deadline):
            self.files += 1
            for finding in answer["findings"]:
                self.note(finding)

    def start(self) -> Set[str]:
        """Import the entry points, and return what is loaded then."""
        found: Set[str] = set()
        for line in self.imported(self.before()):
            if "loaded" in line:
                found = set(line["loaded"]) - {"__main__"}
            elif line.get("failed", line.get("module")) != DJANGO_SETUP:
                self.tell([line], self.starts)
        return found

    def before(self) -> List[str]:
        """Return what is imported before anything else where the program runs."""
        names = [name for name in self.starts if not is_started(name)]
        return [*names, DJANGO_SETUP] if names and "django" in self.paths else names

    def load(self, loaded: Set[str]) -> None:
        """Import everything that can be reached and is not loaded at the start, the application first."""
        packages: Dict[str, List[str]] = {}
        for name in self.reach:
            path = self.paths.get(name)
            # A script is started, not imported.
            if path and path not in self.scripts and name.split(".")[-1] != "__main__":
                packages.setdefault(name.split(".")[0], []).append(name)
        self.packages, self.modules = len(packages), sum(map(len, packages.values()))
        shares: List[List[str]] = []
        for _, names in sorted(packages.items(), key=lambda each: (not any(map(self.owns, each[1])), each[0])):
            left = sorted(name for name in names if name not in loaded)
            shares += [left[at:at + SHARE] for at in range(0, len(left), SHARE)]
        undone = dict(enumerate(shares))
        again: List[List[str]] = []
        for index, lines in sorted(spread(self.take, shares, self.deadline)):
            del undone[index]
            if any(line.get("killed") for line in lines):
                again.append(shares[index])  # several at once may have needed too much memory
            else:
                self.tell(lines, shares[index])
        for names in again:
            self.tell(self.take(names), names)
        for names in undone.values():
            self.unexamined += names

    def owns(self, name: str) -> bool:
        """Return whether a module is of the application."""
        return self.ours(self.paths[name])

    def take(self, names: List[str]) -> List[Dict[str, Any]]:
        """Return what importing modules of one package says; where one fails, once more after those that need it."""
        lines = self.imported(names)
        company = self.company(names) if any("failed" in line for line in lines) else []
        if company:
            wanted = set(names)
            again = self.imported([*company, *names])
            lines = [line for line in again if line.get("failed", line.get("module", names[0])) in wanted]
        return [line for line in lines if "loaded" not in line]

    def tell(self, lines: Iterable[Dict[str, Any]], names: List[str]) -> None:
        """Note what importing has said."""
        for line in lines:
            if "left" in line:
                self.unexamined += [each for each in line["left"] if each in names]
            elif "failed" in line:
                error, module = line["error"], line["failed"]
                what = "cannot be imported as %s: %s: %s" % (module, error["type"], error["text"])
                path = self.paths[module]
                self.note({"kind": "import", "path": path, "line": 0, "what": what, "module": module,
                           "top": "." not in module, "error": error,
                           "declared": self.declared(error["path"] or path, error["missing"])})
            elif "what" in line:
                # A module that is deprecated itself warns of the line that imports it, which is one of importlib.
                inside = line["path"].startswith(STANDARD)
                path, number = (self.paths[line["module"]], 0) if inside else (line["path"], line["line"])
                self.note({"kind": "deprecated", "path": path, "line": number, "what": line["what"]})

    def imported(self, names: List[str]) -> List[Dict[str, Any]]:
        """Return what importing these modules one by one, in a process of their own, says."""
        return list(imported(names, self.deadline, self.given["module_seconds"]))

    def company(self, names: List[str]) -> List[str]:
        """Return what is imported before these where the program runs: its entry points, and what needs this package.

        A part of another package (psycopg_binary) is imported only after that one, a model of Django's after its setup.
        """
        mine = {self.owner(self.paths[name]) for name in names}
        by = {each.name for each in self.known.values() if each.requires & mine and each.name not in mine}
        tops = (name for name in self.paths if "." not in name)
        return [*self.before(), *sorted(top for top in tops if self.owner(self.paths[top]) in by)]


def main(given: Dict[str, Any]) -> None:
    """Examine, and print one line of JSON."""
    printed = os.dup(1)
    os.dup2(2, 1)  # whatever the code of others prints is no part of the answer
    report = Examination(given).run()
    with os.fdopen(printed, "w") as stream:
        stream.write(json.dumps(report) + "\n")
