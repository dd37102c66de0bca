"""Misspelt names and impossible values are found before Ansible starts, all at once, each in one sentence."""

from __future__ import annotations

import math

import pytest

from front.inventory.documented import Documented, documented, is_template, slips
from front.inventory.findings import Setting, findings, notes

KNOWN = Documented(
    {
        "edge_port": {"type": "int", "required": True, "unit": "port", "least": 1, "most": 65535},
        "edge_address": {"type": "str", "default": "127.0.0.1"},
        "edge_trusted_proxies": {"type": "list", "elements": "str"},
        "edge_hosts": {"type": "list", "elements": "str"},
        "edge_proxy_headers": {"type": "list", "elements": "str"},
        "plone_addons": {"type": "list", "elements": "str"},
        "plone_addon_sdists": {"type": "list", "elements": "str"},
        "rollout_waves": {"type": "list", "elements": "str"},
        "rollout_max_unavailable": {"type": "str"},
        "bridge_command": {"type": "list", "elements": "str", "default": None},
        "bridge_mode": {"choices": ["tcp", "socket"]},
        "bridge_python": {"type": "str", "choices": ["3.9", "3.11"]},
        "bridge_environment": {"type": "dict"},
        "bridge_memory": {"type": "str", "unit": "size like 512m"},
        "front_virtual_addresses": {"type": "list", "elements": "str"},
        "pilot_shift_steps": {"type": "list", "elements": "int"},
        "pilot_performance_budget": {
            "type": "dict", "fields": {"p50": {"type": "float", "unit": "times", "above": 1, "most": 10}},
        },
        "bridge_mounts": {"type": "list", "elements": "dict", "options": {"path": {"type": "str"}}},
        "pilot_start_seconds": {"type": "float", "unit": "seconds", "least": 0.1, "most": 86400},
        "eduhub_stack": {"type": "str"},
        "plone_url": {"type": "str"},
    },
    ("edge_", "bridge_", "pilot_", "eduhub_", "plone_"),
    frozenset({"edge_name"}),
    frozenset({"eduhub_data", "pilot_may_fail"}),
    {
        "EDUHUB_PLONE_READS": {"type": "int", "unit": "requests", "least": 1, "most": 998},
        "EDUHUB_PLONE_CA": {"type": "str"},
    },
)


def found(**variables: object) -> list[str]:
    settings = [Setting(name, value, "host", ours=True) for name, value in variables.items()]
    return findings(settings, KNOWN, lambda *_: "all.yml:1")


