"""What a program can reach: its entry points, and from them the imports in each file, with what stands around them."""

import ast
import os
import re
import sys
import types
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from .places import Distribution
from .reading import CATCHERS, caught_by, guards, leaves, names_in

# How a module is reached, the surest first: when the program starts, by a function or under a condition, by its full
# name in a text, by a word or an import of what a variable names, and where a failure of the import is caught.
HOW = ("start", "later", "named", "possible", "guarded")
# What a condition may be made of for its value to be known without the program.
KNOWN = {"sys", "os", "typing", "TYPE_CHECKING", "version_info", "platform", "name", "hexversion", "maxsize", "major",
         "minor", "byteorder", "startswith"}  # fmt: skip
DYNAMIC = re.compile(r"^(import_module|__import__|import_string|autodiscover\w*|walk_packages|iter_modules|"
                     r"find_modules|spec_from_file_location|run_module|load_object)$")  # fmt: skip
DOTTED = re.compile(r"^\.*[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[\w.]+)?(\(\))?$")


class Edge:
    """An import: `how` and of which dotted `name`; `line` where it stands."""

    def __init__(self, how: str, name: str, line: int) -> None:
        self.how, self.name, self.line = how, name, line


class Imports(ast.NodeVisitor):
    """Collects the imports in one file, and the modules that its texts name."""

    def __init__(self, module: str, is_package: bool, is_main: bool, texts: bool) -> None:
        self.package = module if is_package else module.rpartition(".")[0]
        self.is_main, self.texts = is_main, texts
        self.how = "start"
        self.edges: List[Edge] = []
        self.strings: Dict[str, int] = {}
        self.listed: Set[str] = set()
        self.dynamic = False

    def note(self, name: str, line: int, how: Optional[str] = None) -> None:
        if name:
            self.edges.append(Edge(worse(how or "start", self.how), name, line))

    def under(self, how: str, nodes: Iterable[ast.AST]) -> None:
        before, self.how = self.how, worse(self.how, how)
        self.block(nodes)
        self.how = before

    def block(self, nodes: Iterable[ast.AST]) -> None:
        """Visit statements in order; what follows `if UNKNOWN: return` is under a condition too."""
        before = self.how
        for node in nodes:
            self.visit(node)
            if isinstance(node, ast.If) and leaves(node.body):
                value = value_of(node.test)
                if value is True:
                    break
                if value is None:
                    self.how = worse(self.how, "guarded" if guards(node.test) else "later")
        self.how = before

    def generic_visit(self, node: ast.AST) -> None:
        for _, value in ast.iter_fields(node):
            if isinstance(value, list):
                self.block(each for each in value if isinstance(each, ast.AST))
            elif isinstance(value, ast.AST):
                self.visit(value)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.note(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self.package.split(".") if self.package else []
            parts = parts[:len(parts) - node.level + 1]
            base = ".".join(parts + ([node.module] if node.module else []))
        for alias in node.names:
            self.note(base if alias.name == "*" else "%s.%s" % (base, alias.name) if base else alias.name, node.lineno)

    def visit_FunctionDef(self, node: Any) -> None:
        for each in [*node.decorator_list, node.args]:
            self.visit(each)
        if node.name == "__getattr__":  # PEP 562: its texts name modules that are loaded when they are asked for
            self.dynamic = True
        self.under("later", node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast names it

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.under("later", [node.body])

    def visit_Try(self, node: Any) -> None:
        caught = {getattr(name, "id", getattr(name, "attr", "")) for each in node.handlers for name in caught_by(each)}
        if caught & CATCHERS:
            self.under("guarded", [*node.body, *node.handlers, *node.orelse])
            self.block(node.finalbody)
        else:
            self.generic_visit(node)

    visit_TryStar = visit_Try  # noqa: N815 - ast names it

    def visit_With(self, node: ast.With) -> None:
        if any(names_in(item.context_expr) & CATCHERS for item in node.items):
            self.under("guarded", node.body)
        else:
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if names_in(node.test) - {""} == {"__name__"}:
            self.block(node.body if self.is_main else node.orelse)
            return
        value = value_of(node.test)
        if value is not None:
            self.block(node.body if value else node.orelse)
            return
        self.visit(node.test)
        self.under("guarded" if guards(node.test) else "later", node.body)
        self.under("guarded" if guards(node.test) else "later", node.orelse)

    def visit_Call(self, node: ast.Call) -> None:
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if DYNAMIC.match(called):
            given = node.args[0] if node.args else None
            text = getattr(given, "value", getattr(given, "s", None))
            if isinstance(text, str):
                self.strings.setdefault(text, node.lineno)
            else:
                self.dynamic = True
        self.generic_visit(node)

    def visit_List(self, node: Any) -> None:
        self.listed |= {each.value for each in node.elts if isinstance(getattr(each, "value", None), str)}
        self.generic_visit(node)

    visit_Tuple = visit_List  # noqa: N815 - ast names it

    def visit_Constant(self, node: Any) -> None:
        text = getattr(node, "value", getattr(node, "s", None))
        if isinstance(text, str) and len(text) < 200 and DOTTED.match(text):
            self.strings.setdefault(text, node.lineno)

    visit_Str = visit_Constant  # noqa: N815 - ast names it


def worse(one: str, other: str) -> str:
    """Return the less sure of two ways."""
    return max(one, other, key=HOW.index)


def value_of(test: ast.expr) -> Optional[bool]:
    """Return the value of a condition on this Python and system, None where only the program knows it."""
    if getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.Constant):
        return bool(test.value)
    names = {name for name in names_in(test) if name}
    if not names or not names <= KNOWN:
        return None
    typing = types.SimpleNamespace(TYPE_CHECKING=False)
    try:
        code = compile(ast.fix_missing_locations(ast.Expression(test)), "<condition>", "eval")
        given = {"__builtins__": {}, "sys": sys, "os": os, "typing": typing, "TYPE_CHECKING": False}
        return bool(eval(code, given))  # noqa: S307 - made of the names in KNOWN alone
    except Exception:  # a name that stands for something else there
        return None


def references(
    tree: ast.AST, module: str, path: str, known: Dict[str, str], own: bool, is_main: bool
) -> Dict[str, Any]:
    """Return what a file imports: its edges as [how, module, line], what it lacks, and whether it imports by variable.

    `known`: the paths of all modules by name. `own`: the file is the application's, so its texts count.
    """
    found = Imports(module, os.path.basename(path).startswith("__init__."), is_main, own)
    found.visit(tree)
    edges: List[List[Any]] = []
    missing: List[List[Any]] = []
    for edge in found.edges:
        edges += [[edge.how, name, edge.line] for name in chain(edge.name, known)]
        if edge.name.split(".")[0] not in known:
            missing.append([edge.how, edge.name.split(".")[0], edge.line])
    for text, line in found.strings.items() if own or found.dynamic else ():
        # A word in a list is a registration, as of applications or tasks; elsewhere it may be any word.
        how = "named" if "." in text.strip(".") or (text in found.listed and text in known) else "possible"
        edges += [[how, name, line] for name in named(text, found.package, known)]
    return {"edges": edges, "missing": missing, "dynamic": found.dynamic and own}


def chain(name: str, known: Dict[str, str]) -> List[str]:
    """Return the known modules that the import of a dotted name loads: the packages around it, and itself."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1) if ".".join(parts[:end]) in known]


def named(text: str, package: str, known: Dict[str, str]) -> List[str]:
    """Return the modules that a text names: by full name, or relative to the package that it stands in."""
    name = text.split(":", maxsplit=1)[0].split("(", maxsplit=1)[0]
    bare = name.lstrip(".")
    if package and (package + "." + bare) in known:
        return chain(package + "." + bare, known)
    if name != bare:
        return []
    found = chain(name, known)
    # A word alone names a module only as a whole; a path to a class names the module that it is in.
    return found if name in known or len(found) > 1 else []


def entries(words: Sequence[str], known: Dict[str, str],
            distributions: Iterable[Distribution]) -> Tuple[List[str], List[str]]:  # fmt: skip
    """Return the modules that the container's command starts: the programs, and what those are given to serve.

    A program is `-m NAME` or a script that a distribution installs; what it serves is `package.module:attribute`, or
    a word that is a module.
    """
    scripts = {name: target for each in distributions for name, target in each.targets.items()}
    programs: List[str] = []
    served: List[str] = []
    for at, word in enumerate(words):
        before, base = words[at - 1] if at else "", os.path.basename(word)
        name = word.split("=")[-1].split(":")[0].split("(")[0]
        if before == "-m":
            programs += [name for name in (word, word + ".__main__") if name in known]
        elif base in scripts and (at < 2 or os.path.isabs(word) or before == "exec"):
            programs += chain(scripts[base], known)[-1:]
        elif at and DOTTED.match(word.split("=")[-1]):
            found = chain(name, known)
            if found and (name in known or len(found) > 1 or ":" in word):
                served += found[-1:]
    return list(dict.fromkeys(programs)), list(dict.fromkeys(served))


def reached(roots: Dict[str, str], edges: Dict[str, List[List[Any]]]) -> Dict[str, str]:
    """Return how each module is reached from the `roots`, by the surest way there is."""
    found: Dict[str, str] = {}
    for limit in HOW:
        todo = [name for name, how in roots.items() if HOW.index(how) <= HOW.index(limit)] + list(found)
        while todo:
            name = todo.pop()
            how = found.get(name) or roots.get(name) or limit
            found.setdefault(name, how)
            for kind, other, _ in edges.get(name, ()):
                way = worse(found[name], kind)
                if other not in found and HOW.index(way) <= HOW.index(limit):
                    found[other] = way
                    todo.append(other)
    return found


def packages_of(name: str) -> Iterator[str]:
    """Yield the packages around a module, the outermost first."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        yield ".".join(parts[:end])


def beside(module: str, known: Iterable[str]) -> Set[str]:
    """Return the modules of the same outermost package."""
    top = module.split(".", maxsplit=1)[0]
    return {name for name in known if name == top or name.startswith(top + ".")}
