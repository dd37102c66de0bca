"""The program of the image of copies gives restic the names and values in a file, however that was written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

START = Path(__file__).resolve().parents[5] / "images/copy/start"
RESTIC = "import json, os, sys\njson.dump(dict(os.environ), sys.stdout)\nsys.exit(3)\n"
NAME, FILE = "AWS_SECRET_ACCESS_KEY", "/etc/eduhub/copy/environment"


def environment(folder: Path, text: bytes, command: str) -> dict[str, str]:
    """Return the environment that restic has with a file that holds `text`."""
    done = started(folder, text, command)
    assert (done.returncode, done.stderr) == (3, b"")
    return dict(json.loads(done.stdout))


def started(folder: Path, text: bytes, command: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program with a file that holds `text`, and a restic that prints its environment and ends with 3."""
    (folder / "environment").write_bytes(text)
    script = folder / "start"
    script.write_text(START.read_text().replace(f"file={FILE}\n", f"file={folder / 'environment'}\n"))
    restic = folder / "restic"
    restic.write_text(f"#!{sys.executable}\n{RESTIC}")
    restic.chmod(0o700)
    path = {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(["sh", script, command], env=path, capture_output=True, check=False)


@pytest.mark.parametrize("command", ["cat", "tag"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"# its key\n\n{NAME}=a=b\"c d", 'a=b"c d'),
        (f"{NAME}=plain\r\nOTHER=x\r\n", "plain"),
        (f'export {NAME}="in quotes"\n', "in quotes"),
        (f"{NAME}='in \"quotes\"'\r\n", 'in "quotes"'),
        (f'{NAME}="\n', '"'),
        (f"{NAME}=\n", ""),
    ],
)
def test_each_line_is_a_name_and_a_value(tmp_path, text, value, command):
    assert environment(tmp_path, text.encode(), command)[NAME] == value


@pytest.mark.parametrize("line", [f"{NAME}: wJalr/secret=", "wJalr/secret", f"  {NAME}=wJalr/secret"])
def test_a_line_that_is_no_name_and_value_ends_it_and_is_not_shown(tmp_path, line):
    done = started(tmp_path, f"OTHER=x\n{line}\n".encode(), "cat")
    assert (done.returncode, b"no NAME=VALUE" in done.stderr, b"wJalr" in done.stderr + done.stdout) == (1, True, False)