LOOPBACK = "is the loopback address, which is a slot's own inside its container; give an address of the host"
ONE_SUCH_AS = "but must hold requirements such as collective.easyform==4.5.1."
EMPTY = "empty: give it a value, or remove the line"
AN_END = "expected 'end of print statement'."
WRONG = {
    "an address with a password": (
        {"plone_url": "http://ana:secret@cms.example.edu/Plone"},
        "plone_url (all.yml:1) holds a user name; leave it out, since clients bring their own credentials.",
    ),
    "an address that a container has itself": (
        {"plone_url": "http://127.0.0.1:8080/Plone"},
        f"plone_url (all.yml:1) {LOOPBACK}.",
    ),
    "a misspelt name": ({"edge_prot": 1}, "There is no variable edge_prot (all.yml:1); did you mean edge_port?"),
    "a misspelt prefix": (
        {"egde_port": 1}, "There is no variable egde_port (all.yml:1); did you mean edge_port?",
    ),
    "a hyphen": (
        {"bridge-python": 1}, "There is no variable bridge-python (all.yml:1); did you mean bridge_python?",
    ),
    "an invented name": (
        {"edge_wholly_new": 1},
        "There is no variable edge_wholly_new (all.yml:1); the names stand in docs/reference/settings.md.",
    ),
    **{
        f"{name}, which is no setting": (
            {name: True},
            f"{name} (all.yml:1) is no setting of an inventory: the command line or a playbook sets it; remove it.",
        )
        for name in ("eduhub_data", "pilot_may_fail")
    },
    "a number without an end": (
        {"pilot_start_seconds": math.inf}, "pilot_start_seconds (all.yml:1) is inf, but must be a number.",
    ),
    "true for a number": ({"edge_port": True}, "edge_port (all.yml:1) is True, which is no number."),
    "true among numbers": (
        {"pilot_shift_steps": [1, True]}, "pilot_shift_steps (all.yml:1) holds True, which is no number.",
    ),
    **{
        f"a size of {text}": (
            {"bridge_memory": text},
            f"bridge_memory (all.yml:1) is '{text}', but must be a size such as 512m or 2g.",
        )
        for text in ("lots", "1gb", "-1m", "1 g")
    },
    "a stack that is a path": (
        {"eduhub_stack": "../x"},
        "eduhub_stack (all.yml:1) is '../x', but must be a name such as eduhub, of letters, digits, _, . and -.",
    ),
    "an address with too high a number": (
        {"front_virtual_addresses": ["10.0.0.300"]},
        "front_virtual_addresses (all.yml:1) holds '10.0.0.300', but must hold addresses such as 192.0.2.10/24.",
    ),
    "a part out of its range": (
        {"pilot_performance_budget": {"p50": 0.5}},
        "pilot_performance_budget (all.yml:1) holds p50, which is 0.5, but must be above 1 to 10 times.",
    ),
    "a part that is no number": (
        {"pilot_performance_budget": {"p50": "x"}},
        "pilot_performance_budget (all.yml:1) holds p50, which is 'x', but must be a number.",
    ),
    "a part that there is not": (
        {"pilot_performance_budget": {"p99": 2}},
        "pilot_performance_budget (all.yml:1) holds 'p99', but may hold p50.",
    ),
    "a misspelt name in the bridge's environment": (
        {"bridge_environment": {"EDUHUB_PLONE_READZ": 2}},
        "Our bridge reads no EDUHUB_PLONE_READZ (all.yml:1); did you mean EDUHUB_PLONE_READS?",
    ),
    "an invented one": (
        {"bridge_environment": {"EDUHUB_XYZ": 2}},
        "Our bridge reads no EDUHUB_XYZ (all.yml:1); the names stand in docs/reference/settings.md.",
    ),
    "a value out of its range there": (
        {"bridge_environment": {"EDUHUB_PLONE_READS": 2000}},
        "EDUHUB_PLONE_READS of bridge_environment (all.yml:1) is 2000, but must be from 1 to 998 requests.",
    ),
    "one inside": ({"edge_hosts": [math.nan]}, "edge_hosts (all.yml:1) holds nan, which is no number."),
    "a name that is computed": (
        {"edge_name": "x"},
        "edge_name (all.yml:1) is no setting: ansible/playbooks/group_vars/all.yml computes it; remove it.",
    ),
    "a misspelt name of the stack": (
        {"eduhub_stak": 1}, "There is no variable eduhub_stak (all.yml:1); did you mean eduhub_stack?",
    ),
    "a text for a number": ({"edge_port": "eighty"}, "edge_port (all.yml:1) is 'eighty', but must be a whole number."),
    "a list for a mapping": (
        {"bridge_environment": ["A"]}, "bridge_environment (all.yml:1) is ['A'], but must be a mapping.",
    ),
    "a mapping for a text": ({"edge_address": {"a": 1}}, "edge_address (all.yml:1) is {'a': 1}, but must be a text."),
    "a name for an address": (
        {"edge_trusted_proxies": ["192.0.2.0/24", "2001:db8::1", "a.b"]},
        "edge_trusted_proxies (all.yml:1) holds 'a.b', but must hold addresses and networks, such as 192.0.2.0/24.",
    ),
    "a name to listen on": (
        {"edge_address": "192.0.2.1, localhost"},
        "edge_address (all.yml:1) holds 'localhost', which is no IP address, such as 0.0.0.0 or ::.",
    ),
    "an address of a page for a name": (
        {"edge_hosts": ["hub.example.edu", "https://hub.example.edu"]},
        "edge_hosts (all.yml:1) holds 'https://hub.example.edu', but must hold names such as hub.example.edu.",
    ),
    "a wave that is no number of hosts": (
        {"rollout_waves": [1, "25 %"]},
        "rollout_waves (all.yml:1) holds '25 %', but must hold counts of hosts such as 1, and percentages such as 25%.",
    ),
    "a number of hosts that is none": (
        {"rollout_max_unavailable": "0%"},
        "rollout_max_unavailable (all.yml:1) is '0%', but must be a count of hosts such as 1, or a share such as 10%.",
    ),
    "no requirement": (
        {"plone_addons": ["collective.easyform=4"]},
        "plone_addons (all.yml:1) holds 'collective.easyform=4', " + ONE_SUCH_AS,
    ),
    "a requirement with an address": (
        {"plone_addons": ["a @ https://example.edu/a.whl"]},
        "plone_addons (all.yml:1) holds 'a @ https://example.edu/a.whl', " + ONE_SUCH_AS,
    ),
    "no name of a package": (
        {"plone_addon_sdists": ["a==1"]},
        "plone_addon_sdists (all.yml:1) holds 'a==1', but must hold names such as sgmllib3k.",
    ),
    "no name of a header": (
        {"edge_proxy_headers": ["X-User:"]},
        "edge_proxy_headers (all.yml:1) holds 'X-User:', but must hold names of request headers such as X-Remote-User.",
    ),
    "no address at all": (
        {"edge_address": ""}, "edge_address (all.yml:1) holds '', which is no IP address, such as 0.0.0.0 or ::.",
    ),
    "a value that is no choice": (
        {"bridge_mode": "udp"}, "bridge_mode (all.yml:1) is 'udp', but must be one of tcp, socket.",
    ),
    "a version that YAML took for a number": (
        {"bridge_python": 3.1},
        "bridge_python (all.yml:1) is 3.1, but must be one of 3.9, 3.11; put the value in quotes.",
    ),
    "a port that is none": (
        {"edge_port": 70000}, "edge_port (all.yml:1) is 70000, but must be from 1 to 65535.",
    ),
    "no value": ({"edge_port": None}, f"edge_port (all.yml:1) is {EMPTY}."),
    "no value for what has a default": ({"edge_address": None}, f"edge_address (all.yml:1) is {EMPTY}."),
    "a list with a hole": (
        {"edge_hosts": ["a.example.edu", None]}, f"edge_hosts (all.yml:1) holds a part that is {EMPTY}.",
    ),
    "a mapping with a hole": (
        {"bridge_environment": {"GREETING": None}},
        f"bridge_environment (all.yml:1) holds GREETING, which is {EMPTY}.",
    ),
    "a hole deep inside": (
        {"bridge_mounts": [{"path": None}]}, f"bridge_mounts (all.yml:1) holds path, which is {EMPTY}.",
    ),
    "a template of nothing": (
        {"edge_hosts": ["{{ nope }}"]},
        "edge_hosts (all.yml:1) is a template of nope, which is set nowhere; set it, or correct its name.",
    ),
    "a template of a misspelt name": (
        {"edge_address": "{{ bridge_memori | upper }}"},
        "edge_address (all.yml:1) is a template of bridge_memori, which is set nowhere; did you mean bridge_memory?",
    ),
    "a template that is not closed": (
        {"edge_hosts": ["{{ nope"]},
        "edge_hosts (all.yml:1) is the template '{{ nope', which cannot be read: unexpected end of template, " + AN_END,
    ),
    "seconds before now": (
        {"pilot_start_seconds": -1}, "pilot_start_seconds (all.yml:1) is -1.0, but must be from 0.1 to 86400 seconds.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("template", [
    "{{ inventory_hostname | regex_replace('$', '.example.edu') }}", "{{ inventory_hostname is match('a') }}",
    "{{ eduhub_stack is ansible.builtin.match('a') }}", "{{ '192.0.2.1' | ansible.utils.ipaddr }}",
    "{{ own if inventory_hostname == 'h1' else 'b' }}", "{% if 'front' in group_names %}{{ own }}{% endif %}",
    "{{ own | default }}", "{{ own | default ('b') }}", "{{ 'b' if own is undefined else own }}",
    "{{ lookup('env', 'HOME') }}", "{{ hostvars[groups.bridge[0]].ansible_host }}",
])  # fmt: skip
def test_a_template_that_ansible_renders_is_left_to_it(template):
    assert found(edge_hosts=[template]) == []


