"""Ansible finds our module_utils through ansible.cfg; an import in a test finds them here."""

from __future__ import annotations

from pathlib import Path

import ansible.module_utils

ansible.module_utils.__path__.append(str(Path(__file__).resolve().parents[3] / "ansible/module_utils"))
