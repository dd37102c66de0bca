"""The lab's command line, what it starts and what it leaves alone, and the inventory that it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
import yaml

import lab.__main__ as lab
from builder import cache
from front.inventory import loader
from front.inventory.documented import documented
from lab import machine

CHECKOUT = Path(__file__).resolve().parents[3]


class Engine:
    """Stands for the docker client: knows the lab's containers, and notes what it is asked."""

    def __init__(self, **states: str) -> None:
        self.states = {name.replace("_", "-"): state for name, state in states.items()}
        self.suite = "bookworm"
        self.asked: list[tuple[str, ...]] = []
        self.fails: str = ""

    def __call__(self, *words: str) -> str:
        self.asked.append(words)
        if self.fails and self.fails in words:
            raise subprocess.CalledProcessError(1, ["docker", *words], stderr="no space left\n")
        if words[0] == "ps":
            return "\n".join(self.states)
        if words[:2] == ("network", "ls"):
            return ""
        if words[:2] == ("inspect", "--format"):
            return "192.0.2.7" if "IPAddress" in words[2] else "true"
        return json.dumps([self.container(name) for name in words[1:]]) if words[0] == "inspect" else "made"

    def container(self, name: str) -> dict[str, object]:
        state = self.states[name]
        labels = {} if name == lab.PLONE else {lab.SUITE_LABEL: self.suite}
        return {
            "Name": f"/{name}", "Config": {"Labels": labels},
            "State": {"Paused": state == "paused", "Running": state in {"paused", "running"}},
        }  # fmt: skip

    def did(self, *first: str) -> list[str]:
        """The last words of each command that begins with one of `first`."""
        return [words[-1] for words in self.asked if words[0] in first]


@pytest.fixture
def engine(monkeypatch, tmp_path) -> Engine:
    fake = Engine()
    monkeypatch.setattr(lab, "docker", fake)
    monkeypatch.setattr(machine, "docker", fake)
    monkeypatch.setattr(machine, "with_engine", lambda suite: f"host:{suite}")
    monkeypatch.setattr(machine, "authorise", lambda *_: None)
    monkeypatch.setattr(machine, "new_key", lambda path: path.write_text("key"))
    monkeypatch.setattr(lab, "available_mb", lambda: 100_000)
    monkeypatch.setattr(lab, "INVENTORY", tmp_path / "inventories/lab")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return fake


def started(engine: Engine) -> list[str]:
    return [words[words.index("--name") + 1] for words in engine.asked if words[0] == "run"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--hosts", "0"], "--hosts is '0', but must be a number from 1 to 19."),
        (["--hosts", "many"], "--hosts is 'many', but must be a number from 1 to 19."),
        (["--suite", "buster"], "--suite is 'buster', but must be bookworm or trixie."),
    ],
)
def test_what_cannot_be_is_refused(engine, capsys, words, text):
    assert lab.main(["up", *words]) == 2
    assert (capsys.readouterr().err, engine.asked) == (f"invoke: {text}\n", [])


