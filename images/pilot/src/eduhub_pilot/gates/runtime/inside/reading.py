"""What shows in code without running it: what does not compile, what a Python no longer has, what fits another one."""

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import re
import struct
import sys
import warnings
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

from .places import read as text

Finding = Dict[str, Any]

GUARDS = re.compile(r"version|hexversion|^PY[23P_]|^IS_PY|TYPE_CHECKING|^hasattr$|^HAVE_|^HAS_|implementation")
CATCHERS = {"ImportError", "ModuleNotFoundError", "AttributeError", "NameError", "Exception", "BaseException"}
INSTALL = re.compile(r"\b(pip[0-9.]*|easy_install|apt|apt-get|apk|conda|poetry|uv pip|npm)\s+(install|add)\b")
SUFFIXES = importlib.machinery.EXTENSION_SUFFIXES
TAGGED = re.compile(r"\.(cpython-\d|pypy\d|graalpy)[^/]*\.so$")


class Uses(ast.NodeVisitor):
    """Collects the uses of removed names in one file, but for those that the code itself guards."""

    def __init__(self, removed: Mapping[str, Any]) -> None:
        self.removed = removed
        self.found: List[Tuple[int, str]] = []
        # What a name in this file stands for: a dotted name, or None for itself.
        self.bound: Dict[str, Optional[str]] = {}
        self.guarded = 0

    def note(self, node: Union[ast.stmt, ast.expr], name: str) -> None:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            part = ".".join(parts[:end])
            if part in self.removed:
                if not self.guarded:
                    self.found.append((node.lineno, part))
                return

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.note(node, alias.name)
            self.bound[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if not node.level and node.module:
            for alias in node.names:
                full = node.module + "." + alias.name
                self.note(node, full)
                self.bound[alias.asname or alias.name] = full

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts, value = [node.attr], node.value
        while isinstance(value, ast.Attribute):
            parts.append(value.attr)
            value = value.value
        if isinstance(value, ast.Name) and value.id in self.bound:
            name = ".".join([self.bound[value.id] or value.id, *parts[::-1]])
            # A removed module was named where it was imported.
            if name.split(".")[0] not in self.removed:
                self.note(node, name)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = node.args[0] if node.args else None
        text = getattr(given, "value", getattr(given, "s", None))  # ast.Str before Python 3.8
        if called in ("__import__", "import_module") and isinstance(text, str):
            self.note(node, text)
        self.generic_visit(node)

    def behind(self, nodes: Iterable[ast.AST]) -> None:
        self.guarded += 1
        for node in nodes:
            self.visit(node)
        self.guarded -= 1

    def visit_Try(self, node: ast.Try) -> None:
        caught = {getattr(name, "id", "") for each in node.handlers for name in caught_by(each)}
        if caught & CATCHERS:
            self.behind([*node.body, *node.handlers, *node.orelse])
            for each in node.finalbody:
                self.visit(each)
        else:
            self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        if any(names_in(item.context_expr) & CATCHERS for item in node.items):
            self.behind(node.body)
        else:
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if guards(node.test):
            self.behind(node.body + node.orelse)
        else:
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        if guards(node.test):
            self.behind([node.body, node.orelse])
        else:
            self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        if guards(node):
            self.behind(node.values)
        else:
            self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        for _, value in ast.iter_fields(node):
            if isinstance(value, list):
                self.block(value)
            elif isinstance(value, ast.AST):
                self.visit(value)

    def block(self, nodes: Sequence[Any]) -> None:
        """Visit statements in order; what follows `if sys.version_info ...: return` is guarded by it."""
        before = self.guarded
        for node in nodes:
            if isinstance(node, ast.AST):
                self.visit(node)
                if isinstance(node, ast.If) and guards(node.test) and leaves(node.body):
                    self.guarded += 1
        self.guarded = before


def caught_by(handler: ast.ExceptHandler) -> Sequence[ast.expr]:
    """Return the expressions that name what a handler catches."""
    if handler.type is None:
        return [ast.Name("BaseException", ast.Load())]
    return handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]


def names_in(node: ast.AST) -> Set[str]:
    """Return all names and attributes in some code."""
    return {getattr(each, "id", getattr(each, "attr", "")) for each in ast.walk(node)}


def guards(test: ast.AST) -> bool:
    """Return whether a condition asks which Python, or what of it, there is."""
    return any(GUARDS.search(name) for name in names_in(test) if name)


