"""What an operator sets reaches every role that has to know it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader

from eduhub_pilot.cli import COMMANDS
from eduhub_pilot.gates.criteria import NAMES, criteria
from eduhub_pilot.model.described import SETTINGS as DESCRIBED
from eduhub_pilot.model.facts import SLOTS, Image
from eduhub_pilot.model.release import Spec, make_record
from eduhub_pilot.model.settings import GATES as SETTINGS
from eduhub_pilot.model.settings import Settings, parse_settings
from eduhub_pilot.model.slot_container import slot_container
from tests.templates.render import ANSIBLE, render, value

RECORD = make_record(Spec({"image": "i", "health_path": "/"}), Image("sha256:1"), "run", datetime.now(UTC))
SPEC = Spec({"image": "eduhub/bridge:py3.11", "python": "3.11", "health_path": "/health", "smoke_paths": ["/"]})


def ports(**given) -> dict[str, int]:
    return {each["variable"]: each["port"] for each in value("docker_host_ports", **given)}


def test_the_stacks_name_is_in_every_name():
    names = ("edge_name", "plone_name", "plone_volume", "docker_host_network", "pilot_state_dir", "release_config_dir")
    assert [value(name, eduhub_stack="two") for name in names] == [
        "two-edge", "two-plone", "two-plone-data", "two", "/var/lib/two", "/etc/two",
    ]  # fmt: skip


def test_a_front_host_has_no_network_of_the_stacks_own():
    found = [value("docker_host_network", groups={"front": hosts}) for hosts in (["here"], ["there"])]
    assert found == ["", "eduhub"]


def test_every_port_that_will_be_listened_on_is_checked_beforehand():
    assert set(ports()) == {"edge_port", "edge_blue_port", "edge_green_port", "edge_statistics_port", "plone_port"}
    assert "plone_port" not in ports(plone_url="http://cms.example.edu:8080/Plone")
    published = {"edge_blue_published_port": 18101, "edge_green_published_port": 18102}
    assert published.items() <= ports(bridge_port=8000).items()


def test_certificates_are_looked_for_where_there_is_an_edge_and_each_file_gets_a_name_of_its_own():
    given = {"edge_tls_certificates": [{"certificate": "/a.pem", "key": "/a.key"}, {"certificate": "/b", "key": "/b"}]}
    found = [value("docker_host_certificates", groups={"bridge": hosts}, **given) for hosts in (["here"], ["there"])]
    assert found == [given["edge_tls_certificates"], []]
    assert ports(**given)["edge_tls_port"] == 443
    assert "edge_tls_port" not in ports()
    assert sorted(map(list, value("_edge_tls_copies", **given))) == [
        ["/a.key", "0.pem.key"], ["/a.pem", "0.pem"], ["/b", "1.pem"], ["/b", "1.pem.key"],
    ]  # fmt: skip
    assert value("_edge_user", **given) == "0:10002"


def test_the_certificate_of_an_acme_server_is_the_edges():
    given = {"edge_acme_server": "https://acme.example/directory", "eduhub_stack": "two", "edge_acme_eab_key_id": "kid"}
    lineage = "/etc/letsencrypt/live/two"
    assert value("_edge_tls_copies", **given) == [
        [f"{lineage}/fullchain.pem", "acme.pem"], [f"{lineage}/privkey.pem", "acme.pem.key"],
    ]  # fmt: skip
    assert value("_edge_acme_file", **given) == "/etc/two/edge/tls/acme.pem"
    assert (ports(**given)["edge_tls_port"], ports(**given)["edge_acme_port"]) == (443, 8103)
    assert "edge_acme_port" not in ports()
    assert value("docker_host_need_names", **given) == ["edge_acme_server"]
    asked = [value("docker_host_acme", groups={"bridge": hosts}, **given) for hosts in (["here"], ["there"])]
    assert asked[0] == {"server": given["edge_acme_server"], "files": False, "key_id": "kid", "key_file": ""}
    assert asked[1]["server"] == ""
    assert value("_edge_user", **given) == "0:10002"


def test_the_bridge_stands_before_our_plone_or_the_institutions():
    told = [
        value("bridge_spec", **given)["environment"]["PLONE_URL"] for given in ({}, {"plone_url": "http://cms:1/P"})
    ]
    assert told == ["http://eduhub-plone:8080/Plone", "http://cms:1/P"]


def test_the_authority_of_plone_reaches_preflight_host_and_slot(tmp_path):
    (tmp_path / "ca.pem").write_text("one\n")
    given = {"plone_url": "https://cms/P", "plone_ca_file": "ca.pem", "inventory_dir": str(tmp_path)}
    assert value("docker_host_plone", **given) == {"url": "https://cms/P", "ca": "one\n", "page": "ok"}
    file, spec = value("release_plone_ca_file", **given), value("bridge_spec", **given)
    assert spec["secrets"] == {"/run/secrets/plone_ca": file}
    assert spec["environment"]["EDUHUB_PLONE_CA_FILE"] == "/run/secrets/plone_ca"
    (tmp_path / "ca.pem").write_text("two\n")
    assert value("release_plone_ca_file", **given) != file
    assert value("bridge_spec")["secrets"] == {}


def test_a_slower_release_that_is_wanted_is_measured_and_stops_nothing():
    given = {"eduhub_accept_slower": True, "playbook_dir": str(ANSIBLE / "playbooks")}
    modes = [
        value("_pilot_settings", **more)["pilot_gate_performance"]
        for more in ({**given, "eduhub_accept_slower": False}, given, {**given, "pilot_gate_performance": "off"})
    ]
    assert modes == ["enforce", "observe", "off"]


def test_both_slots_share_jobs_and_the_key_to_them():
    settings = Settings("two", Path(), {}, "")
    both = [slot_container(settings, slot, RECORD).mounts for slot in SLOTS]
    mounts = [(each.source, each.target) for each in both[0] if each in both[1]]
    assert mounts == [
        ("/var/lib/two/bridge", "/var/lib/eduhub-bridge"),
        ("/var/lib/two/edge", "/var/lib/eduhub/edge"),
        ("/etc/two/bridge/state_key", "/run/secrets/bridge_state_key"),
    ]  # fmt: skip
    made = {each["path"] for each in value("_release_directories", eduhub_stack="two")}
    assert {"/var/lib/two/bridge", "/etc/two/bridge"} <= made
    assert value("bridge_spec")["environment"]["EDUHUB_STATE_KEY_FILE"] == mounts[2][1]


def test_a_database_for_jobs_is_a_file_that_the_bridge_finds_and_no_setting_otherwise():
    spec = value("bridge_spec", bridge_state_dsn_file="/etc/two/secrets/dsn", bridge_secrets={"/run/secrets/x": "/x"})
    inside = spec["environment"]["EDUHUB_STATE_DSN_FILE"]
    assert spec["secrets"] == {"/run/secrets/x": "/x", inside: "/etc/two/secrets/dsn"}
    none = value("bridge_spec")
    assert (none["secrets"], "EDUHUB_STATE_DSN_FILE" in none["environment"]) == ({}, False)


def test_an_image_whose_name_says_no_python_has_none():
    assert (value("bridge_spec")["python"], value("bridge_spec", bridge_image="other:1")["python"]) == ("3.13", None)


def test_environment_variables_are_texts_whatever_yaml_made_of_them():
    environment = value("bridge_spec", bridge_environment={"WORKERS": 2, "DEBUG": False}, bridge_port=8000)[
        "environment"
    ]
    assert {"WORKERS": "2", "DEBUG": "False", "EDUHUB_PORT": "8000"}.items() <= environment.items()


ANY = "0.0.0.0"  # noqa: S104 - as an inventory says it


@pytest.mark.parametrize(
    ("address", "asked"), [
        ("127.0.0.1", "127.0.0.1"), (ANY, "127.0.0.1"), ("10.0.0.7", "10.0.0.7"),
        ("::", "[::1]"), ("[::]", "[::1]"), ("2001:db8::7", "[2001:db8::7]"), ("10.0.0.7, ::1", "10.0.0.7"),
        ("::,0.0.0.0", "[::1]"),
    ],
)  # fmt: skip
def test_the_pilot_asks_the_edge_where_it_listens(address, asked):
    assert value("pilot_edge_url", edge_address=address, edge_port=81) == f"http://{asked}:81"


def test_the_images_of_the_chosen_python_are_brought():
    images = value("docker_host_images", eduhub_python="3.9")
    assert images == [
        "eduhub/pilot:py3.11",
        "eduhub/edge:bookworm",
        "eduhub/plone:6.0.13-py3.11",
        "eduhub/bridge:py3.9",
    ]


@pytest.mark.parametrize(
    ("verb", "asked", "runs", "expected"),
    [
        ("deploy", "3.9", None, "3.11"), ("deploy", "3.13", "3.9", "3.9"), ("plone.upgrade", "3.9", "3.11", "3.9"),
        ("plone.rollback", "", "3.9", "3.9"),
    ],
)  # fmt: skip
def test_plone_stays_on_the_python_that_runs_until_it_is_upgraded(verb, asked, runs, expected):
    given = {"eduhub_verb": verb, "eduhub_python": asked, "docker_host_answer": {"plone_python": runs}}
    image = f"eduhub/plone:6.0.13-py{expected}"
    assert value("_plone_image", **given) == image
    assert image in value("docker_host_images", **given)
    bridges = [each for each in value("docker_host_images", **given) if "bridge" in each]
    assert (bridges, value("release_python", **given)) == (
        ([], "") if verb == "plone.upgrade" else ([f"eduhub/bridge:py{asked or '3.13'}"], asked)
    )
    assert value("_plone_image", **given, plone_image="example.edu/plone:6") == "example.edu/plone:6"


EVERYWHERE = {"edge_address": "0.0.0.0"}  # noqa: S104 - compared, not bound
TLS = {"edge_tls_certificates": [{"certificate": "/a.pem", "key": "/a.key"}]}


@pytest.mark.parametrize(
    ("before", "now", "left"),
    [
        ({}, {}, []),
        ({}, {"edge_port": 80}, ["127.0.0.1:8080"]),
        ({}, EVERYWHERE, []),
        ({**EVERYWHERE, "edge_port": 80}, {"edge_address": "10.0.0.7", "edge_port": 80}, ["0.0.0.0:80"]),
        ({"edge_address": "10.0.0.7, ::1"}, {"edge_address": "::"}, []),
        ({**TLS, "edge_port": 80}, {"edge_port": 80}, ["127.0.0.1:443"]),
        ({"edge_port": 80}, {**TLS, "edge_port": 80}, []),
    ],
)
def test_a_public_address_that_haproxy_would_leave_is_known_beforehand(before, now, left):
    text = render("edge", "haproxy.cfg.j2", **before)
    found = {"content": b64encode(text.encode()).decode()}
    assert value("_edge_left", edge_before=found, **now) == left
    assert value("_edge_left", edge_before={"failed": True}, **now) == []


def test_only_an_edge_below_port_1024_starts_as_root_with_what_it_needs_to_bind_and_to_stop_being_root():
    names = ("_edge_user", "_edge_capabilities")
    assert [[value(name, edge_port=port) for name in names] for port in (80, 8080)] == [
        ["0:10002", ["NET_BIND_SERVICE", "SETGID", "SETUID"]], ["10002:10002", []],
    ]  # fmt: skip


def test_the_announcement_names_addresses_and_where_the_password_is_but_not_the_password():
    begun = {"release": "r1", "slot": "blue"}
    text = render("release", "announcement.txt.j2", release_begun=begun)
    assert "http://127.0.0.1:8080/" in text
    assert "/etc/eduhub/secrets/plone_admin_password" in text
    assert "password" not in render("release", "announcement.txt.j2", release_begun=begun, plone_url="http://cms:1/P")


def told(**given) -> dict[str, Any]:
    """What the pilot is told on its standard input, as JSON brings it there."""
    return json.loads(json.dumps(value("_pilot_told", **given), default=str))


def gates_told(**given) -> dict[str, Any]:
    """What the pilot is told of the gates."""
    return {name: each for name, each in told(**given)["settings"].items() if name.startswith(SETTINGS)}


def test_the_pilot_is_told_every_setting_that_it_describes_and_the_release():
    document = told(pilot_input={"image": "eduhub/bridge"}, eduhub_stack="two", pilot_shift_steps=[50, 100])
    assert set(document["settings"]) == set(DESCRIBED)
    assert (document["settings"]["pilot_stack"], document["spec"]) == ("two", {"image": "eduhub/bridge"})
    assert parse_settings(document["settings"], Path("/state"), Path("/config")).plan.steps == (50, 100)


def test_the_pilot_understands_what_the_defaults_tell_it_of_the_gates():
    assert criteria(gates_told(), SPEC) == criteria({}, SPEC)
    assert {name.split("_")[1] for name in gates_told()} == {"gate", "runtime", "contract", "performance"}


@pytest.mark.parametrize("gate", NAMES)
@pytest.mark.parametrize("mode", ["off", "observe", "enforce", False], ids=str)
def test_each_gate_has_the_mode_that_the_inventory_says_and_no_other_gate_has_it(gate, mode):
    modes = criteria(gates_told(**{f"pilot_gate_{gate}": mode}), SPEC).modes
    assert modes == {**dict.fromkeys(NAMES, "enforce"), gate: mode or "off"}  # YAML makes false of off


def test_the_pilot_understands_what_an_inventory_tells_it_of_the_gates():
    until = date(2027, 1, 31)  # what YAML makes of a day
    understood = criteria(
        gates_told(
            pilot_gate_smoke=False,  # what YAML makes of off
            pilot_runtime_allowed=[{"path": "/app/*", "until": until}],
            pilot_contract_requests=[{"path": "/courses", "headers": {"Accept": "text/html"}}],
            pilot_contract_allowed=[{"path": "/courses", "where": "body.total", "until": until, "why": "ticket 4"}],
        ),
        SPEC,
    )
    assert understood.modes["smoke"] == "off"
    assert understood.runtime.allowed[0].until == understood.contract.allowed[0].until == until
    assert understood.contract.requests[-1].named == "GET /courses (text/html)"


def steps(tasks: list[dict[str, Any]] | None) -> Iterator[tuple[str, Any]]:
    """Each task's module, without its collection, and what it is given; those in blocks too."""
    for task in tasks or []:
        yield from ((name.rpartition(".")[2], given) for name, given in task.items())
        for part in ("tasks", "block", "rescue", "always"):
            yield from steps(task.get(part))