@pytest.mark.parametrize(("variables", "sentence"), WRONG.values(), ids=WRONG)
def test_it_refuses(variables, sentence):
    assert [sentence] == found(**variables)


def test_what_another_bridge_is_told_is_its_own_affair():
    told = Setting("bridge_environment", {"EDUHUB_PLONE_READZ": 2}, "host", ours=False)
    assert findings([told], KNOWN, lambda *_: "all.yml:1") == []


@pytest.mark.parametrize(
    ("name", "value", "noted"),
    [
        ("DB_PASSWORD", "hunter2", True), ("api_token", 5, True), ("EDUHUB_STATE_DSN", "{{ encrypted }}", True),
        ("DATABASE", "postgresql://bridge:hunter2@db/x", True), ("DB_PASSWORD_FILE", "/run/secrets/db", False),
        ("TLS_KEY", "/run/secrets/key", False), ("JWT_PUBLIC_KEY", "abc", False), ("TOKEN", "", False),
        ("DATABASE", "postgresql://bridge@db:5432/x", False), ("GREETING", "hello", False), ("MONKEYS", "3", False),
        ("API_KEY", "0123456789abcdef", True), ("SORT_KEY", "title", False), ("REQUIRE_TOKEN", True, False),
        ("RECAPTCHA_SITE_KEY", "0123456789abcdef", False), ("SENTRY_DSN", "https://abc@sentry.example.edu/1", False),
        ("STATE_DSN", "host=db user=x password=hunter2", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ours", [True, False])
def test_a_secret_in_an_environment_is_noted_without_its_value(name, value, noted, ours):
    told = notes([Setting("bridge_environment", {name: value}, "h", ours)], lambda *_: "all.yml:1")
    assert [each.startswith(f"{name} of bridge_environment (all.yml:1) looks like a secret") for each in told] == (
        [True] if noted else []
    )
    assert "hunter2" not in "".join(told)


def test_other_settings_have_no_notes():
    assert notes([Setting("campus_password", "x", "h"), Setting("bridge_environment", None, "h")], lambda *_: "") == []


def test_an_unknown_part_of_a_value_is_named():
    (sentence,) = found(bridge_mounts=[{"pth": "/x"}])
    assert "pth" in sentence


RIGHT = {
    "right values": {
        "edge_port": "8080", "edge_address": "::1, [2001:db8::1],192.0.2.1", "bridge_python": "3.11",
        "bridge_mounts": [],
    },
    "a number that is a text": {"bridge_python": 3.9},
    "no value, where that is the default": {"bridge_command": None},
    "sizes": {"bridge_memory": "1.5G"},
    "a size in bytes": {"bridge_memory": 536870912},
    "addresses with a prefix": {"front_virtual_addresses": ["192.0.2.10/24", "2001:db8::10/64", "10.0.0.3"]},
    "parts": {"pilot_performance_budget": {"p50": "1.5"}},
    "an environment": {
        "bridge_environment": {
            "EDUHUB_PLONE_READS": "2", "EDUHUB_PLONE_CA_FILE": "/x", "EDUHUB_PLONE_CA": "", "GREETING": 1,
        },
    },
    "a template": {"edge_port": "{{ campus_port | default(80) }}"},
    "a template deep inside": {"bridge_mounts": [{"pth": "{{ edge_port }}"}]},
    "a template of what Ansible has": {"edge_address": "{{ hostvars[inventory_hostname].ansible_host ~ q('x') }}"},
    "a template of a name that it sets": {"edge_hosts": ["{% for x in groups.bridge %}{{ x }}{% endfor %}"]},
    "what was encrypted": {"edge_port": "{{ encrypted }}"},
    "names of others": {"ansible_host": "a", "campus": 1, "groups": {}, "site_port": "x", "ledger_port": 3, "x": 1},
}


@pytest.mark.parametrize("variables", RIGHT.values(), ids=RIGHT)
def test_it_accepts(variables):
    assert found(**variables) == []


def test_all_findings_come_at_once_and_a_mistake_in_a_group_is_told_once():
    settings = [Setting(name, "x", host) for host in ("a", "b") for name in ("edge_port", "edge_prot")]
    assert findings(settings, KNOWN, lambda *_: "all.yml:1") == [
        "edge_port (all.yml:1) is 'x', but must be a whole number.",
        "There is no variable edge_prot (all.yml:1); did you mean edge_port?",
    ]


def test_a_value_with_braces_is_shown_as_it_is():
    assert found(edge_port="{where}") == ["edge_port (all.yml:1) is '{where}', but must be a whole number."]


def test_the_documented_names_are_those_of_every_entry_point_of_every_role_but_what_is_wired(tmp_path):
    told = tmp_path / "settings/edge.yml"
    told.parent.mkdir(parents=True)
    text = "{type: str, help: x, group: public}"
    told.write_text(
        f"{{since: '1', entry_points: {{run: {{settings: {{edge_port: {text}, edge_name: {text}}}}}, "
        f"slot: {{settings: {{edge_slot: {text}, edge_may: {{type: str, help: x}}}}}}, gone: {{}}}}}}"
    )
    (tmp_path / "roles/edge").mkdir(parents=True)
    (tmp_path / "roles/docker_host").mkdir()
    stack = tmp_path / "playbooks/group_vars/all.yml"
    stack.parent.mkdir(parents=True)
    stack.write_text("edge_name: '{{ eduhub_stack }}-edge'\n")
    known = documented(tmp_path)
    assert {"edge_port", "edge_slot"} == set(known.options)
    assert {"edge_name"} == known.wired
    assert {"edge_may"} == known.typed
    assert [known.claims(name) for name in ("edge_x", "docker_host_x", "eduhub_x", "campus_x")] == [
        True,
        True,
        True,
        False,
    ]


def test_templates_are_seen_at_any_depth():
    values = ["{{ x }}", ["{% if x %}"], {"a": [{"b": "{{ x }}"}]}, "x", 1, ["x"], {"{{": 1}]
    assert [is_template(value) for value in values] == [True, True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("typed", "meant", "count"),
    [
        ("edge_port", "edge_port", 0), ("egde_port", "edge_port", 1), ("edg_port", "edge_port", 1),
        ("eedge_port", "edge_port", 1), ("adge_port", "edge_port", 1), ("egde_prot", "edge_port", 2),
        ("ledger_port", "edge_port", 2), ("site_port", "edge_port", 3), ("x", "edge_port", 3), ("", "ab", 2),
    ],
)  # fmt: skip
def test_slips_of_the_finger_are_counted_up_to_a_bound(typed, meant, count):
    assert count == slips(typed, meant, most=2)
