"""An operator's mistake is one sentence, exit code 2, and nothing touched."""

from __future__ import annotations

import socket

import pytest

from tests.rollout.operator import CHECKOUT, LADDER, OLD, Operator, touched

MISTYPED = {
    "an unknown verb": (["dploy"], ["dploy", "./invoke deploy"]),
    "an unknown option": (["deploy", "--pyhton", OLD], ["--pyhton", f"--python {OLD}"]),
    "an unknown Python": (["upgrade", "--python", "3.8"], ["3.8", *LADDER]),
    "an unknown release": (["rollback", "--to", "20200101T000000Z-py3.9-00000000"], ["20200101T000000Z", "--list"]),
    "an id of no request": (["trace", "no-such-request"], ["No log on", "no-such-request"]),
    "an unknown host": (["status", "--limit", "nowhere"], ["nowhere"]),
    "removing data with nobody to ask": (["destroy", "--data"], ["--yes"]),
}


@pytest.mark.parametrize(("words", "said"), MISTYPED.values(), ids=MISTYPED)
def test_a_mistyped_line_is_refused(deployed, words, said):
    before = touched()
    refused = deployed.types(*words)
    assert refused.returncode == 2
    assert [word for word in said if word not in refused.stdout] == []
    assert "Traceback" not in refused.stdout
    assert touched() == before


MISSPELT = {
    "a misspelt variable": ({"edge_prot": 8080}, ["edge_prot", "edge_port"]),
    "a misspelt prefix": ({"egde_port": 8080}, ["egde_port", "edge_port"]),
    "a wrong type": ({"edge_port": "eighty"}, ["edge_port", "eighty"]),
}


@pytest.mark.parametrize(("variables", "said"), MISSPELT.values(), ids=MISSPELT)
def test_a_misspelt_inventory_is_refused(deployed, tmp_path, variables, said):
    before = touched()
    refused = deployed.with_variables(tmp_path / "inventory", **variables).types("deploy")
    assert refused.returncode == 2
    assert [word for word in said if word not in refused.stdout] == []
    assert "Traceback" not in refused.stdout
    assert touched() == before


def test_an_unreadable_inventory_is_refused_with_file_and_line(deployed, tmp_path):
    broken = deployed.with_variables(tmp_path / "inventory")
    (broken.inventory / "hosts.yml").write_text("all:\n  vars: {edge_port: 1\n  children:\n")
    refused = broken.types("status")
    assert refused.returncode == 2
    assert "hosts.yml" in refused.stdout
    assert "Traceback" not in refused.stdout


def test_an_unknown_inventory_is_refused_with_the_known_ones():
    refused = Operator(CHECKOUT / "inventories/nowhere").types("status")
    assert refused.returncode == 2
    assert [word for word in ("nowhere", "local") if word not in refused.stdout] == []


def test_a_taken_port_names_its_holder(deployed, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        elsewhere = deployed.with_variables(tmp_path / "inventory", eduhub_stack="eduhub-other", edge_port=port)
        refused = elsewhere.types("deploy")
    assert refused.returncode == 2
    assert [word for word in (str(port), "python", "edge_port") if word not in refused.stdout] == []
    assert touched("eduhub-other") == ""
