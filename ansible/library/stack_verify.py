#!/usr/bin/python
"""The documentation of stack_verify; the action plugin of that name does the work, on the control machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_verify
short_description: Verify that a deployed host serves what its records say
version_added: "0.1.0"
author: EduHub rollout
description:
  - Runs a testinfra suite on the control machine, over the connection that Ansible has to the host, C(become) included.
  - The host is observed in one round trip. What is not as it should be comes back as data and does not fail the task.
  - Changes nothing, in check mode or without.
options:
  suite:
    description: Directory of the testinfra suite on the control machine.
    type: path
    required: true
  stack:
    description: Name of the stack.
    type: str
    required: true
  urls:
    description: >-
      Addresses of the stack as its host reaches them, with the keys C(stack) (the public address), C(blue) and C(green)
      (private endpoints) and C(statistics).
    type: dict
    required: true
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
requirements:
  - pytest and pytest-testinfra on the control machine
  - Python 3.9 or newer and the docker client on the host
"""

EXAMPLES = r"""
- name: Verify the host
  stack_verify:
    suite: /srv/eduhub/ansible/verify
    stack: eduhub
    urls:
      stack: http://127.0.0.1:8080
      blue: http://127.0.0.1:8101
      green: http://127.0.0.1:8102
      statistics: http://127.0.0.1:8404
  register: verified

- name: Fail with what is not as it should be
  ansible.builtin.fail:
    msg: "{{ verified.findings | map(attribute='message') | join(' ') }}"
  when: verified.findings | length > 0
"""

RETURN = r"""
checks:
  description: How many checks were made.
  returned: success
  type: int
  sample: 24
findings:
  description: What is not as it should be.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: Name of the check that made the finding.
      type: str
      sample: edge_live_slot_and_plone_are_running
    code:
      description: Stable name of the finding. docs/reference/verify.md lists them.
      type: str
      sample: container_stopped
    message:
      description: What is wrong, with the value, and the next command.
      type: str
      sample: >-
        The container eduhub-edge is exited (exit code 137); expected running. Next: `docker start eduhub-edge`
    what:
      description: What is wrong, with the value.
      type: str
      sample: The container eduhub-edge is exited (exit code 137); expected running.
    next:
      description: The next commands, each an argument list.
      type: list
      elements: list
      sample: [[docker, start, eduhub-edge]]
    host:
      description: Name of the host in the inventory.
      type: str
      sample: bridge-1
"""

ARGUMENTS = {
    "suite": {"type": "path", "required": True},
    "stack": {"type": "str", "required": True},
    "urls": {"type": "dict", "required": True},
}
