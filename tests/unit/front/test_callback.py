"""What an operator reads: a real, tiny playbook is played through the front, and its lines are compared."""

from __future__ import annotations

import json
import re

import pytest

from tests.unit.front.conftest import HOSTS

pytestmark = pytest.mark.slow

PLAYBOOK = r"""
- name: Try every way in which a host can end
  hosts: all
  gather_facts: false
  vars: {phase: preflight}
  tasks:
    - name: Look at the host
      ansible.builtin.command: >-
        echo '{"code":"host_ready","exit":0,"message":"Debian 12.","changed":false,"notes":["No live-restore."]}'
      changed_when: false

    - name: Find what is wrong with the host
      tell:
        stdout: >-
          {"code":"preflight_failed","exit":2,"message":"2 findings.",
          "findings":[{"code":"disk_short","message":"No disk: buy one.","next":[]},
          {"code":"lock_held","message":"ana holds the lock.","next":[["./invoke","status"]]}]}
      when: inventory_hostname == 'refused'

    - name: Refuse the host
      ansible.builtin.fail:
        msg: "2 findings."
      vars: {reported: true}
      when: inventory_hostname == 'refused'

    - name: Roll, and undo the run if anything fails
      block:
        - name: Begin
          tell:
            changed: true
            stdout: |
              waiting for the lock
              {"code":"begun","exit":0,"message":"green gets the release."}
          vars: {phase: begin}

        - name: Ask for the secret
          tell: {stdout: a-planted-secret, changed: true}
          no_log: true
          vars: {phase: start}

        - name: Skip a phase
          tell: {changed: true}
          when: inventory_hostname == 'nobody'
          vars: {phase: skipped}

        - name: Prove it
          tell:
            failed: true
            stdout: >-
              {"code":"slot_not_ready","exit":1,"message":"green never became ready, though all was tried that can be
              tried, and more.\nLast lines:\n    its   own   log line, longer than all that fits into a terminal\n  E",
              "next":[["docker","logs","eduhub-green"]]}
          when: inventory_hostname == 'reverted'
          vars: {phase: prove}

        - name: Show what it was proven by
          ansible.builtin.debug:
            msg: three good answers
          vars: {phase: prove, show: true}
      rescue:
        - name: Give traffic back
          tell: {stdout: '{"code":"reverted","exit":1,"message":"blue is live."}', changed: true}
          vars: {phase: revert}

        - name: Fail as the step did
          ansible.builtin.fail:
            msg: It failed.
          vars: {phase: revert, reported: true}

    - name: Ask for the status
      tell:
        stdout: >-
          {"code":"status_reported","exit":0,"message":"All is well.",
          "status":{"release":"r1","python":"3.11.2","live":"green","confirmed":true}}
      vars: {phase: end}

    - name: Announce
      ansible.builtin.debug:
        msg: {message: ["Look at", "  http://127.0.0.1:8080/"], next: [[./invoke, status]]}
      vars: {announce: true}
"""

PRINTED = """\
deploy: 4 hosts of inventory local, run RUN
  ✗ lost      preflight  Look at the host: Failed to connect to the host via ssh: no route  N s
  ✗ refused   preflight  No disk: buy one.  N s
                         ana holds the lock.
                         Next: ./invoke status
                         No live-restore.
  ✓ reverted  preflight  Debian 12.  N s
                         No live-restore.
  ✓ right     preflight  Debian 12.  N s
                         No live-restore.
  ● reverted  begin      green gets the release.  N s
  ● right     begin      green gets the release.  N s
  ● reverted  start      1 change  N s
  ● right     start      1 change  N s
  ✗ reverted  prove      green never became ready, though all was tried that can be tried,  N s
                         and more.
                         Last lines:
                             its   own   log line, longer than all that fits into a terminal
                           E
                         Next: docker logs eduhub-green
  ✓ right     prove      three good answers  N s
  ● reverted  revert     blue is live.  N s
  ✓ right     end        All is well.  N s

HOST      RELEASE  PYTHON  LIVE   STATE      RESULT
lost      -        -       -      -          unreachable
refused   -        -       -      -          refused
reverted  -        -       -      -          reverted
right     r1       3.11.2  green  confirmed  changed

right:
Look at
  http://127.0.0.1:8080/

Next: ./invoke status

Reverted: the previous release is live again. Fix the cause, then try again.
Next: ./invoke deploy
"""