@pytest.mark.usefixtures("engine")
def test_without_an_engine_it_is_refused(monkeypatch, capsys):
    def missing(*_: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(lab, "docker", missing)
    assert lab.main(["up"]) == 2
    assert capsys.readouterr().err.startswith("invoke: There is no Docker on this machine.\nNext: ")


def test_an_engine_that_does_not_answer_is_a_refusal_too(engine, capsys):
    engine.fails = "ps"
    assert lab.main(["up"]) == 2
    assert capsys.readouterr().err == "invoke: Docker does not answer: no space left\n"


def test_too_little_memory_is_said_before_anything_starts(engine, monkeypatch, capsys):
    monkeypatch.setattr(lab, "available_mb", lambda: 900)
    assert lab.main(["up"]) == 2
    assert "and 900 MB are free: type fewer --hosts." in capsys.readouterr().err
    assert started(engine) == []


def test_hosts_and_plone_are_started_and_named_in_the_inventory(engine, capsys):
    assert lab.main(["up", "--hosts", "2"]) == 0
    assert started(engine) == ["eduhub-lab-plone", "eduhub-lab-lab1", "eduhub-lab-lab2"]
    assert "http://192.0.2.7:8080/Plone" in (lab.INVENTORY / "hosts.yml").read_text()
    assert "Next: ./invoke deploy" in capsys.readouterr().out


def test_a_second_up_starts_only_what_is_missing_or_stopped(engine):
    engine.states = {"eduhub-lab-plone": "running", "eduhub-lab-lab1": "exited", "eduhub-lab-lab2": "paused"}
    assert lab.main(["up"]) == 0
    assert (engine.did("start"), engine.did("unpause")) == (["eduhub-lab-lab1"], ["eduhub-lab-lab2"])
    assert started(engine) == ["eduhub-lab-lab3"]


def test_a_lab_of_another_kind_is_left_alone(engine, capsys):
    engine.states = {"eduhub-lab-lab1": "running"}
    assert lab.main(["up", "--suite", "trixie"]) == 2
    assert capsys.readouterr().err == (
        "invoke: There is a lab of 1 hosts (bookworm) already.\nNext: ./invoke lab.down\n"
    )


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("interrupted", [True, False])
def test_what_does_not_come_up_says_what_to_type(monkeypatch, capsys, interrupted):
    def fails(*_: str) -> None:
        raise KeyboardInterrupt if interrupted else lab.LateError("Host lab1 has ended")

    monkeypatch.setattr(lab, "until", fails)
    assert lab.main(["up"]) == 1
    said = capsys.readouterr().err
    assert ("Interrupted: lab.up is not complete." if interrupted else "Host lab1 has ended") in said
    assert "./invoke lab.up    # with the same options, goes on from there\n      ./invoke lab.down" in said
    assert not lab.INVENTORY.exists()


def test_what_docker_refuses_is_one_sentence(engine, capsys):
    engine.fails = "create"
    assert lab.main(["up"]) == 1
    assert capsys.readouterr().err.startswith("invoke: docker network failed: no space left\nNext: ")


def test_down_removes_containers_network_key_and_inventory(engine):
    assert lab.main(["up"]) == 0
    engine.states = {"eduhub-lab-plone": "running", "eduhub-lab-lab1": "running"}
    assert lab.main(["down"]) == 0
    assert ("rm", "--force", "--volumes", "eduhub-lab-plone", "eduhub-lab-lab1") in engine.asked
    assert not lab.INVENTORY.exists()
    assert not (cache.home() / "lab").exists()


def test_the_inventory_has_documented_names_alone_and_a_port_for_each_host(tmp_path):
    addresses = {"lab1": "192.0.2.8", "lab2": "192.0.2.9"}
    (tmp_path / "hosts.yml").write_text(lab.inventory(addresses, Path("/key"), "192.0.2.7"))
    known = documented(CHECKOUT / "ansible")
    hosts = loader.load(tmp_path, "", known.prefixes)
    loader.check(tmp_path, hosts, known)
    assert [host.name for host in hosts] == ["lab1", "lab2"]
    assert [host.variables["ansible_port"] for host in hosts] == [9221, 9222]


def test_front_hosts_share_an_address_and_every_host_has_one_of_its_own(tmp_path):
    addresses = {"lab1": "192.0.2.3", "front1": "192.0.2.4", "front2": "192.0.2.5"}
    public = IPv4Interface("192.0.2.254/24")
    (tmp_path / "hosts.yml").write_text(lab.inventory(addresses, Path("/key"), "192.0.2.7", public))
    known = documented(CHECKOUT / "ansible")
    hosts = loader.load(tmp_path, "", known.prefixes)
    loader.check(tmp_path, hosts, known)
    seen = {host.name: host.variables for host in hosts}
    assert {name: each["front_host_address"] for name, each in seen.items()} == addresses
    assert [seen[name]["ansible_port"] for name in addresses] == [9221, 9241, 9242]
    assert seen["front2"]["group_names"] == ["front"]
    assert seen["front1"]["front_virtual_addresses"] == ["192.0.2.254/24"]
    assert "192.0.2.254" in seen["lab1"]["edge_hosts"]


def test_a_lab_with_another_name_and_ports_shares_nothing_with_the_operators():
    show = "import lab.__main__ as lab; print(lab.STACK, lab.INVENTORY.name, lab.PLONE, *lab.published('lab1'))"
    said = [
        subprocess.run([sys.executable, "-c", show], env={**os.environ, "PYTHONPATH": "images", **named}, cwd=CHECKOUT,
                       capture_output=True, text=True, check=True).stdout.split()
        for named in ({"EDUHUB_LAB": "", "EDUHUB_LAB_PORT": "9080"}, {"EDUHUB_LAB": "test", "EDUHUB_LAB_PORT": "28200"})
    ]  # fmt: skip
    assert said == [
        ["eduhub-lab", "lab", "eduhub-lab-plone", "9081:8080", "9221:22"],
        ["eduhub-lab-test", "lab-test", "eduhub-lab-test-plone", "28201:8080", "28341:22"],
    ]


def test_plone_is_the_one_that_the_product_deploys():
    defaults = yaml.safe_load((CHECKOUT / "ansible/roles/plone/defaults/main.yml").read_text())
    assert _named(defaults) == lab.PLONE_IMAGE


def _named(defaults: dict[str, str]) -> str:
    image = defaults["plone_image"].replace("{python}", defaults["plone_python"])
    return image.replace("{version}", defaults["plone_version"])
