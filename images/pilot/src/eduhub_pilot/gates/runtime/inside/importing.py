"""Importing all modules, each package in a process of its own: code of others hangs, crashes and ends the program."""

import importlib
import json
import os
import re
import select
import signal
import sys
import time
import warnings
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .places import read, standard, walk
from .reading import is_foreign, warned

# A package whose modules crash or hang again and again is left after so many new attempts.
ATTEMPTS = 3
DJANGO_SETUP = "django:setup"
# So many times longer may a module take that computes.
BUSY = 6
# Imported only where the program reaches them: they need tools that no image should hold.
TESTS = re.compile(r"(^|\.)(tests?|testing|_tests?|conftest|test_\w+|\w+_test)(\.|$)")


def modules(root: str, roots: Sequence[str]) -> Dict[str, List[Tuple[str, str]]]:
    """Return the modules below one of the import `roots`, with their files, by their first name."""
    found: Dict[str, List[Tuple[str, str]]] = {}
    for path in walk(root, but=roots):
        relative = os.path.relpath(path, root).split(os.sep)
        name = relative[-1].split(".")[0]
        if is_foreign(path):
            continue
        parts = relative[:-1] + ([] if name == "__init__" else [name])
        dotted = ".".join(parts)
        if not all(part.isidentifier() for part in parts) or not dotted:
            continue
        if not in_package(root, relative[:-1]):
            continue
        found.setdefault(parts[0], []).append((dotted, path))
    return found


def is_started(name: str) -> bool:
    """Return whether a module is a program or a test, which runs when it is imported or needs tools of its own."""
    return name == "setup" or name.rsplit(".", maxsplit=1)[-1] == "__main__" or bool(TESTS.search(name))


def in_package(root: str, folders: Sequence[str]) -> bool:
    """Return whether a folder's modules are imported: one that is no package, inside one that is, holds mere data."""
    packages = [os.path.exists(os.path.join(root, *folders[: end + 1], "__init__.py")) for end in range(len(folders))]
    return packages == sorted(packages)


def child(names: Sequence[str], pipe: int) -> None:
    """Import `names` one by one and write a line about each; never returns."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for name in names:
            tell(pipe, {"at": name})
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    load(name)
                except BaseException as error:  # SystemExit too: a module that ends the program
                    tell(pipe, {"failed": name, "error": failure(error)})
            for each in caught:
                if issubclass(each.category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning)):
                    tell(pipe, {"path": each.filename, "line": each.lineno, "what": warned(each), "module": name})
        tell(pipe, {"end": True, "loaded": [*sys.modules]})
        code = 0
    finally:
        os._exit(code)


def load(name: str) -> None:
    """Import a module; DJANGO_SETUP is what a program of Django's does before it imports its models."""
    if name != DJANGO_SETUP:
        importlib.import_module(name)
    elif os.environ.get("DJANGO_SETTINGS_MODULE"):
        importlib.import_module("django").setup()


def tell(pipe: int, document: Dict[str, Any]) -> None:
    """Write one line of JSON."""
    line = json.dumps(document).encode() + b"\n"
    while line:
        line = line[os.write(pipe, line):]


def failure(error: BaseException) -> Dict[str, Any]:
    """Return what an import died of: the line that raised it, and the module that was missing, if that is why."""
    missing: Optional[str] = None
    cause: Optional[BaseException] = error
    depth = 0
    while cause is not None and depth < 10:
        if isinstance(cause, ModuleNotFoundError):
            missing = cause.name
        cause, depth = cause.__cause__ or cause.__context__, depth + 1
    place: Tuple[Optional[str], Optional[int]] = (None, None)
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and file != "-c" and not os.path.realpath(file).startswith(STANDARD):
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        place = (error.filename, error.lineno)
    text = " ".join(str(error).split())[:300]
    return {"type": type(error).__name__, "text": text, "missing": missing, "path": place[0], "line": place[1]}


STANDARD = tuple(path + os.sep for path in standard() if "lib-dynload" not in path)


def imported(names: Sequence[str], deadline: float, module_seconds: float) -> Iterator[Dict[str, Any]]:
    """Yield a line about each module, imported in processes of their own; the last has the modules `left` undone."""
    left, killed = list(names), False
    for _ in range(ATTEMPTS):
        at: Optional[str] = None
        ended = hung = killed = False
        for line in lines_of(left, deadline, module_seconds):
            at = line.get("at", at)
            ended = ended or "end" in line
            hung = hung or "hung" in line
            killed = killed or "killed" in line
            if not {"at", "hung", "killed"} & line.keys():
                yield line
        if ended:
            return
        # Not killed from here: for its memory, most likely, which says nothing about the module.
        if killed or (hung and time.monotonic() >= deadline):
            left = left[left.index(at) if at else 0:]
            break
        how = "took longer than %g s" % module_seconds if hung else "ended the interpreter"
        if at is None:
            break
        error = {"type": "Hang" if hung else "Crash", "text": how, "missing": None, "path": None, "line": None}
        yield {"failed": at, "error": error}
        left = left[left.index(at) + 1:]
        if not left:
            return
    yield {"left": left, "killed": killed}


def is_busy(pid: int) -> bool:
    """Return whether a process computes, or would if it were let: a host under load makes it slow, not stuck."""
    return read("/proc/%d/stat" % pid).rpartition(")")[2].split()[:1] == ["R"]


def lines_of(names: Sequence[str], deadline: float, module_seconds: float) -> Iterator[Dict[str, Any]]:
    """Yield what one child tells, then `hung` if it had to be ended."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        child(names, theirs)
    os.close(theirs)
    rest, ended, silent = b"", False, 0.0
    try:
        while True:
            timeout = min(module_seconds, deadline - time.monotonic())
            ready = select.select([ours], [], [], timeout)[0] if timeout > 0 else []
            if not ready:
                silent += module_seconds
                if is_busy(pid) and silent < BUSY * module_seconds and time.monotonic() < deadline:
                    continue
                yield {"hung": True}
                return
            silent = 0.0
            chunk = os.read(ours, 65536)
            if not chunk:
                ended = True
                break
            complete = (rest + chunk).split(b"\n")
            rest = complete.pop()
            for line in complete:
                yield json.loads(line.decode())
    finally:
        os.close(ours)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        yield {"killed": True}
