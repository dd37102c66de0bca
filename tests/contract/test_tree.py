"""The Ansible tree keeps its promises: one source for each fact, doors with specs, names that tell the effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import gates

CHECKOUT = Path(__file__).resolve().parents[2]
ANSIBLE = CHECKOUT / "ansible"
INVENTORIES = [*sorted((CHECKOUT / "inventories").iterdir()), CHECKOUT / "tests/rollout/inventory"]

# gate: files of a role `edge` that break it, what it then says
BAD = {
    gates.defaults_that_differ: (
        {
            "roles/edge/meta/argument_specs.yml": """
argument_specs:
  run:
    options:
      edge_port: {type: int, default: 80}
      edge_name: {type: str, default: "1"}
      edge_lost: {type: str, default: x}
""",
            "roles/edge/defaults/main.yml": "{edge_port: 81, edge_name: 1, edge_secret: y}",
        },
        [
            "edge: edge_port is 80 in the spec of run, 81 in defaults",
            "edge: edge_name is '1' in the spec of run, 1 in defaults",
            "edge: edge_lost has a default in the spec of run and none in defaults/main.yml",
            "edge: edge_secret has a default in defaults/main.yml and none in argument_specs.yml",
        ],
    ),
    gates.options_half_documented: (
        {
            "roles/edge/meta/argument_specs.yml": """
argument_specs:
  run:
    options:
      edge_port: {description: x}
      edge_name: {type: str}
      edge_slot: {type: str, description: x, required: true, default: blue}
      plone_port: {type: int, description: x}
"""
        },
        [
            "edge: edge_port of run has no type",
            "edge: edge_name of run has no description",
            "edge: edge_slot of run is required and has a default",
            "edge: plone_port of run has another role's prefix",
        ],
    ),
    gates.doors_without_spec: (
        {
            "roles/edge/meta/argument_specs.yml": "argument_specs: {run: {}, gone: {}}",
            "roles/edge/tasks/run.yml": """
- name: Do it
  block:
    - name: Import a part
      ansible.builtin.import_tasks: part.yml
""",
            "roles/edge/tasks/part.yml": "[]",
            "roles/edge/tasks/secret.yml": "[]",
        },
        [
            "edge: tasks/secret.yml is a door without a spec",
            "edge: the door gone has a spec and no tasks/gone.yml",
        ],
    ),
    gates.doors_that_are_missing: (
        {
            "playbooks/deploy.yml": """
- name: Play
  hosts: all
  tasks:
    - name: Run
      ansible.builtin.import_role: {name: edge, tasks_from: rnu}
""",
            "roles/edge/tasks/run.yml": "[]",
        },
        ["playbooks/deploy.yml: there is no door rnu in role edge"],
    ),
    gates.handlers_under_conditions: (
        {
            "playbooks/deploy.yml": """
- name: Play
  hosts: all
  tasks:
    - name: Run
      ansible.builtin.import_role: {name: edge, tasks_from: run}
    - name: Look
      when: wanted
      ansible.builtin.import_role: {name: edge, tasks_from: run}
""",
            "roles/edge/tasks/run.yml": "- {name: Import a part, import_tasks: part.yml}",
            "roles/edge/tasks/part.yml": "- {name: Configure, notify: Reload}",
        },
        ["playbooks/deploy.yml: edge notifies a handler, and is imported under ['None', 'wanted']"],
    ),
    gates.names_that_are_none: (
        {
            "playbooks/deploy.yml": """
- hosts: all
  tasks:
    - name: Move {{ what }} somewhere
      ansible.builtin.debug:
    - name: Move {{ this }} to {{ that }}
      ansible.builtin.debug:
    - name: Move traffic to {{ slot }}
      ansible.builtin.debug:
    - name: Try
      block:
        - ansible.builtin.debug:
      rescue:
        - name: move back
          ansible.builtin.debug:
""",
            "roles/edge/handlers/main.yml": "- ansible.builtin.debug:",
        },
        [
            "playbooks/deploy.yml: no name on hosts, tasks",
            "playbooks/deploy.yml: 'Move {{ what }} somewhere' is no name",
            "playbooks/deploy.yml: 'Move {{ this }} to {{ that }}' is no name",
            "playbooks/deploy.yml: no name on ansible.builtin.debug",
            "playbooks/deploy.yml: 'move back' is no name",
            "roles/edge/handlers/main.yml: no name on ansible.builtin.debug",
        ],
    ),
    gates.wires_to_nowhere: (
        {
            "roles/edge/meta/argument_specs.yml": "argument_specs: {run: {options: {edge_name: {type: str}}}}",
            "playbooks/group_vars/all.yml": "{eduhub_dir: x, _eduhub_ports: [], edge_name: x, edge_nmae: x}",
        },
        ["edge_nmae is wired to nowhere"],
    ),
    gates.lines_without_phase: (
        {
            "playbooks/deploy.yml": """
- name: Play
  hosts: all
  tasks:
    - name: Inherit
      vars: {phase: prove}
      block:
        - name: Prove
          ansible.builtin.debug:
    - name: Announce
      ansible.builtin.debug:
      vars: {announce: true}
    - name: End
      ansible.builtin.meta: end_host
    - name: Forget
      ansible.builtin.debug:
    - name: Compute
      ansible.builtin.debug:
      vars: {phase: "{{ x }}"}
- name: Play in one phase
  hosts: all
  vars: {phase: status}
  tasks:
    - name: Ask
      ansible.builtin.debug:
"""
        },
        ["playbooks/deploy.yml: 'Forget' has no phase", "playbooks/deploy.yml: 'Compute' has no phase"],
    ),
    gates.files_too_long: ({"roles/edge/tasks/run.yml": "#\n" * 121}, ["roles/edge/tasks/run.yml has 121 lines"]),
    gates.hides_ansible: ({"__init__.py": ""}, ["ansible/__init__.py hides the package ansible"]),
}


@pytest.mark.parametrize("gate", BAD, ids=lambda gate: gate.__name__)
def test_the_tree_passes(gate):
    assert gate(ANSIBLE) == []


@pytest.mark.parametrize("gate", BAD, ids=lambda gate: gate.__name__)
def test_a_bad_tree_is_caught_by(gate, tmp_path):
    files, sentences = BAD[gate]
    (tmp_path / "roles/edge").mkdir(parents=True)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert sorted(sentences) == sorted(gate(tmp_path))


@pytest.mark.parametrize("kept", INVENTORIES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_an_inventory_sets_only_what_is_documented(kept):
    assert gates.undocumented_in(kept, ANSIBLE) == []


@pytest.mark.parametrize("kept", INVENTORIES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_an_inventory_suggests_only_what_is_documented(kept):
    texts = [path.read_text() for path in kept.rglob("*.yml")]
    assert [sentence for text in texts for sentence in gates.examples_of_nothing(text, ANSIBLE)] == []


def test_a_bad_inventory_is_caught(tmp_path):
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all:\n  vars: {edge_prot: 1, edge_port: eighty, edge_name: x}\n  hosts: {a: }\n")
    assert [
        f"There is no variable edge_prot ({hosts}:2); did you mean edge_port?",
        f"edge_port ({hosts}:2) is 'eighty', but must be a whole number.",
        f"edge_name ({hosts}:2) is no setting: ansible/playbooks/group_vars/all.yml computes it; remove it.",
    ] == gates.undocumented_in(tmp_path, ANSIBLE)


def test_a_bad_suggestion_is_caught():
    assert gates.examples_of_nothing("# edge_prot: 1\n# edge_port: 1\n# b: 1\n", ANSIBLE) == [
        "edge_prot is no variable"
    ]
