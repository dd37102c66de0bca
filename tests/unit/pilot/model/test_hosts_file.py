"""A slot knows the names that only the host's /etc/hosts has."""

from __future__ import annotations

from eduhub_pilot.commands.prove import prove
from eduhub_pilot.model.hosts_file import names
from tests.unit.pilot.world import World

TEXT = """\
127.0.0.1 localhost
127.0.1.1 bridge-1.example.edu bridge-1
::1 localhost ip6-localhost
fe00::0 ip6-localnet
ff02::1 ip6-allnodes
10.1.2.3 cms.example.edu cms # the CMS
#10.9.9.9 old.example.edu
10.1.2.4 cms
2001:db8::7\tcms6.example.edu
nonsense here
"""


def test_names_with_an_address_that_a_container_can_reach_are_taken():
    assert names(TEXT) == {
        "cms.example.edu": "10.1.2.3", "cms": "10.1.2.3", "cms6.example.edu": "2001:db8::7"
    }  # fmt: skip


def test_a_slot_is_started_with_them(live: World, tmp_path, monkeypatch):
    file = tmp_path / "hosts"
    file.write_text(TEXT)
    monkeypatch.setattr("eduhub_pilot.rollout.slot.HOSTS", file)
    made = []
    run = live.engine.run
    monkeypatch.setattr(live.engine, "run", lambda wanted: (made.append(wanted), run(wanted)))
    live.begin("next", "upgrade", python="3.11")
    prove(live.host, "next")
    assert made[0].hosts["cms.example.edu"] == "10.1.2.3"
