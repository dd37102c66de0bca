"""An inventory is found, read as Ansible reads it, and refused in sentences where it cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from front.arguments.refusal import RefusalError
from front.inventory import loader
from front.inventory.documented import Documented

pytestmark = pytest.mark.slow

HOSTS = """\
all:
  children:
    bridge:
      hosts:
        one: {edge_port: 81}
        two:
      vars:
        edge_address: 127.0.0.1
"""


@pytest.fixture
def kept(tmp_path):
    """An inventory folder with two hosts and variables of a group."""
    folder = tmp_path / "inventories/campus"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS)
    (folder / "group_vars/bridge.yml").write_text("---\nbridge_python: '3.11'\n# bridge_mode: tcp\n")
    return folder


def refused(call, *arguments) -> list[str]:
    with pytest.raises(RefusalError) as refusal:
        call(*arguments)
    return list(refusal.value.messages)


def test_a_name_is_a_folder_in_inventories(kept, tmp_path):
    assert kept == loader.find("campus", tmp_path)


def test_a_path_is_taken_as_it_is(kept, tmp_path):
    assert kept / "hosts.yml" == loader.find(str(kept / "hosts.yml"), tmp_path / "elsewhere")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("camps", "did you mean campus?"),
        ("/no/camps", "did you mean campus?"),
        ("x", "there is campus."),
        ("", "there is campus."),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(tmp_path, name, hint):
    sentence = f"There is no inventory {name!r}, neither in inventories/ nor as a path; {hint}"
    assert [sentence] == refused(loader.find, name, tmp_path)


def test_the_hosts_come_with_the_variables_of_their_groups(kept):
    hosts = {host.name: host.variables for host in loader.load(kept, "")}
    assert [
        (name, variables.get("edge_port"), variables["bridge_python"]) for name, variables in sorted(hosts.items())
    ] == [("one", 81, "3.11"), ("two", None, "3.11")]


def test_limit_leaves_the_hosts_it_names(kept):
    assert [host.name for host in loader.load(kept, "bridge:!one")] == ["two"]


@pytest.mark.parametrize(
    ("limit", "hint"),
    [("tow", "did you mean two?"), ("one,brigde", "did you mean bridge?"), ("xyz", "its hosts are one, two, all,")],
)
def test_a_limit_that_fits_no_host_is_refused(kept, limit, hint):
    (sentence,) = refused(loader.load, kept, limit)
    assert (f"--limit {limit.split(',')[-1]!r} fits no host of this inventory", True) == (
        sentence.split(";")[0],
        hint in sentence,
    )


@pytest.mark.parametrize("limit", ["two:!two", "one,two,!bridge", "bridge:&ungrouped", "~nothing", ",", ":"])
def test_a_limit_that_leaves_no_host_is_refused(kept, limit):
    (sentence,) = refused(loader.load, kept, limit)
    assert f"--limit {limit!r}" in sentence
    assert "its hosts are one, two" in sentence


@pytest.mark.parametrize("limit", ["one,two:!one", "one, two:&bridge", "one:two,two", "two,one:!bridge:&one"])
def test_a_limit_that_mixes_commas_and_colons_is_refused_for_ansible_reads_only_the_commas(kept, limit):
    (sentence,) = refused(loader.load, kept, limit)
    right = ",".join(part.strip() for part in limit.replace(":", ",").split(","))
    assert sentence.startswith(f"--limit {limit!r} has commas and colons, and Ansible splits it at the commas only")
    assert sentence.endswith(f"type --limit '{right}'.")


def test_colons_within_a_range_or_an_address_are_no_mixture(kept):
    (kept / "hosts.yml").write_text(HOSTS.replace("two:", "'fe80::1':"))
    assert [host.name for host in loader.load(kept, "fe80::1,bridge[0:0]")] == ["one", "fe80::1"]
    assert [host.name for host in loader.load(kept, "all,!fe80::1")] == ["one"]
    assert [host.name for host in loader.load(kept, "all,&fe80::1")] == ["fe80::1"]


@pytest.mark.parametrize("limit", ["", "two"])
def test_a_host_named_like_a_group_is_refused_for_ansible_would_play_on_it_alone(kept, limit):
    (kept / "hosts.yml").write_text(HOSTS.replace("one:", "bridge:"))
    (sentence,) = refused(loader.load, kept, limit)
    assert "names a host and a group 'bridge'" in sentence
    assert sentence.endswith("give the host another name.")


@pytest.mark.parametrize("limit", ["bridge[5]", "one,bridge[5]"])
def test_a_number_past_the_last_host_of_a_group_fits_no_host(kept, limit):
    (sentence,) = refused(loader.load, kept, limit)
    assert sentence.startswith("--limit 'bridge[5]' fits no host of this inventory")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "names a file that cannot be read: No such file or directory; name another."),
        ("\n \n", "names a file without a host; write one a line into it."),
    ],
)
def test_a_file_of_hosts_that_names_none_is_refused_and_does_not_mean_all(kept, tmp_path, text, why):
    if text is not None:
        (tmp_path / "some").write_text(text)
    assert [f"--limit '@{tmp_path}/some' {why}"] == refused(loader.load, kept, f"@{tmp_path}/some")


def test_a_file_of_hosts_leaves_those_it_names(kept, tmp_path):
    (tmp_path / "some").write_text("two\n")
    assert [host.name for host in loader.load(kept, f"@{tmp_path}/some")] == ["two"]
    (tmp_path / "some").write_text("one\ntow\n")
    assert "--limit 'tow' fits no host of this inventory; did you mean two?" in refused(
        loader.load, kept, f"@{tmp_path}/some"
    )


MISSHAPEN = {
    "hosts in a list": (
        "all: {hosts: [a, b]}",
        "hosts of the group all is a list, which is no mapping; write each name with a colon, on a line of its",
    ),
    "children in a list": ("all: {children: [bridge]}", "children of the group all is a list, which is no mapping"),
    "a list of groups": ("- all", "a list stands where groups are named"),
    "a group that is a list": ("all: {children: {bridge: [a]}}", "the group bridge is a list, but must hold hosts, "),
    "a file of another program, with a secret": ("password: hunter2", "the group password is a text, but must hold"),
    "a misspelt part": ("all: {hots: {a: }}", "the group all holds 'hots'; did you mean hosts?"),
}


@pytest.mark.parametrize(("text", "why"), MISSHAPEN.values(), ids=MISSHAPEN)
def test_groups_of_another_form_are_named(kept, text, why):
    (kept / "hosts.yml").write_text(text)
    (sentence,) = refused(loader.load, kept, "")
    assert sentence.startswith(f"{kept}/hosts.yml: {why}")


def test_a_file_of_variables_that_is_no_mapping_is_named(kept):
    (kept / "group_vars/all.yml").write_text("- edge_port: 1\n")
    lines = "write each variable as a name with a colon and its value."
    assert refused(loader.load, kept, "") == [
        f"{kept}/group_vars/all.yml is a list, and no mapping of variables; {lines}"
    ]


def test_a_misspelt_group_of_ours_is_named(kept):
    (kept / "hosts.yml").write_text(HOSTS.replace("bridge:", "brige:"))
    assert [f"The inventory {kept} has no group bridge; did you mean it by brige?"] == refused(loader.load, kept, "")


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("group_vars/bridges.yml", "is for a group 'bridges', which the inventory does not have; did you mean bridge?"),
        ("group_vars/al/main.yml", "is for a group 'al', which the inventory does not have; did you mean all?"),
    ],
)
def test_a_file_of_variables_that_was_meant_for_a_group_of_ours_is_named(kept, file, hint):
    (kept / file).parent.mkdir(parents=True, exist_ok=True)
    (kept / file).write_text("edge_port: 1\n")
    (sentence,) = refused(loader.load, kept, "")
    path = file.removesuffix("/main.yml")
    assert sentence.startswith(f"{kept}/{path} {hint}")


def test_files_for_what_there_is_or_may_come_and_those_of_an_inventory_beside_it_are_left_alone(kept):
    (kept / "host_vars/one").mkdir(parents=True)
    for file in ("group_vars/all", "group_vars/front.yml", "group_vars/README.md", "group_vars/x.yml~",
                 "host_vars/one/main.yml", "host_vars/two.json", "group_vars/library.yml",
                 "host_vars/tow.yml"):  # fmt: skip
        (kept / file).write_text("{}\n")
    assert len(loader.load(kept, "")) == 2
    (kept / "group_vars/other.yml").write_text("{}\n")
    (kept / "others.yml").write_text("other: {hosts: {three: }}\n")
    assert len(loader.load(kept / "hosts.yml", "")) == 2
    assert len(loader.load(kept, "")) == 3


BROKEN = {
    "no YAML": ("all:\n  vars: {edge_port: 1\n  children:\n", "line 3 cannot be read: "),
    "a tab": ("all:\n\tvars: 1\n", "line 2 cannot be read: found character '\\t' that cannot start any token"),
    "a name given twice": ("all:\n  vars:\n    a: 1\n    a: 2\n", "line 4 cannot be read: 'a' is given a second time"),
}


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN)
def test_an_unreadable_file_is_refused_with_its_line(kept, text, why):
    (kept / "hosts.yml").write_text(text)
    (sentence,) = refused(loader.load, kept, "")
    assert sentence.startswith(f"{kept}/hosts.yml, {why}")
    assert sentence.endswith("; correct that line.")


def test_every_unreadable_file_is_named(kept):
    (kept / "hosts.yml").write_text("a: [")
    (kept / "group_vars/bridge.yml").write_bytes(b"a: \xff")
    assert [f"{kept}/group_vars/bridge.yml", f"{kept}/hosts.yml, line 1"] == [
        sentence.split(" cannot be read")[0] for sentence in refused(loader.load, kept, "")
    ]


def test_yaml_that_is_no_inventory_is_refused(kept):
    (kept / "hosts.yml").write_text("plugin: no.such.plugin\n")
    (sentence,) = refused(loader.load, kept, "")
    assert sentence.startswith(f"The inventory {kept} cannot be used: ")


def test_an_inventory_without_hosts_is_refused(kept):
    (kept / "hosts.yml").write_text("all: {}\n")
    assert [f"The inventory {kept} names no host; write at least one into it."] == refused(loader.load, kept, "")


def test_encrypted_values_are_neither_read_nor_judged(kept):
    (kept / "group_vars/bridge.yml").write_text("edge_port: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3133\n")
    known = Documented({"edge_port": {"type": "int"}, "edge_address": {}}, ("edge_",))
    hosts = loader.load(kept, "two")
    loader.check(kept, hosts, known)
    assert hosts[0].variables["edge_port"] == "{{ encrypted }}"


def test_braces_that_ansible_does_not_render_are_no_template(kept):
    (kept / "group_vars/bridge.yml").write_text("edge_address: !unsafe '{{ nope }}'\n")
    known = Documented({"edge_port": {"type": "int"}, "edge_address": {}}, ("edge_",))
    loader.check(kept, loader.load(kept, "two"), known)
    (kept / "group_vars/bridge.yml").write_text("edge_address: '{{ nope }}'\ncampus: 1\n")
    assert "is a template of nope" in refused(loader.check, kept, loader.load(kept, "two"), known)[0]
    (kept / "group_vars/bridge.yml").write_text("edge_address: '{{ campus }}'\ncampus: 1\n")
    loader.check(kept, loader.load(kept, "two"), known)


def test_a_finding_names_the_file_and_line_that_sets_the_variable(kept):
    known = Documented({"edge_port": {"type": "int"}, "edge_address": {}}, ("edge_", "bridge_"))
    (kept / "hosts.yml").write_text(HOSTS.replace("81", "eighty"))
    hosts = loader.load(kept, "")
    names = "the names stand in docs/reference/settings.md"
    assert {
        f"edge_port ({kept}/hosts.yml:5) is 'eighty', but must be a whole number.",
        f"There is no variable bridge_python ({kept}/group_vars/bridge.yml:2); {names}.",
    } == set(refused(loader.check, kept, hosts, known))


def test_a_variable_beside_an_inventory_file_is_found_too(kept):
    assert [kept / "hosts.yml", kept / "group_vars/bridge.yml"] == loader.files(kept / "hosts.yml")


def test_a_name_in_a_comment_or_in_another_name_sets_nothing(kept):
    sources = [(path, path.read_text()) for path in loader.files(kept)]
    assert ["host one", "host one", f"{kept}/group_vars/bridge.yml:2"] == [
        loader.where(name, "one", sources) for name in ("bridge_mode", "python", "bridge_python")
    ]


def test_a_locale_that_ansible_refuses_is_no_hindrance(kept, checkout):
    path = f"Path({str(kept)!r})"
    code = f"from pathlib import Path; from front.inventory import loader; print(len(loader.load({path}, '')))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"LC_ALL": "C", "PYTHONPATH": str(checkout / "ansible")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("2\n", "")


SECRET = "ansible_become_password: sudo-secret\n"  # noqa: S105 - of this test alone


@pytest.fixture
def encrypted(kept, tmp_path):
    """An inventory of which ansible-vault encrypted a whole file, and the file with the password."""
    password, file = tmp_path / "password", kept / "group_vars/all.yml"
    password.write_text("open\n")
    file.write_text(SECRET)
    vault = str(Path(sys.executable).with_name("ansible-vault"))
    subprocess.run([vault, "encrypt", "--vault-password-file", str(password), str(file)], check=True, timeout=60)
    assert "sudo-secret" not in file.read_text()
    return kept, password


def encrypted_value(kept, password) -> None:
    """Encrypt the one value instead of the file."""
    vault = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt_string", "--vault-password-file"]
    done = subprocess.run(
        [*vault, str(password), "--name", "ansible_become_password", "sudo-secret"],
        check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    (kept / "group_vars/all.yml").write_text(done.stdout)


@pytest.mark.parametrize("whole", [True, False], ids=["a file", "a value"])
@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (None, 2, "holds values that ansible-vault encrypted, and no password was given: add --ask-vault-pass, or"),
        ("shut", 2, "The password given for ansible-vault does not fit"),
        ("open", 0, ""),
    ],
    ids=["no password", "another password", "the password"],
)
def test_what_ansible_vault_encrypted_is_read_with_its_password_alone(encrypted, front, whole, given, code, words):
    kept, password = encrypted
    if not whole:
        encrypted_value(kept, password)
    folder = front.checkout / "ansible/playbooks"
    folder.mkdir(parents=True, exist_ok=True)
    task = "{ansible.builtin.assert: {that: ansible_become_password == 'sudo-secret'}}"
    (folder / "status.yml").write_text(
        f"- {{hosts: two, gather_facts: false, connection: local, vars: {{phase: status}}, tasks: [{task}]}}\n"
    )
    words_given = []
    if given:
        (kept.parent / "given").write_text(given)
        words_given = ["--vault-password-file", str(kept.parent / "given")]
    returned, output, errors = front.run("status", "--inventory", str(kept), "--limit", "two", *words_given)
    assert (returned, words in " ".join(errors.split())) == (code, True), output + errors
    assert "Traceback" not in errors
    assert "sudo-secret" not in output + errors