def played(file: str) -> set[str]:
    """The files of tasks that a file below ansible/ comes to, playbooks too."""
    found = {file}
    for verb, given in steps(yaml.safe_load((ANSIBLE / file).read_text())):
        if verb == "import_role":
            found |= played(f"roles/{given['name']}/tasks/{given['tasks_from']}.yml")
        elif verb in {"import_tasks", "import_playbook"}:
            found |= played(str(Path(file).parent / given))
    return found


def test_a_rollback_brings_no_image_and_lets_nothing_bring_one():
    assert "roles/docker_host/tasks/images.yml" in played("playbooks/upgrade.yml")
    way_back = played("playbooks/rollback.yml")
    # Who signed an image is asked of what is rolled out, and not on a rollback.
    moves = yaml.safe_load((ANSIBLE / "playbooks/rollout.yml").read_text())[0]["tasks"][0]["block"]
    assert "release_verb != 'rollback'" in moves[0]["when"]
    assert moves[1]["when"] == "release_candidate | default({}) | length > 0"  # only the task before it sets that
    asked = ("release/tasks/candidate", "docker_host/tasks/candidate", "docker_host/tasks/signatures")
    signed = {f"roles/{each}.yml" for each in asked}
    assert {each.split("/")[1] for each in {*way_back} - signed if "/tasks/" in each} == {"pilot", "release"}
    for argv in ("_pilot_argv", "_pilot_shift_argv"):
        words = value(argv, pilot_command=[], pilot_run="run", ansible_play_hosts_all=["here"])
        assert words[words.index("--pull") + 1] == "never"


