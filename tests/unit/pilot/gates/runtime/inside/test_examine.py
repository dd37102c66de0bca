"""A Python that is given the files of `inside` reports on all its code, whatever that code does when it is imported."""

from __future__ import annotations

import pytest

from eduhub_pilot.gates.runtime.findings import Finding, Report
from tests.unit.pilot.gates.runtime.inside.installed import PYTHONS, examined, library, write


def found(report: Report, kind: str) -> list[Finding]:
    return [each for each in report.findings if each.kind == kind]


@pytest.fixture(params=PYTHONS)
def python(request) -> str:
    return request.param


def test_what_is_in_order_has_no_finding(python, tmp_path):
    write(tmp_path, {
        "app/serve.py": "import lib.deep.part\nprint('noise')", "app/pkg/__init__.py": "", "app/pkg/__main__.py": "1/0",
        "lib/lib/__init__.py": "", "lib/lib/deep/__init__.py": "", "lib/lib/deep/part.py": "import os",
        **{f"lib/{name}": text for name, text in library("Lib.Two", "1.0", "lib/__init__.py").items()},
    })  # fmt: skip
    report = examined(python, tmp_path / "app", tmp_path / "lib")
    assert list(report.findings) == []
    assert (report.modules, report.packages, report.unexamined) == (5, 3, [])
    assert dict(report.distributions) == {"lib-two": "1.0"}