@pytest.fixture
def every_way(checkout, front):
    """A front whose inventory has one host for each way to end."""
    deaf = checkout / "ssh"
    deaf.write_text("#!/bin/sh\necho no route >&2\nexit 255\n")
    deaf.chmod(0o755)
    (checkout / "inventories/local/hosts.yml").write_text(HOSTS % deaf)
    (checkout / "ansible/playbooks/deploy.yml").write_text(PLAYBOOK)
    return front


def test_every_phase_of_every_host_is_a_line_and_every_host_a_row(every_way):
    code, printed, errors = every_way.run("deploy")
    assert in_order(printed) == PRINTED
    assert (code, errors) == (1, "")


ONE_BY_ONE = """
- hosts: all
  gather_facts: false
  serial: 1
  tasks:
    - name: Begin
      tell: {stdout: '{"code":"begun","exit":0,"message":"green gets the release."}'}
      vars: {phase: begin}

    - name: Confirm
      tell: {stdout: '{"code":"confirmed","exit":0,"message":"Confirmed."}'}
      vars: {phase: confirm}
"""


def test_a_host_has_ended_its_last_phase_when_the_next_host_begins(checkout, front):
    hosts = "all:\n  vars: {ansible_connection: local}\n  hosts: {b1: , b2: }\n"
    (checkout / "inventories/local/hosts.yml").write_text(hosts)
    (checkout / "ansible/playbooks/deploy.yml").write_text(ONE_BY_ONE)
    _, printed, _ = front.run("deploy")
    lines = [line.split()[1:3] for line in printed.splitlines() if line[2:3] == "✓"]
    assert lines == [["b1", "begin"], ["b1", "confirm"], ["b2", "begin"], ["b2", "confirm"]]


HELD = """
- hosts: all
  gather_facts: false
  tasks:
    - tell:
        failed: true
        stdout: '{"code":"lock_held","exit":2,"message":"ana holds the lock.","next":[["./invoke","rollback"]]}'
      vars: {phase: begin}
      when: inventory_hostname == 'b2'
"""


@pytest.mark.parametrize(("hosts", "ends"), [("b1: , b2: ", "--limit b2"), ("b2: ", "rollback")])
def test_a_host_beside_others_is_told_to_roll_back_itself_alone(checkout, front, hosts, ends):
    inventory = f"all:\n  vars: {{ansible_connection: local}}\n  hosts: {{{hosts}}}\n"
    (checkout / "inventories/local/hosts.yml").write_text(inventory)
    (checkout / "ansible/playbooks/deploy.yml").write_text(HELD)
    _, printed, _ = front.run("deploy")
    (told,) = [line for line in printed.splitlines() if "./invoke rollback" in line]
    assert re.sub(r"  N s$", "", told).rstrip().endswith(ends)


def in_order(printed: str) -> str:
    """Return the lines with those of one phase sorted by host: hosts answer in any order."""
    blocks = re.split(r"\n(?=  [✗✓●] |\n)", printed)
    order = {block: at for at, block in enumerate(re.split(r"\n(?=  [✗✓●] |\n)", PRINTED))}
    return "\n".join(sorted(blocks, key=lambda block: order.get(block, len(order))))


def test_json_is_one_document(every_way):
    code, printed, errors = every_way.run("deploy", "--json", "--limit", "right,refused")
    assert json.loads(printed) == {
        "exit": 2,
        "hosts": {
            "refused": {
                "result": "refused", "exit": 2, "changed": 0, "failed": "preflight", "status": None,
                "messages": [
                    {"code": "disk_short", "message": "No disk: buy one.", "next": []},
                    {"code": "lock_held", "message": "ana holds the lock.", "next": [["./invoke", "status"]]},
                ],
            },
            "right": {
                "result": "changed", "exit": 0, "changed": 2, "failed": None, "messages": [],
                "status": {"release": "r1", "python": "3.11.2", "live": "green", "confirmed": True},
            },
        },
    }  # fmt: skip
    assert (code, errors) == (
        2, "refused: No disk: buy one.\nrefused: ana holds the lock.\n  Next: ./invoke status --limit right,refused\n",
    )  # fmt: skip


