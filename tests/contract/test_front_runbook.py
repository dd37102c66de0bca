"""The runbook of front hosts explains every code that a front host is refused or found with."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs/runbooks/front-hosts.md").read_text(encoding="utf-8")


def test_each_code_of_a_front_host_is_explained_and_no_other():
    files = [ROOT / "ansible" / folder / "host_front.py" for folder in ("library", "module_utils")]
    module = "".join(path.read_text(encoding="utf-8") for path in files)
    tasks = (ROOT / "ansible/roles/front/tasks/look.yml").read_text(encoding="utf-8")
    drain = (ROOT / "ansible/library/host_drain.py").read_text(encoding="utf-8")
    failed = re.findall(r'answered\(\s*"(\w+)", [123]', drain)
    given = {*failed, *re.findall(r'finding\(\s*"(\w+)"', module), *re.findall(r"code: (\w+)", tasks)}
    assert len(given) > 10
    assert given == set(re.findall(r"(?m)^ *\| `(\w+)` \|", RUNBOOK))