def test_what_a_wave_reads_it_has_asked_itself():
    """Each wave, and the play of the front hosts, is a run of Ansible of its own: what the first look kept is gone."""
    looked = {name for file in ("deploy_look", "front_look") for name in registered(played(f"playbooks/{file}.yml"))}
    for playbook, roles in {"deploy_hosts": ["bridge", "edge", "plone"], "deploy_fronts": ["edge", "front"]}.items():
        files = played(f"playbooks/{playbook}.yml")
        for file in (*files,):
            included = re.findall(r"include_tasks: (\S+)", (ANSIBLE / file).read_text())
            files |= {each for name in included for each in played(str((ANSIBLE / file).parent / name))}
        templates = [each for role in roles for each in (ANSIBLE / "roles" / role).glob("templates/*")]
        text = "".join(each.read_text() for each in [*(ANSIBLE / file for file in files), *templates])
        lost = looked - registered(files - {"roles/front/tasks/look.yml"})  # which comes last
        assert {name for name in lost if re.search(rf"\b{name}\b", text)} == set()


def registered(files: Iterable[str]) -> set[str]:
    """Return the variables that tasks of these files register."""
    return {name for file in files for name in re.findall(r"register: (\w+)", (ANSIBLE / file).read_text())}


def test_a_first_deployment_is_judged_before_anything_is_made_for_it():
    tasks = yaml.safe_load((ANSIBLE / "playbooks/deploy_look.yml").read_text())[1]["tasks"]
    asked = next(task for task in tasks if "--first" in task.get("vars", {}).get("pilot_command", []))
    assert [task["vars"]["phase"] for task in tasks[: tasks.index(asked) + 2]].count("prepare") == 0
    assert asked["vars"]["pilot_alone"]
    words = value("_pilot_argv", pilot_command=["preflight", "--first"], pilot_alone=True)
    assert [word for word in words if "bind" in word] == []


