"""What an operator has set for pip is kept where it reaches an index, and nowhere else."""

from __future__ import annotations

import os
import sys

import pytest

from builder.pip_settings import environment

PIP = (sys.executable, "-m", "pip")
CONFIGURED = """\
[global]
index-url = https://global.example/simple
extra-index-url =
    https://one.example/simple
    https://two.example/simple
target = /elsewhere
user = true
[install]
index-url = https://install.example/simple
[download]
no-binary = :all:
"""


@pytest.fixture(autouse=True)
def _configured(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(CONFIGURED)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name, value in {"CERT": "/ca.pem", "PREFIX": "/there", "USER": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)


def settings(found: dict[str, str]) -> dict[str, str]:
    """Return pip's own variables."""
    return {name: value for name, value in found.items() if name.startswith("PIP_")}


@pytest.mark.parametrize(("command", "index"), [("install", "install"), ("download", "global")])
def test_the_index_and_its_certificate_are_kept_and_what_moves_packages_is_not(command, index):
    found = settings(environment(PIP, command))
    assert found.pop("PIP_EXTRA_INDEX_URL").split() == ["https://one.example/simple", "https://two.example/simple"]
    assert found == {
        "PIP_INDEX_URL": f"https://{index}.example/simple", "PIP_CERT": "/ca.pem", "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip


def test_a_variable_counts_more_than_a_file(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://typed.example/simple")
    assert environment(PIP, "install")["PIP_INDEX_URL"] == "https://typed.example/simple"


def test_a_file_that_cannot_be_read_is_left_to_pip_which_says_so(tmp_path):
    (tmp_path / "pip.conf").write_text("no section\n")
    assert environment(PIP, "install")["PIP_CONFIG_FILE"] == str(tmp_path / "pip.conf")
