"""What a program can reach stops a run; what it cannot is a note."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from eduhub_pilot.gates.criteria import RuntimeCriteria
from eduhub_pilot.gates.runtime.findings import judge
from tests.unit.pilot.gates.runtime.inside.installed import PYTHONS, examined, library, write

GONE = "eduhub_has_no_such_module"
WANTS = f"import {GONE}\n"
SYNTAX = "print 'hello'\n"
SERVER = {"server/__init__.py": "", "server/__main__.py": "import server.run\n", "server/run.py": "import server.lib\n",
          "server/lib.py": ""}  # fmt: skip
SERVE = ("python3", "-m", "server", "shop.main:app")


def shop(main: str, **files: str) -> dict[str, str]:
    """An application that a server starts by name, with more files; `plugins_` begins one in a folder."""
    return {"shop/__init__.py": "", "shop/main.py": main, "shop/plugins/__init__.py": "",
            **{f"shop/{name.replace('_', '/')}.py": text for name, text in files.items()}}  # fmt: skip


# Files, and the modules whose findings stop a first deployment.
STORIES = {
    "a server's worker for another server": ({"server/worker.py": WANTS, **shop("")}, []),
    "what a server tries, one after the other": ({
        "server/run.py": "try:\n    from server import fast\nexcept ImportError:\n    fast = None\n",
        "server/fast.py": WANTS, **shop(""),
    }, []),
    "a benchmark of the application": (shop("", bench=WANTS), []),
    "what only a type checker imports": (shop(
        "import typing as t\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import shop.bench\n"
        "if t.TYPE_CHECKING:\n    import shop.bench\n", bench=WANTS), []),
    "what only another system imports": (shop("import sys\nif sys.platform == 'win32':\n    import shop.win\n",
                                              win=WANTS), []),
    "what only an older Python imports": (shop(
        "import sys\nif sys.version_info < (3, 4):\n    from shop import old\n", old=SYNTAX), []),
    "what it imports as a script": (shop("if __name__ == '__main__':\n    import shop.bench\n", bench=WANTS), []),
    "a library's optional part, asked for later": ({
        "server/lib.py": "def build():\n    import server.build\n", "server/build.py": WANTS, **shop(""),
    }, []),
    "a library's part that wants settings, asked for later": ({
        "server/lib.py": "def build():\n    import server.build\n",
        "server/build.py": "raise RuntimeError('no settings')\n", **shop(""),
    }, []),
    "a part that is imported only after the application": (shop(
        "import shop.state\nshop.state.ready = True\ndef view():\n    import shop.models\n", state="ready = False\n",
        models="import shop.state\nif not shop.state.ready:\n    raise RuntimeError('not ready')\n"), []),
    "a missing distribution at the start": (shop(WANTS), ["shop.main"]),
    "a missing distribution behind a function": (shop("def f():\n    from shop import export\n", export=WANTS),
                                                 ["shop.export"]),
    "a missing distribution of a library at the start": ({"server/lib.py": WANTS, **shop("")},
                                                         ["server.lib", "server.run"]),
    "syntax that is none, in a route": (shop("from . import routes\n", routes="def f():\n    from .late import x\n",
                                             late=SYNTAX), ["shop.late"]),
    "syntax that is none, where a missing module is caught": (shop(
        "try:\n    import shop.fast\nexcept ImportError:\n    pass\n", fast=SYNTAX), ["shop.fast", "shop.main"]),
    "syntax that is none, in a library's part": ({
        "server/lib.py": "def build():\n    import server.build\n", "server/build.py": SYNTAX, **shop(""),
    }, ["server.build"]),
    "syntax that is none, in a plugin that a text names": (shop("PLUGINS = ['shop.plugins.mail.Mail']\n",
                                                                plugins_mail=SYNTAX),
                                                           ["shop.plugins.mail"]),
    "a missing distribution in a plugin that a text names": (shop("PLUGINS = ['shop.plugins.mail.Mail']\n",
                                                                  plugins_mail=WANTS), ["shop.plugins.mail"]),
    "syntax that is none, in a plugin that is found by its folder": (shop(
        "import importlib\ndef load(name):\n    return importlib.import_module('shop.plugins.' + name)\n",
        plugins_mail=SYNTAX), ["shop.plugins.mail"]),
    "the same plugin wants what is not installed": (shop(
        "import importlib\ndef load(name):\n    return importlib.import_module('shop.plugins.' + name)\n",
        plugins_mail=WANTS), []),
}  # fmt: skip


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("files", "wanted"), STORIES.values(), ids=STORIES)
def test_what_stops_a_first_deployment(tmp_path, files, wanted, python):
    write(tmp_path, {**SERVER, **files, **library("server", "1", *SERVER, *(x for x in files if x.startswith("ser")))})
    report = examined(python, tmp_path, command=["serve", *SERVE[1:]])
    # The server is a library beside the application here.
    judgement = judge(report, None, RuntimeCriteria(), date(2026, 6, 1))
    stopped = {each.path.removeprefix(f"{tmp_path}/").removesuffix(".py").replace("/", ".") for each in report.findings
               if each.sentence in judgement.stops}  # fmt: skip
    assert stopped == set(wanted)
    assert report.unexamined == []


def test_a_removed_module_that_is_reached_stops_and_one_that_is_not_does_not(tmp_path):
    write(tmp_path, shop("from shop import a\n", a="def f():\n    import formatter\n",
                         bench="def f():\n    import formatter\n"))  # fmt: skip
    report = examined(sys.executable, tmp_path, command=["uvicorn", "shop.main:app"])
    judgement = judge(report, None, RuntimeCriteria(), date(2026, 6, 1))
    assert [each.partition(":")[0] for each in judgement.stops] == [f"{tmp_path}/shop/a.py"]


def test_a_program_without_a_known_entry_point_counts_as_a_whole(tmp_path):
    write(tmp_path, shop("", bench=WANTS))
    report = examined(sys.executable, tmp_path, command=["/bin/entrypoint.sh"])
    assert len(judge(report, None, RuntimeCriteria(), date(2026, 6, 1)).stops) == 1


def test_a_mounted_plugin_counts_and_a_mounted_application_counts_from_its_entry_point(tmp_path):
    write(tmp_path, {"app/shop/main.py": "", "app/shop/bench.py": WANTS, "plugins/mail.py": "import formatter\n"})
    report = examined(sys.executable, tmp_path / "app", command=["python3", "-m", "shop.main"],
                      mounts=[tmp_path / "app", tmp_path / "plugins"])  # fmt: skip
    judgement = judge(report, None, RuntimeCriteria(), date(2026, 6, 1))
    assert [each.partition(":")[0] for each in judgement.stops] == [f"{tmp_path}/plugins/mail.py"]
