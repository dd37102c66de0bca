"""What shows in code without running it is named by line, and what the code itself guards against is not."""

from __future__ import annotations

import ast
import json
import sys
from importlib import resources, util
from textwrap import dedent

import pytest

from eduhub_pilot.gates.runtime.inside.reading import Removed, Uses, machine, misfit, scan, scan_script

NAMES = json.loads(resources.files("eduhub_pilot.gates.runtime").joinpath("removed.json").read_text())["names"]


def uses(source: str) -> list[tuple[int, str]]:
    found = Uses(NAMES)
    found.visit(ast.parse(dedent(source)))
    return found.found


USED = {
    "import": ("import imp", [(1, "imp")]),
    "import of a part": ("import distutils.util as u\nu.strtobool('1')", [(1, "distutils")]),
    "from": ("from collections import OrderedDict, Mapping", [(1, "collections.Mapping")]),
    "from a removed module": ("from asyncore import dispatcher", [(1, "asyncore")]),
    "attribute": ("import collections\n\nx = collections.Mapping", [(3, "collections.Mapping")]),
    "attribute of an alias": ("import inspect as i\ndef f():\n    i.getargspec(f)", [(3, "inspect.getargspec")]),
    "attribute of a part": ("import importlib.util\nimportlib.util.set_loader", [(2, "importlib.util.set_loader")]),
    "by name": ("__import__('imp')", [(1, "imp")]),
    "by importlib": ("import importlib\nimportlib.import_module('telnetlib')", [(2, "telnetlib")]),
    "in a function": ("def f():\n    import cgi", [(2, "cgi")]),
    "in a class": ("class A:\n    from asyncio import coroutine", [(2, "asyncio.coroutine")]),
    "behind another question": ("if True:\n    import imp", [(2, "imp")]),
    "in a try that catches something else": ("try:\n    import imp\nexcept ValueError:\n    pass", [(2, "imp")]),
    "in the finally": ("try:\n    pass\nexcept ImportError:\n    pass\nfinally:\n    import imp", [(6, "imp")]),
}


@pytest.mark.parametrize(("source", "found"), USED.values(), ids=USED)
def test_a_use_is_found_with_its_line(source, found):
    assert uses(source) == found


GUARDED = {
    "try": "try:\n    import imp\nexcept ImportError:\n    imp = None",
    "fallback": "try:\n    from collections.abc import Set\nexcept ImportError:\n    from collections import Set",
    "try of several": "try:\n    import imp\nexcept (OSError, ModuleNotFoundError):\n    pass",
    "try of all": "try:\n    import imp\nexcept:\n    pass",
    "suppress": "import contextlib\nwith contextlib.suppress(ImportError):\n    import imp",
    "version": "import sys\nif sys.version_info < (3, 12):\n    import imp",
    "version, else": "import sys\nif sys.version_info >= (3, 12):\n    pass\nelse:\n    import imp",
    "version, returned before": """
        import sys, inspect
        def f(x):
            if sys.version_info >= (3, 11):
                return inspect.signature(x)
            return inspect.getargspec(x)
        """,
    "six": "import six\nif six.PY2:\n    import imp",
    "types only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import imp",
    "hasattr": "import collections\nif hasattr(collections, 'Mapping'):\n    collections.Mapping",
    "one expression": "import sys, inspect\nf = inspect.getargspec if sys.version_info < (3,) else inspect.signature",
    "and": "import inspect\nhasattr(inspect, 'getargspec') and inspect.getargspec",
}


@pytest.mark.parametrize("source", GUARDED.values(), ids=GUARDED)
def test_a_guarded_use_is_none(source):
    assert uses(source) == []


def test_a_guard_ends_with_its_block():
    source = "def f():\n    if version:\n        return 1\n    import imp\ndef g():\n    import cgi"
    assert uses(source) == [(6, "cgi")]


OTHERS = [
    "import collections\ncollections.OrderedDict",
    "from .imp import x",
    "from . import imp",
    "imp = 3\nimp.x",
    "from mine import Mapping",
]


@pytest.mark.parametrize("source", OTHERS)
def test_what_only_looks_like_a_removed_name_is_none(source):
    assert uses(source) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_removed_name_is_gone_when_its_version_says_so_and_there_before():
    """Only names of Linux's standard library, which the interpreter of this test has or lacks."""
    removed, here = Removed(NAMES), sys.version_info[:2]
    wrong = []
    for name, entry in NAMES.items():
        gone_by = tuple(map(int, entry["gone"].split(".")))
        installed = "." not in name and util.find_spec(name) and "site-packages" in str(util.find_spec(name).origin)
        if not installed and removed.gone(name) != (gone_by <= here):
            wrong.append(name)
    # Debian leaves these modules out of its Python, or of its standard installation.
    assert set(wrong) <= {"lib2to3", "distutils", "ossaudiodev", "spwd", "nis", "tkinter.tix"}