def leaves(body: Sequence[ast.stmt]) -> bool:
    """Return whether a block never goes on behind itself."""
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))


def installs(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which code installs packages while it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            said: List[Any] = []
            for argument in node.args:
                parts: Sequence[ast.expr] = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
                said += [getattr(part, "value", getattr(part, "s", None)) for part in parts]
            if INSTALL.search(" ".join(word for word in said if isinstance(word, str))):
                yield node.lineno


class Removed:
    """The names that are gone by a version, and whether they are really gone here."""

    def __init__(self, names: Mapping[str, Mapping[str, str]]) -> None:
        self.names = names
        self.there: Dict[str, bool] = {}

    def gone(self, name: str) -> bool:
        """Return whether this Python, with what is installed beside it, lacks `name`."""
        if name not in self.there:
            self.there[name] = exists(name)
        return not self.there[name]

    def finding(self, name: str, path: str, line: int) -> Optional[Finding]:
        """Return the finding for a use of `name`, or None where it is there to stay or a substitute is installed."""
        when, use = self.names[name]["gone"], self.names[name].get("use")
        later = tuple(map(int, when.split("."))) > sys.version_info[:2]
        if not later and not self.gone(name):
            return None
        lacks = "will no longer have" if later else "no longer has"
        what = "uses %s, which Python %s %s%s" % (name, when, lacks, ": use %s" % use if use else "")
        return {"kind": "deprecated" if later else "removed", "path": path, "line": line, "what": what, "name": name}


def exists(name: str) -> bool:
    """Return whether a module, or a name in one, is there."""
    module, _, attribute = name.rpartition(".")
    try:
        if module:
            return hasattr(importlib.import_module(module), attribute)
        return importlib.util.find_spec(name) is not None
    except Exception:  # whatever an import of somebody's substitute may raise
        return False


def scan(path: str, removed: Removed, ours: bool) -> Tuple[List[Finding], Any]:
    """Return the findings in one source file that show without running it, and its syntax tree if it compiles."""
    with open(path, "rb") as stream:
        source = stream.read()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            tree: Any = compile(source, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
            compile(tree, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return [{"kind": "compile", "path": path, "line": getattr(error, "lineno", None) or 1,
                     "what": "does not compile: %s" % (getattr(error, "msg", None) or error)}], None
    findings: List[Finding] = [
        {"kind": "deprecated", "path": path, "line": each.lineno, "what": warned(each)} for each in caught
    ]
    uses = Uses(removed.names)
    uses.visit(tree)
    found = (removed.finding(name, path, line) for line, name in uses.found)
    findings += [each for each in found if each]
    for line in installs(tree) if ours else ():
        findings.append({"kind": "boot", "path": path, "line": line, "what": "installs packages while it runs"})
    return findings, tree


def warned(warning: warnings.WarningMessage) -> str:
    """Return a warning in one line."""
    return "%s: %s" % (warning.category.__name__, " ".join(str(warning.message).split())[:200])


def scan_script(path: str) -> Iterator[Finding]:
    """Yield where a script that the container starts installs packages."""
    for number, line in enumerate(text(path).splitlines(), 1):
        if INSTALL.search(line.split("#")[0]):
            yield {"kind": "boot", "path": path, "line": number, "what": "installs packages at every start"}


def misfit(path: str) -> Optional[str]:
    """Return why this Python cannot load an extension module, or None."""
    if is_foreign(path):
        stem = TAGGED.sub("", path)
        if any(os.path.exists(stem + suffix) for suffix in SUFFIXES):
            return None  # built for several Pythons, this one among them
        tag = os.path.basename(path).split(".", 1)[1].rsplit(".", 1)[0]
        return "is built for %s, and this Python loads %s" % (tag, SUFFIXES[0].strip(".").rsplit(".", 1)[0])
    if machine(path) not in (None, machine(os.path.realpath(sys.executable))):
        return "is built for another processor"
    return None


def is_foreign(path: str) -> bool:
    """Return whether an extension module's name says that it is for another Python."""
    return bool(TAGGED.search(path)) and not any(path.endswith(suffix) for suffix in SUFFIXES if suffix != ".so")


def machine(path: str) -> Optional[int]:
    """Return the processor that an ELF file is for, by number; None for another file."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(20)
    except OSError:
        return None
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return int(struct.unpack("<H" if head[5] == 1 else ">H", head[18:20])[0])