@pytest.mark.parametrize(
    ("engine", "deployed", "codes", "asked"),
    [
        ("20.10.24", True, [], True), ("20.10.24", True, ["disk_short"], True), (None, True, [], False),
        ("20.10.24", False, [], False), ("20.10.24", True, ["disk_short", "containers_unknown"], False),
        ("20.10.24", True, ["engine_unsupported"], False),
    ],
)  # fmt: skip
def test_preflight_starts_no_pilot_on_an_engine_that_does_not_know_the_stack(engine, deployed, codes, asked):
    answer = {"engine": engine, "deployed": deployed, "findings": [{"code": code} for code in codes]}
    assert value("docker_host_knows_stack", docker_host_answer=answer) is asked
    tasks = yaml.safe_load((ANSIBLE / "playbooks/tasks/preflight.yml").read_text())
    (pilot,) = [task for task in tasks if task["ansible.builtin.import_role"]["name"] == "pilot"]
    assert pilot["when"] == "docker_host_knows_stack"


# As Docker's clients print it, the old one and the new one.
NO_ENGINE = "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
OLD_HELP, NEW_HELP = "See 'docker run --help'.", "Run 'docker run --help' for more information"
ANSWER = {"code": "reverted", "exit": 1, "phase": "revert", "message": "Reverted.", "next": [], "changed": True}


