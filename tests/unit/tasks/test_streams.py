"""Whatever becomes of stdin and stdout, the exit code is true and no traceback is printed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from front.output import closing
from tests.unit.tasks.checkout import CHECKOUT


def typed(line: str, redirected: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command line with the shell's redirections."""
    command = f"{shlex.quote(sys.executable)} tasks.py {line} {redirected}"
    return subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirected", ["<&-", "< /dev/null"])
def test_without_an_open_stdin_removing_data_is_refused_without_a_traceback(redirected):
    done = typed("destroy --data --inventory no-such", redirected)
    assert (done.returncode, done.stdout, "--yes" in done.stderr) == (2, "", True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirected", "code"),
    [("| true; exit ${PIPESTATUS[0]}", 2), (">&-", 2), (">&- 2>&-", 2)],
    ids=["a reader that is gone", "a closed stdout", "nothing open"],
)
def test_the_exit_code_is_that_of_the_program_whatever_becomes_of_stdout(redirected, code):
    done = typed("status --inventory no-such", redirected)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_what_a_program_prints_after_its_reader_left_is_dropped(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, tasks\n"
        "from invoke.context import Context\n"
        "sys.stdout = tasks.LastingStream(sys.stdout)\n"
        "many = 'for n in range(20000): print(n)'\n"
        "tasks.run(Context(), sys.executable, '-c', many)\n"
        "tasks.run(Context(), sys.executable, '-c', many + '\\nraise SystemExit(3)')\n"
    )
    command = f"PYTHONPATH=. {shlex.quote(sys.executable)} {script} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.stdout, "BrokenPipe" in done.stderr, done.returncode) == ("0\n", False, 1)


@pytest.mark.parametrize("line", ["status --limmit x --json", "destroy --data --json < /dev/null"])
def test_a_program_that_asks_for_json_gets_it_of_a_refusal_too(line):
    done = typed(line)
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit"], found["hosts"]) == (2, 2, {})
    assert found["messages"][0] in done.stderr
    assert set(found) == set(closing.hostless_document(2, []))


@pytest.mark.parametrize(("option", "variable"), [("become", "BECOME"), ("vault", "VAULT")])
def test_without_a_terminal_nobody_is_asked_for_a_password(option, variable):
    done = typed(f"status --ask-{option}-pass", "< /dev/null")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"ANSIBLE_{variable}_PASSWORD_FILE" in done.stderr
    assert "Traceback" not in done.stderr