def test_verbose_shows_what_ansible_shows_and_no_secret(every_way):
    code, printed, errors = every_way.run("deploy", "--verbose", "--limit", "right")
    assert (code, "TASK [Begin] ***" in printed, "PLAY RECAP ***" in printed) == (0, True, True)
    assert "a-planted-secret" not in printed + errors


TROUBLES = """
- name: Fail in ways that no message was written for
  hosts: all
  gather_facts: false
  vars: {phase: prepare}
  tasks:
    - name: Copy it
      ansible.builtin.command: sh -c 'echo out; echo err >&2; exit 7'
      when: inventory_hostname == 'program'

    - name: Loop
      tell: {failed: "{{ item > 0 }}", msg: non-zero return code, rc: "{{ item }}"}
      loop: [0, 5]
      when: inventory_hostname == 'item'

    - name: Hide
      tell: {failed: true, msg: a-planted-secret, rc: 1, stdout: a-planted-secret}
      no_log: true
      when: inventory_hostname == 'hidden'

    - name: Crash
      crash:
      when: inventory_hostname == 'crash'

    - name: Refuse
      ansible.builtin.fail: {msg: No image.}
      vars: {failure: {code: image_missing, next: [[./invoke, images.build]]}}
      when: inventory_hostname == 'next'
"""
TROUBLE = {
    "program": "Copy it: it ended with exit code 7.  N s\n{}| out\n{}| err",
    "item": "Loop: it ended with exit code 5.  N s",
    "hidden": "Hide: Ansible hides the reason, which may hold a secret.  N s",
    "crash": "Crash: 'x'  N s",
    "next": f"No image.  N s\n{' ' * 24}Next: ./invoke images.build",
}


def test_every_failure_is_a_line(front, checkout):
    crash = checkout / "ansible/playbooks/library/crash.py"
    crash.parent.mkdir()
    crash.write_text("from ansible.module_utils.basic import AnsibleModule\nAnsibleModule({})\n{}['x']\n")
    hosts = HOSTS.partition("  hosts:")[0] + "  hosts:\n" + "".join(f"    {host}:\n" for host in TROUBLE)
    (checkout / "inventories/local/hosts.yml").write_text(hosts)
    (checkout / "ansible/playbooks/deploy.yml").write_text(TROUBLES)
    code, printed, errors = front.run("deploy")
    assert (code, errors) == (3, "")
    lines = [f"  ✗ {host:<7}  prepare    {text.format(' ' * 26, ' ' * 26)}" for host, text in TROUBLE.items()]
    assert [line for line in lines if f"{line}\n" not in printed] == []
    assert [word for word in ("Traceback", "a-planted-secret", "invocation") if word in printed] == []


NOTHING = """
- name: Drain
  hosts: all
  gather_facts: false
  vars: {phase: drain}
  tasks:
    - name: Fail where nothing is deployed
      ansible.builtin.fail: {msg: Nothing is deployed.}
      vars: {failure: {code: nothing_deployed, exit: 2, next: [[./invoke, deploy]]}}
"""


def test_a_failure_may_say_that_nothing_was_touched_in_a_phase_that_changes_hosts(front, checkout):
    (checkout / "ansible/playbooks/drain.yml").write_text(NOTHING)
    code, printed, _ = front.run("drain", "--values", '{"eduhub_yes": true}')
    assert (code, "Refused: nothing was touched" in printed) == (2, True)
    (checkout / "ansible/playbooks/drain.yml").write_text(NOTHING.replace("exit: 2, ", ""))
    assert front.run("drain", "--values", '{"eduhub_yes": true}')[0] == 3


ONE_TASK = """
- name: Do one thing
  hosts: all
  gather_facts: false
  vars: {{phase: start}}
  tasks:
    - name: Wait for it
      ansible.builtin.wait_for: {{timeout: {seconds}}}
"""