@pytest.mark.parametrize(
    ("ran", "code", "said"),
    [
        ({"rc": 137, "stdout": "", "stderr": "", "msg": "non-zero return code"}, "pilot_silent", "was killed"),
        ({"rc": 124, "stdout": "", "stderr": ""}, "pilot_silent", "no answer within 120 s"),
        ({"rc": 125, "stdout": "", "stderr": "no such image\n"}, "pilot_silent", "on here: no such image"),
        ({"rc": 125, "stderr": f"no such image\n\n{NEW_HELP}\n"}, "pilot_silent", "on here: no such image"),
        ({"rc": 125, "stderr": f"{NO_ENGINE}.\n{OLD_HELP}\n"}, "engine_down", "running? Start it there"),
        ({"rc": 125, "stderr": f"{NO_ENGINE}\n\n{NEW_HELP}\n"}, "engine_down", "does not answer: Cannot connect"),
        ({"rc": 137, "stdout": json.dumps(ANSWER)}, "reverted", "Reverted."),
        ({"rc": 0, "stdout": f"Welcome.\r\n{json.dumps(ANSWER)}\r\n"}, "reverted", "Reverted."),
        ({"rc": 0, "stdout": '{"percent": 25}'}, "pilot_silent", "did not start"),
        ({}, "pilot_silent", "did not start"),
    ],
    ids=["killed", "late", "not started", "with help", "no engine", "no engine, with help", "killed after its answer",
         "after a login script", "a view", "unreachable"],
)  # fmt: skip
def test_a_pilot_without_an_answer_is_told_from_one_that_never_ran(ran, code, said):
    answer = value("pilot_answer", pilot_ran=ran, pilot_command=["status"])
    assert (answer["code"], "exit" in answer) == (code, code == "reverted")
    assert (said in answer["message"], "--help" in answer["message"]) == (True, False)


def test_an_engine_that_hangs_is_given_up_in_time_for_all_that_takes_no_longer_than_settings_say():
    limits = value("_pilot_limits")
    assert set(limits) < set(COMMANDS)
    assert all(float(limit) < 14400 for limit in limits.values())
    words = value("_pilot_argv", pilot_command=["prove", "--run", "x"], pilot_start_seconds=7200)
    # In the group of processes that Ansible ends when a person interrupts it.
    assert words[:3] == ["timeout", "--foreground", "--kill-after=30"]
    assert float(words[3]) > 7200 > float(limits["prove"])
    # 0 is none, for the program as for the task: a restore may take a day.
    assert value("_pilot_argv", pilot_command=["restore"])[3] == "0"
    (ran, *_) = DataLoader().load_from_file(str(ANSIBLE / "roles/pilot/tasks/run.yml"), trusted_as_template=True)
    words = ("status", "undrain", "pack")
    seconds = [value("asked", asked=ran["timeout"], pilot_command=[word]) for word in words]
    assert seconds == [180, 14460, 0]