BAD = {
    "fails": ("import nothing_like_it", "ModuleNotFoundError", "nothing_like_it"),
    "raises": ("raise RuntimeError('no settings')", "RuntimeError", None),
    "wraps": ("try:\n    import nothing\nexcept ImportError:\n    raise RuntimeError('x')", "RuntimeError", "nothing"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit", None),
    "hangs": ("import time\ntime.sleep(600)", "Hang", None),
    "crashes": ("import os\nos.abort()", "Crash", None),
}


def test_each_module_that_cannot_be_imported_is_found_and_the_others_still_are(python, tmp_path):
    write(tmp_path, {f"app/{name}.py": source for name, (source, *_) in BAD.items()})
    write(tmp_path, {f"app/pkg/{name}.py": source for name, (source, *_) in BAD.items() if name != "crashes"})
    write(tmp_path, {"app/pkg/zuletzt.py": "x = 1"})
    report = examined(python, tmp_path / "app", module_seconds=1)
    imports = {each.module: (each.error, each.missing, each.ours) for each in found(report, "import")}
    assert imports == {
        **{name: (error, missing, True) for name, (_, error, missing) in BAD.items()},
        **{f"pkg.{name}": (error, missing, True) for name, (_, error, missing) in BAD.items() if name != "crashes"},
    }
    assert report.modules == 12
    assert report.unexamined == []


def test_a_package_that_crashes_again_and_again_is_left_as_unexamined(python, tmp_path):
    write(tmp_path, {f"app/pkg/m{number}.py": "import os\nos.abort()" for number in range(5)})
    report = examined(python, tmp_path / "app")
    assert [each.module for each in found(report, "import")] == ["pkg.m0", "pkg.m1", "pkg.m2"]
    assert report.unexamined == ["pkg.m3", "pkg.m4"]


def test_an_examination_ends_in_time_and_says_what_is_left(python, tmp_path):
    write(tmp_path, {f"app/m{number}.py": "import time\ntime.sleep(600)" for number in range(9)})
    report = examined(python, tmp_path / "app", seconds=1)
    assert "m8" in report.unexamined


def test_a_module_that_computes_is_waited_for_longer_than_one_that_sleeps(python, tmp_path):
    write(tmp_path, {"app/busy.py": "import time\nend = time.time() + 1.5\nwhile time.time() < end: pass",
                     "app/idle.py": "import time\ntime.sleep(600)"})  # fmt: skip
    report = examined(python, tmp_path / "app", module_seconds=1)
    assert [each.module for each in found(report, "import")] == ["idle"]


def test_a_module_that_is_killed_for_its_memory_is_not_judged(python, tmp_path):
    killed = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    write(tmp_path, {"app/pkg/a.py": "", "app/pkg/b.py": killed, "app/pkg/c.py": "", "app/z.py": ""})
    report = examined(python, tmp_path / "app")
    assert (list(report.findings), report.unexamined) == ([], ["pkg.b", "pkg.c"])


def test_a_failure_names_the_line_that_raised_it(python, tmp_path):
    write(tmp_path, {"app/a.py": "import b", "app/b.py": "\n\nraise ValueError('x')"})
    sentences = [each.sentence for each in found(examined(python, tmp_path / "app"), "import")]
    assert sentences == [
        f"{tmp_path}/app/a.py cannot be imported as a: ValueError: x ({tmp_path}/app/b.py:3).",
        f"{tmp_path}/app/b.py:3 cannot be imported as b: ValueError: x.",
    ]


def test_tests_scripts_and_data_are_read_but_not_imported(python, tmp_path):
    write(tmp_path, {
        "app/pkg/__init__.py": "", "app/pkg/tests/test_x.py": "1/0", "app/pkg/conftest.py": "1/0",
        "app/pkg/templates/no-module.py": "1/0", "app/pkg/data/script.py": "1/0", "app/setup.py": "1/0",
        "app/serve.py": "1/0",
    })  # fmt: skip
    report = examined(python, tmp_path / "app", command=["python3", str(tmp_path / "app/serve.py")])
    assert (list(report.findings), report.files) == ([], 7)


def test_whose_code_it_is(python, tmp_path):
    bad = "import nothing"
    write(tmp_path, {"app/loose.py": bad} | {f"app/{name}.py": bad for name in ("brought", "built", "named", "script")})
    for name, more in {
        "brought": {}, "named": {}, "built": {"direct_url__json": '{"dir_info": {}}'},
        "script": {"entry_points__txt": "[console_scripts]\nserve-it = script:main\n"},
    }.items():  # fmt: skip
        write(tmp_path / "app", library(name, "1", f"{name}.py", **more))
    write(tmp_path, {"app/script.py": "def main():\n    import brought, built, loose\n" + bad})
    report = examined(python, tmp_path / "app", command=["/usr/bin/serve-it", "-m", "named"])
    assert {each.module: each.ours for each in report.findings} == {
        "loose": True, "built": True, "named": True, "script": True, "brought": False,
    }  # fmt: skip


def test_mounts_and_the_folders_of_started_scripts_are_read_too(python, tmp_path):
    text = "password = 'open \\sesame'"
    write(tmp_path, {"srv/serve.py": "import imp_of_ours", "srv/other.py": "x = (", "in/plugin.py": "y = (",
                     "secret": text, "secrets/token": text})  # fmt: skip
    mounts = [tmp_path / "in", tmp_path / "secret", tmp_path / "secrets", "/nowhere"]
    report = examined(python, command=["python3", str(tmp_path / "srv/serve.py")], mounts=mounts)
    assert {each.path for each in found(report, "compile")} == {f"{tmp_path}/srv/other.py", f"{tmp_path}/in/plugin.py"}
    assert (report.files, report.modules) == (3, 0)


def test_a_deprecated_module_is_named_by_its_file_and_a_deprecated_call_by_its_line(python, tmp_path):
    warn = "import warnings\nwarnings.warn('{}', DeprecationWarning, stacklevel=2)"
    write(tmp_path, {"app/old.py": warn.format("old is old"), "app/caller.py": "import helper\n\nhelper.call()",
                     "app/helper.py": "import warnings\ndef call():\n    warnings.warn('call is old', "
                                      "DeprecationWarning, stacklevel=2)"})  # fmt: skip
    sentences = sorted(each.sentence for each in found(examined(python, tmp_path / "app"), "deprecated"))
    assert sentences == [
        f"{tmp_path}/app/caller.py:3 DeprecationWarning: call is old.",
        f"{tmp_path}/app/old.py DeprecationWarning: old is old.",
    ]


def test_a_removed_name_and_an_extension_for_another_python_are_found(python, tmp_path):
    write(tmp_path, {"app/a.py": "def f():\n    import formatter\n", "app/speed.cpython-27m-x86_64-linux-gnu.so": ""})
    report = examined(python, tmp_path / "app")
    assert [each.path for each in found(report, "abi")] == [f"{tmp_path}/app/speed.cpython-27m-x86_64-linux-gnu.so"]
    kind = "removed" if tuple(map(int, report.python.split(".")[:2])) >= (3, 10) else "deprecated"
    assert [(each.path, each.line) for each in found(report, kind)] == [(f"{tmp_path}/app/a.py", 2)]


def test_the_working_directory_counts_where_it_holds_code(python, tmp_path):
    write(tmp_path, {"app/main.py": "import nothing", "app/lib/part.py": ""})
    report = examined(python, tmp_path / "app/lib", cwd=tmp_path / "app")
    assert {each.module for each in report.findings} == {"main"}
    assert report.modules == 2


@pytest.mark.parametrize("needed", [True, False])
def test_a_part_of_another_package_is_imported_after_that_one(python, tmp_path, needed):
    write(tmp_path, {
        "psy/__init__.py": "", **library("psy", "1", "psy/__init__.py"),
        "psy_fast/__init__.py": "import sys\nif 'psy' not in sys.modules: raise ImportError('psy comes before')\n",
        **library("psy-fast", "1", "psy_fast/__init__.py"),
    })  # fmt: skip
    if needed:
        metadata = "Metadata-Version: 2.1\nName: psy\nVersion: 1\nRequires-Dist: psy_fast==1; extra == \"fast\"\n\n"
        (tmp_path / "psy-1.dist-info/METADATA").write_text(metadata)
    report = examined(python, tmp_path)
    assert [each.what for each in found(report, "import")] == ([] if needed else [
        "cannot be imported as psy_fast: ImportError: psy comes before"
    ])
    assert list(report.unexamined) == []