def test_a_reader_that_goes_away_does_not_stop_the_run(front, checkout):
    more = f"""
    - name: Go on
      ansible.builtin.copy: {{dest: {checkout}/done, content: ""}}
      vars: {{phase: prove}}
    - name: End
      ansible.builtin.meta: noop
      vars: {{phase: end}}
"""
    (checkout / "ansible/playbooks/deploy.yml").write_text(ONE_TASK.format(seconds=1) + more)
    run = front.start("deploy")
    assert run.stdout is not None
    run.stdout.close()
    assert run.wait(60) == 0
    assert (checkout / "done").exists()


def test_a_run_that_changes_nothing_says_so(front, checkout):
    (checkout / "ansible/playbooks/deploy.yml").write_text(ONE_TASK.format(seconds=0))
    code, printed, _ = front.run("deploy")
    assert code == 0
    assert printed.endswith("\n\nNothing to change: everything is as the inventory says.\n")


def test_a_playbook_that_ansible_cannot_read_ends_in_its_own_words(front, checkout):
    (checkout / "ansible/playbooks/deploy.yml").write_text("- hosts: all\n  tasks:\n    - no.such.module: {}\n")
    code, printed, errors = front.run("deploy")
    assert (code, errors) == (3, "")
    assert "couldn't resolve module/action 'no.such.module'" in printed
    assert "Traceback" not in printed
    code, printed, errors = front.run("deploy", "--json")
    assert (code, json.loads(printed)["exit"]) == (3, 3)
    assert "couldn't resolve module/action 'no.such.module'" in errors


@pytest.mark.parametrize("group", ["bridge", "a_group_that_is_looked_for_by_ansible_alone"])
def test_a_playbook_for_other_hosts_is_no_success(front, checkout, group):
    (checkout / "ansible/playbooks/deploy.yml").write_text(f"- hosts: {group}\n  tasks: []\n")
    code, printed, errors = front.run("deploy", "--json")
    why = "No host of the group bridge was asked for, and deploy plays on no other: localhost."
    assert (code, json.loads(printed)["messages"], errors) == (2, [why], f"invoke: {why}\n")


def test_a_terminal_shows_colours_and_that_a_long_phase_is_alive(checkout, front):
    (checkout / "ansible/playbooks/deploy.yml").write_text(ONE_TASK.format(seconds=3))
    seen = front.on_a_terminal("deploy", TERM="xterm")
    assert re.search("\r\x1b\\[J  … localhost  start      [34] s  Wait for it", seen)
    assert "\x1b[32m✓\x1b[0m localhost  start" in seen


@pytest.mark.parametrize(("code", "fails"), [(0, False), (3, True)])
def test_a_reader_that_reads_one_line_changes_no_exit_code(front, checkout, code, fails):
    fail = "\n    - name: Fail\n      ansible.builtin.fail: {msg: broken}\n" if fails else ""
    (checkout / "ansible/playbooks/deploy.yml").write_text(ONE_TASK.format(seconds=1) + fail)
    run = front.start("deploy")
    assert run.stdout is not None
    assert run.stdout.readline().startswith("deploy: localhost")
    run.stdout.close()
    assert run.stderr is not None
    assert (run.wait(60), run.stderr.read()) == (code, "")


def test_forty_columns_are_enough(every_way):
    every_way.environment["COLUMNS"] = "40"
    _, printed, _ = every_way.run("deploy", "--limit", "refused,right")
    fixed = ("deploy: ", "Next: ", "    Next: ", "    its ", "  http")  # commands and logs stay whole
    assert [line for line in printed.splitlines() if len(line) > 40 and not line.startswith(fixed)] == []
    assert "\nright\n  release   r1\n  python    3.11.2\n" in printed


def test_a_pipe_gets_no_colour_and_no_cursor(front, checkout):
    (checkout / "ansible/playbooks/deploy.yml").write_text(ONE_TASK.format(seconds=3))
    _, printed, errors = front.run("deploy")
    assert "\x1b" not in printed + errors
