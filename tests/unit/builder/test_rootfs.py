"""What mmdebstrap says becomes a sentence with what helps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builder import Refusal, debian, rootfs
from builder.catalogue import Root

ROOT = Root("bookworm", ("haproxy",), (), (), ())


PROXIED = """
Acquire::http::Proxy "http://proxy.example.edu:3128";
Acquire::http::Proxy::intern.example.edu "DIRECT";
Acquire::https::Proxy "http://proxy.example.edu:3129";
"""


def proxies_of(configuration: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: str) -> dict[str, str]:
    (tmp_path / "apt.conf").write_text(f'Dir::Etc::parts "{tmp_path}/none"; Dir::Etc::main "none";{configuration}')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return rootfs.proxies()


@pytest.mark.skipif(not shutil.which("apt-config"), reason="this machine has no apt")
def test_a_proxy_that_only_apt_knows_is_that_of_mmdebstrap_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmdebstrap lets apt read none of this machine's configuration, and no proxy may stay in an image."""
    found = proxies_of(PROXIED, tmp_path, monkeypatch)
    assert found == {
        "http_proxy": "http://proxy.example.edu:3128", "https_proxy": "http://proxy.example.edu:3129",
        "no_proxy": "intern.example.edu",
    }  # fmt: skip
    assert proxies_of("", tmp_path, monkeypatch) == {}
    assert proxies_of('Acquire::http::Proxy "DIRECT";', tmp_path, monkeypatch) == {}
    mine = {"http_proxy": "http://mine:1", "no_proxy": "localhost"}
    assert proxies_of(PROXIED, tmp_path, monkeypatch, **mine) == {
        "https_proxy": "http://proxy.example.edu:3129", "no_proxy": "localhost,intern.example.edu",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "E: unable to pick chroot mode automatically (use --mode for manual selection)\n",
            "install uidmap and give this account a range in /etc/subuid and /etc/subgid",
        ),
        (
            "W: x\nE: apt-get update failed\n",
            r"from http://mirror.example/debian \(apt-get update failed\); check the network, or name a mirror",
        ),
    ],
)
def test_what_helps_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str) -> None:
    """A runner's account that may not make root file systems has no trouble with its network."""

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1, "", said)

    monkeypatch.setattr(rootfs, "ensure_mmdebstrap", lambda: None)
    monkeypatch.setattr(debian, "sources", lambda _suite: ["deb http://mirror.example/debian bookworm main"])
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Refusal, match=told) as refusal:
        rootfs.make(ROOT, tmp_path, 0)
    assert ("network" in str(refusal.value)) is ("network" in told)