@pytest.mark.parametrize(
    ("ran", "exists", "absent"),
    [({"stdout": ""}, False, True), ({"stdout": ""}, True, False), ({"stdout": json.dumps(ANSWER)}, False, False)],
)
def test_nothing_is_deployed_where_no_pilot_answers_and_there_is_no_state(ran, exists, absent):
    assert value("pilot_is_absent", pilot_ran=ran, pilot_state={"stat": {"exists": exists}}) is absent


@pytest.mark.parametrize(
    ("ran", "failed", "why"),
    [
        ({"stdout": json.dumps(ANSWER)}, {"msg": "non-zero return code"}, "Reverted."),
        ({"stdout": json.dumps({**ANSWER, "exit": 0})}, {"msg": "no such image"}, "no such image"),
        ({"stdout": ""}, {"msg": ""}, ""),
        ({"stdout": ""}, {}, ""),
    ],
    ids=["the pilot", "a module", "a module without a message", "no message"],
)
def test_every_failure_is_the_reason_of_the_revert(ran: dict[str, str], failed: dict[str, str], why: str):
    (play,) = DataLoader().load_from_file(str(ANSIBLE / "playbooks/rollout.yml"), trusted_as_template=True)
    (block,) = play["tasks"]
    command = block["rescue"][0]["vars"]["pilot_command"]
    given = {"eduhub_run": "run-1", "ansible_failed_result": failed, "pilot_ran": ran}
    assert value("undoing", undoing=command, **given) == ["revert", "--run=run-1", f"--why={why}"]


def test_every_container_names_its_log_driver_so_that_none_needs_the_engines_default():
    for argv in ("_pilot_argv", "_pilot_shift_argv", "_edge_validate", "_plone_endpoint_validate"):
        words = value(argv, pilot_command=["status"], pilot_run="run", ansible_play_hosts_all=["here"])
        words = words.split() if isinstance(words, str) else words
        assert words[words.index("--log-driver") + 1] in {"json-file", "none"}
    tasks = [task for path in ANSIBLE.glob("roles/*/tasks/*.yml") for task in yaml.safe_load(path.read_text()) or []]
    module = "community.docker.docker_container"
    containers = [task[module] for task in tasks if task.get(module, {}).get("state", "absent") != "absent"]
    assert [each["log_driver"] for each in containers] == ["json-file"] * len(containers) != []


@pytest.mark.parametrize("action", ["roll", "none"])
@pytest.mark.parametrize(
    ("minor", "ready", "upgrades", "rolls_back"), [("older", False, True, False), ("newest", True, False, True)]
)
def test_the_next_commands_fit_what_is_live(action, minor, ready, upgrades, rolls_back):
    newest = value("release_newest_python")
    python = f"{newest}.2" if minor == "newest" else "3.1.4"
    status = {"python": python, "rollback": {"ready": ready}}
    # Where nothing was rolled, the answer of the last pilot is that of a step that did not run.
    last = {"code": "confirmed", "exit": 0, "status": status} if action == "roll" else {}
    given = {"release_begun": {"action": action, **({"status": status} if action == "none" else {})}}
    given["pilot_ran"] = {"stdout": json.dumps(last)}
    upgrade = ["./invoke", "upgrade", "--python", newest]
    assert value("_release_next_upgrade", **given) == ([upgrade] if upgrades else [])
    assert value("_release_next_rollback", **given) == ([["./invoke", "rollback"]] if rolls_back else [])


def test_an_own_bridge_is_upgraded_to_no_python_of_ours():
    assert value("release_newest_python", bridge_image="registry.example.edu/bridge:7") == ""


def test_an_inventory_may_have_no_bridge_host():
    """One of hosts that have Plone alone: Ansible knows no group that the inventory does not name."""
    books = {path.name: path.read_text(encoding="utf-8") for path in (ANSIBLE / "playbooks").glob("*.yml")}
    bare = {name: re.findall(r"in groups\.\w+(?! *\| *default)\b", text) for name, text in books.items()}
    assert {name: found for name, found in bare.items() if found} == {}
