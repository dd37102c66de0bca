"""What only looks at hosts does so in one play: Ansible ends a run at a play whose hosts all failed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[2] / "ansible/playbooks"


@pytest.mark.parametrize("verb", ["preflight", "status", "verify"])
def test_front_hosts_are_looked_at_where_every_bridge_host_fails(verb):
    (play,) = yaml.safe_load((PLAYBOOKS / f"{verb}.yml").read_text(encoding="utf-8"))
    assert {"bridge", "front"} <= set(play["hosts"].split(":"))