def findings(tmp_path, source: str, ours: bool = True) -> list[tuple[str, int, str]]:
    path = tmp_path / "code.py"
    path.write_text(dedent(source))
    return [(each["kind"], each["line"], each["what"]) for each in scan(str(path), Removed(NAMES), ours)[0]]


def test_a_removed_name_says_since_when_and_what_to_use(tmp_path):
    assert findings(tmp_path, "import collections\ncollections.Mapping") == [
        ("removed", 2, "uses collections.Mapping, which Python 3.10 no longer has: use collections.abc.Mapping")
    ]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="cgi is gone by then")
def test_a_name_that_a_later_python_removes_is_deprecated(tmp_path):
    assert findings(tmp_path, "import telnetlib") == [
        ("deprecated", 1, "uses telnetlib, which Python 3.13 will no longer have: use telnetlib3 or Exscript")
    ]


def test_a_substitute_that_is_installed_is_no_finding(tmp_path, monkeypatch):
    (tmp_path / "binhex.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert findings(tmp_path, "import binhex") == []


def test_code_that_does_not_compile_is_found_with_its_line(tmp_path):
    ((kind, line, what),) = findings(tmp_path, "x = 1\nprint 'x'\n")
    assert (kind, line) == ("compile", 2)
    assert what.startswith("does not compile: ")


def test_a_file_that_is_no_text_does_not_compile(tmp_path):
    path = tmp_path / "code.py"
    path.write_bytes(b"x = '\x00'\n\xff")
    assert [each["kind"] for each in scan(str(path), Removed(NAMES), True)[0]] == ["compile"]


def test_warnings_of_the_compiler_are_found_with_their_line(tmp_path):
    ((kind, line, what),) = findings(tmp_path, "x = 1\ny = '\\d'\n")
    assert (kind, line, "invalid escape sequence" in what) == ("deprecated", 2, True)


INSTALLING = {
    "list": "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'x'])",
    "text": "import os\nos.system('pip3 install x')",
    "pip itself": "import pip\npip.main(['pip', 'install', 'x'])",
}


@pytest.mark.parametrize("source", INSTALLING.values(), ids=INSTALLING)
def test_an_installation_at_run_time_is_found_in_the_application_only(tmp_path, source):
    assert findings(tmp_path, source) == [("boot", 2, "installs packages while it runs")]
    assert findings(tmp_path, source, ours=False) == []


def test_a_script_that_installs_at_every_start_is_found(tmp_path):
    script = tmp_path / "start.sh"
    script.write_text("#!/bin/sh\n# pip install nothing\nif [ $ADDONS ]; then pip install $ADDONS; fi\nexec serve\n")
    assert [(each["kind"], each["line"]) for each in scan_script(str(script))] == [("boot", 3)]


def elf(processor: int) -> bytes:
    return b"\x7fELF\x02\x01" + bytes(12) + processor.to_bytes(2, "little") + bytes(40)


def test_an_extension_for_another_python_does_not_fit(tmp_path):
    path = tmp_path / "speed.cpython-36m-x86_64-linux-gnu.so"
    path.write_bytes(elf(machine(sys.executable)))
    assert misfit(str(path)).startswith("is built for cpython-36m-x86_64-linux-gnu, and this Python loads cpython-3")


def test_an_extension_that_is_there_for_this_python_too_fits(tmp_path):
    from importlib.machinery import EXTENSION_SUFFIXES  # noqa: PLC0415

    old, new = tmp_path / "speed.cpython-36m-x86_64-linux-gnu.so", tmp_path / f"speed{EXTENSION_SUFFIXES[0]}"
    for path in (old, new):
        path.write_bytes(elf(machine(sys.executable)))
    assert (misfit(str(old)), misfit(str(new))) == (None, None)


@pytest.mark.parametrize("name", ["speed.abi3.so", "speed.so", "libspeed-1.2.so"])
def test_an_extension_for_any_python_fits_unless_it_is_for_another_processor(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(elf(machine(sys.executable)))
    assert misfit(str(path)) is None
    path.write_bytes(elf(0xF7))
    assert misfit(str(path)) == "is built for another processor"
