"""What stops a deployment is found before anything is touched, all of it at once, each with a code and a remedy."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from types import SimpleNamespace

import pytest

from library import host_readiness
from module_utils.host_readiness import directories, engine, identities, installed, observe, programs, sockets
from module_utils.host_readiness.findings import HELD, installable, notes, overlap
from module_utils.host_readiness.model import (
    Acme,
    Calendar,
    Engine,
    FileSystem,
    Foreign,
    Host,
    Installed,
    Listener,
    Port,
    Requirements,
    Stray,
)
from tests.templates.render import ANSIBLE
from tests.unit.ansible.library.hosts import ALPINE, ANY, EDGE, FINE, REQUIRED, TCP, TCP6, codes, said
from tests.unit.ansible.played import played


def test_a_host_in_order_has_no_finding():
    assert said(FINE) == []
    message = host_readiness.result(FINE, REQUIRED)["message"]
    assert message == "Debian GNU/Linux 12 (bookworm), Docker Engine 20.10.24+dfsg1."


SHORT = "/var/lib/docker and /data need 5000 MB and have 900 MB free"


def test_every_finding_is_named_at_once_with_its_remedy():
    host = Host(
        root=False, distribution=ALPINE, installable=False, engine=None,
        listeners=[Listener(ANY, 8080, holder="nginx, pid 12")],
        file_systems=[FileSystem(["/var/lib/docker", "/data"], 900, 5000)], memory_mb=700,
    )  # fmt: skip
    assert said(host) == [
        "The connection is not root: run as root, or set ansible_become: true in the inventory.",
        f"No Docker Engine answers, and {ALPINE} has no package docker.io: install Docker Engine 20.10 or newer.",
        "Port 8080 is in use by nginx, pid 12: stop it, or set edge_port to another port.",
        f"{SHORT}: free some space (docker image prune --force removes replaced images), or mount a larger disk.",
        "700 MB of memory are available, 1500 MB needed: stop other programs, or add memory.",
    ]
    assert codes(host) == ["not_root", "engine_not_installable", "port_taken", "disk_short", "memory_short"]
    answer = host_readiness.result(host, REQUIRED)
    assert (answer["code"], answer["exit"]) == ("host_not_ready", 2)
    assert answer["findings"][2] == {"code": "port_taken", "message": said(host)[2], "next": []}


def test_a_missing_engine_stops_only_what_does_not_install_it():
    host = Host(distribution="Debian GNU/Linux 13 (trixie)", engine=None)
    assert said(host) == ["No Docker Engine answers: ./invoke deploy installs and starts it."]
    assert said(host, Requirements("eduhub", engine_required=False)) == []


DPKG = """\
containerd.io installed 1.7.25-1
curl installed 8.0
docker-ce installed 5:27.5.1-1
docker-ce-cli half-configured 5:27.5.1-1
docker.io config-files 20.10.24+dfsg1-1
podman-docker not-installed {nothing}
""".format(nothing="")
DOCKER_CE = {"docker-ce": "5:27.5.1-1", "docker-ce-cli": "5:27.5.1-1", "containerd.io": "1.7.25-1"}
CE = Installed(DOCKER_CE, "/usr/bin/dockerd", "/usr/bin/docker", "loaded")
DEBIANS = Installed({"docker.io": "20.10.24+dfsg1-1"}, "/usr/sbin/dockerd", "/usr/bin/docker", "loaded")
SILENT = "The Docker Engine does not answer; docker-ce 5:27.5.1-1 is installed"
STARTS = ": ./invoke deploy starts it, or says why it does not start."
BESIDE = (
    "No Docker Engine is installed, and Debian's docker.io does not fit beside {}: "
    "install the engine that belongs to it, or remove it."
)


def test_packages_of_an_engine_are_those_that_dpkg_has_files_of():
    assert installed.packages(DPKG) == DOCKER_CE
    assert installed.packages(None) == {}


@pytest.mark.parametrize(
    ("said_of_itself", "dockers"),
    [("Docker version 28.2.2, build e6534b4\n", True), ("podman version 4.3.1\n", False), (None, False)],
)
def test_dockers_client_is_known_by_what_it_says_of_its_version(said_of_itself, dockers):
    assert installed.dockers(said_of_itself) is dockers


@pytest.mark.parametrize(
    ("there", "systemd", "words"),
    [
        (CE, True, f"{SILENT}{STARTS}"), (replace(CE, unit=""), False, f"{SILENT}{STARTS}"),
        (DEBIANS, True, f"The Docker Engine does not answer; docker.io 20.10.24+dfsg1-1 is installed{STARTS}"),
        (Installed(daemon="/opt/dockerd", client="/opt/docker", unit="loaded"), True,
         f"The Docker Engine does not answer; /opt/dockerd is installed{STARTS}"),
        (replace(CE, unit="masked"), True, f"{SILENT}, and docker.service is masked: run `systemctl unmask docker`."),
        (replace(CE, unit="not-found"), True,
         f"{SILENT}, and systemd has no docker.service: start it, and let it start with the host."),
        (Installed({"podman-docker": "4.3.1"}, client="/usr/bin/docker", unit="not-found"), True,
         BESIDE.format("podman-docker 4.3.1")),
        (Installed(client="/usr/local/bin/docker", imitated=True, unit="not-found"), True,
         BESIDE.format("/usr/local/bin/docker")),
    ],
)  # fmt: skip
def test_an_engine_that_is_installed_is_started_and_never_replaced(there, systemd, words):
    host = Host(distribution="Debian GNU/Linux 12 (bookworm)", installed=there, systemd=systemd)
    assert said(host) == [words]
    assert host_readiness.result(host, REQUIRED)["engine_lacking"] is False
    may_start = words.endswith(STARTS)
    assert codes(host, Requirements("eduhub", engine_required=False)) == ([] if may_start else ["engine_not_startable"])


@pytest.mark.parametrize(
    "there",
    [
        Installed(unit="not-found"), Installed({"docker-cli": "26.1.5"}, client="/usr/bin/docker", unit="not-found"),
        Installed({"docker.io": "26.1.5"}, daemon="/usr/sbin/dockerd", unit="loaded"),  # without Debian 13's docker-cli
        Installed({"docker.io": "26.1.5", "docker-cli": "26.1.5"}, client="/usr/bin/docker", unit="not-found"),
        Installed(client="/usr/local/bin/docker", unit="not-found"),  # Docker's client alone talks to any engine
    ],
)  # fmt: skip
def test_debians_engine_is_installed_where_there_is_none_or_a_part_of_it(there):
    host = Host(installed=there)
    assert codes(host) == ["engine_missing"]
    assert host_readiness.result(host, REQUIRED)["engine_lacking"] is True


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], []), (["etc/plone/secrets/token"], []), (["var/lib/plone/lost+found/"], []),
        (["var/lib/plone/run/", "var/lib/plone/edge/", "etc/plone/bridge/state_key"], []),  # its pilot did not start
        (["etc/plone/zope.conf"], [Foreign("/etc/plone", "zope.conf", 0)]),
        (["etc/plone/secrets/token", "var/lib/plone/blobs/"], [Foreign("/var/lib/plone", "blobs", 0)]),
        (["etc/plone/zope.conf", "var/lib/plone/journal.jsonl"], []),
        (["etc/plone/site.pem", "etc/plone/edge/haproxy.cfg.sha1", "var/lib/plone/edge/"], []),  # a front host
    ],
)  # fmt: skip
def test_a_directory_without_a_mark_of_the_stack_is_another_programs(there, found, tmp_path):
    for each in there:
        path = tmp_path / each
        (path if each.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not each.endswith("/"):
            path.touch()
    assert [replace(each, owner=0) for each in directories.foreign("plone", tmp_path)] == found


def test_what_is_another_programs_is_refused_by_name():
    found = [Foreign("/etc/docker", "daemon.json", 0), Foreign("/var/lib/docker", "", 7)]
    host = replace(FINE, foreign_directories=found)
    assert codes(host) == ["directory_foreign"] * 2
    assert [sentence.split(":")[0] for sentence in said(host)] == [
        "/etc/docker holds daemon.json, which is not the stack's",
        "/var/lib/docker belongs to the user 7, which is not the stack's",
    ]


@pytest.mark.parametrize(("hook", "found"), [("/etc/hub/edge/acme-renewed", ""), ("/usr/local/bin/x", "hub.conf")])
def test_a_certificate_of_the_stacks_name_is_the_stacks_if_it_is_renewed_so(hook, found, tmp_path):
    assert directories.certificate("hub", tmp_path) == ""
    (tmp_path / "etc/letsencrypt/renewal").mkdir(parents=True)
    (tmp_path / "etc/letsencrypt/renewal/hub.conf").write_text(f"[renewalparams]\nrenew_hook = {hook}\n")
    assert directories.certificate("hub", tmp_path).rpartition("/")[2] == found
    assert codes(replace(FINE, foreign_renewal=found)) == (["directory_foreign"] if found else [])


@pytest.mark.parametrize(("engine", "found"), [("19.3.15", 1), ("20.10.5+dfsg1", 0), ("28.2.2", 0)])
def test_an_engine_that_is_too_old_is_named(engine, found):
    assert codes(Host(engine=engine)) == ["engine_too_old"] * found


@pytest.mark.parametrize(
    ("there", "installable", "path", "lacks"),
    [
        (None, True, ["/usr/lib/python3/dist-packages"], False), (None, True, ["/srv/venv/lib"], True),
        (None, False, ["/usr/lib/python3/dist-packages"], True), (sys, True, ["/srv/venv/lib"], False),
    ],
)  # fmt: skip
def test_requests_has_to_be_where_ansibles_python_looks(there, installable, path, lacks, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: there)
    assert observe.lacks_requests(installable, path) is lacks
    host = replace(FINE, lacking_python="/srv/venv/bin/python" if lacks else "")
    assert codes(host) == ["python_incomplete"] * lacks


def test_who_has_an_id_of_the_stack_is_noted_and_stops_nothing(monkeypatch):
    users, groups = {10002: "ada"}, {500: "staff"}
    monkeypatch.setattr("pwd.getpwuid", lambda number: SimpleNamespace(pw_name=users[number]))
    monkeypatch.setattr("grp.getgrgid", lambda number: SimpleNamespace(gr_name=groups[number]))
    host = replace(FINE, identities=list(identities.names()))
    assert codes(host) == []
    assert [note.split(",")[0] for note in notes(host, REQUIRED)] == [
        "The group staff has the id 500", "The user ada has the id 10002",
    ]  # fmt: skip


def test_the_ids_to_reserve_are_those_that_roles_give_files_to():
    owned = re.compile(r"""(?:owner|group): "?'?(\d+)""")
    given = {int(each) for path in ANSIBLE.glob("roles/*/*/*.yml") for each in owned.findall(path.read_text())}
    assert given - {0} == set(identities.IDS) == set(HELD)


def test_the_stacks_own_containers_may_hold_its_ports():
    assert said(Host(engine="20.10.24", listeners=[Listener("127.0.0.1", 8080, own=True)])) == []


@pytest.mark.parametrize(
    ("state", "python"),
    [
        ('{"live": {"slot": "blue", "release": "20261129T003128Z-py3.9-0cb92f4d"}}', "3.9"),
        ('{"live": {"slot": "blue", "release": "20261129T003128Z-pynone-0cb92f4d"}}', None),
        ('{"live": null}', None), ("", None), ("{", None),
    ],
)  # fmt: skip
def test_the_live_python_is_the_one_that_the_release_names(state, python):
    assert observe.live_python(state) == python


@pytest.mark.parametrize(
    ("plone", "standby", "found"),
    [
        ("true|3.9.2|6.0.13", None, ("3.9", "6.0.13")),
        ("true|3.9.2|6.0.13", "true|3.11.2|6.1.4", ("3.9", "6.0.13")),
        ("false|3.9.2|6.0.13", "true|3.11.2|6.1.4", ("3.11", "6.1.4")), (None, "true|3.11.2|", ("3.11", None)),
        ("false|3.9.2|", None, ("3.9", None)), ("true||", None, (None, None)), ("true||6.1.4", None, (None, "6.1.4")),
        (None, None, (None, None)),
    ],
)  # fmt: skip
def test_python_and_version_of_plone_are_those_of_the_container_that_runs(monkeypatch, plone, standby, found):
    said = {"eduhub-plone": plone, "eduhub-plone-standby": standby}
    monkeypatch.setattr(engine, "run", lambda *words: said[words[-1]])
    assert engine.plone("eduhub") == found


def test_what_is_deployed_has_its_memory_already():
    assert said(Host(engine="20.10.24", deployed=True, memory_mb=0)) == []


@pytest.mark.parametrize(("ahead", "words"), [(61.4, "61 s ahead of"), (-3600, "3600 s behind")])
def test_a_clock_that_is_off_is_named(ahead, words):
    assert said(replace(FINE, clock_offset=ahead)) == [
        f"The clock is {words} the control machine's: correct the wrong one with timedatectl set-ntp true."
    ]
    assert said(replace(FINE, clock_offset=-59)) == []


CRONTAB = """\
# docker system prune -a was here
17 3 * * * root docker system prune -af >/dev/null
18 3 * * * root docker image prune --force
"""


def test_a_job_that_can_remove_the_rollback_target_is_named(tmp_path):
    (tmp_path / "etc/cron.daily").mkdir(parents=True)
    (tmp_path / "etc/crontab").write_text(CRONTAB)
    (tmp_path / "etc/cron.daily/tidy").write_text("#!/bin/sh\ndocker volume prune -f && docker container prune -f\n")
    found = list(observe.scheduled(observe.SCHEDULES, tmp_path))
    assert [(each.path, each.line, each.command) for each in found] == [
        ("/etc/crontab", 2, "docker system prune -af"), ("/etc/cron.daily/tidy", 2, "docker volume prune"),
    ]  # fmt: skip
    assert said(replace(FINE, prunes=found))[0] == (
        "/etc/crontab:2 runs `docker system prune -af`, which can remove the rollback target: "
        "remove --all, --volumes and volume prune from it, or remove the job."
    )


@pytest.mark.parametrize(
    ("command", "takes"),
    [
        ("docker image prune -a --force", True),
        ("docker image prune --force --all", True),
        ("docker system prune -f --volumes", True),
        ("docker system prune --force", False),
        ("docker image prune --filter until=24h", False),
        ("docker image prune -f; tar -a", False),
    ],
)
def test_only_what_takes_named_images_or_volumes_is_meant(command, takes):
    assert bool(observe.PRUNES.search(command)) is takes


def test_two_settings_with_one_port_are_named():
    twins = Requirements("eduhub", [EDGE, Port("plone_port", ANY, 8080)])
    assert said(FINE, twins) == ["plone_port and edge_port are both 8080: set plone_port to another port."]


def test_an_address_of_another_host_is_named():
    host = Host(engine="20.10.24", foreign_addresses=frozenset({"127.0.0.1"}))
    assert said(host, Requirements("eduhub", [EDGE])) == [
        "127.0.0.1 is not an address of this host: set edge_address to one of its addresses."
    ]


@pytest.mark.parametrize(("names", "found"), [([], ["site_unnamed"]), (["hub.example.edu"], [])])
@pytest.mark.parametrize("variable", ["edge_trusted_proxies", "edge_acme_server"])
def test_a_site_behind_a_proxy_or_with_a_certificate_of_an_acme_server_needs_a_name(variable, names, found):
    required = Requirements("eduhub", need_names=[variable], names=names)
    assert codes(FINE, required) == found
    assert all(sentence.startswith(f"{variable} is set and edge_hosts is not") for sentence in said(FINE, required))


@pytest.mark.parametrize(("acme", "host", "names", "begins"), [
    (Acme(False, "kid", "/key"), FINE, ["hub.example.edu", "192.0.2.7"], ""),
    (Acme(True, "", ""), FINE, ["hub.example.edu"], "edge_acme_server and edge_tls_certificates are both set"),
    (Acme(False, "kid", ""), FINE, ["hub.example.edu"], "edge_acme_eab_key_id is set and edge_acme_eab_key_file"),
    (Acme(False, "", "/key"), FINE, ["hub.example.edu"], "edge_acme_eab_key_file is set and edge_acme_eab_key_id is"),
    (Acme(False, "kid", "/key"), replace(FINE, acme_key_readable=False), ["hub.example.edu"], "/key is missing"),
    (Acme(False, "", ""), FINE, ["192.0.2.7", "[2001:db8::1]"], "An ACME server gives certificates for names, and"),
])  # fmt: skip
def test_settings_of_an_acme_server_that_do_not_fit_are_refused(acme, host, names, begins):
    found = said(host, Requirements("eduhub", acme=acme, names=names))
    assert [sentence.startswith(begins) for sentence in found] == ([True] if begins else [])


MOVED = Stray("/var/lib/docker", "/srv/docker", kept=True)


@pytest.mark.parametrize(
    ("stray", "why", "remedy"),
    [
        (MOVED, "data-root /var/lib/docker, and it is /srv/docker now", 'set "data-root" to /var/lib/docker'),
        (replace(MOVED, kept=False), "data-root /var/lib/docker was removed", "If it is lost, restart the host"),
        (
            replace(MOVED, driver="overlay2", containerd=True), "another image store, of the storage driver overlay2",
            'set "features": {"containerd-snapshotter": false} in',
        ),
        (
            replace(MOVED, driver="overlayfs"), "another image store, of the storage driver overlayfs",
            'set "features": {"containerd-snapshotter": true} in',
        ),
        (
            replace(MOVED, driver="btrfs"), "another image store, of the storage driver btrfs",
            'set "storage-driver": "btrfs" in',
        ),
    ],
)  # fmt: skip
def test_of_a_site_that_the_engine_does_not_know_nothing_is_to_be_stopped(stray, why, remedy):
    listeners = [Listener("127.0.0.1", port, holder="haproxy, pid 812", stray=stray) for port in (8080, 8081)]
    (sentence,) = said(replace(FINE, listeners=listeners))
    assert "does not know them" in sentence
    assert [why in sentence, ": stop nothing; " in sentence, remedy in sentence] == [True, True, True]
    assert codes(replace(FINE, listeners=listeners)) == ["containers_unknown"]
    remapped = replace(FINE, listeners=listeners, engine_modes=frozenset({"userns"}))
    assert codes(remapped) == ["engine_unsupported"]


LISTENING = """\
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    input()
"""


@pytest.fixture
def container(tmp_path):
    """Return a function that starts a listening container of a stack as an engine of tmp_path/old does: its port."""
    with ExitStack() as stack:

        def start(name: str) -> int:
            record = tmp_path / "old/containers" / ("c" * 64)
            record.mkdir(parents=True)
            sources = ["proc", f"{record}/resolv.conf", f"/etc/{name}/edge"]
            (record / "config.v2.json").write_text(json.dumps({"Driver": "overlay2"}))
            bundle = tmp_path / "bundle"
            bundle.mkdir()
            (bundle / "config.json").write_text(json.dumps({"mounts": [{"source": source} for source in sources]}))
            first = shlex.join([sys.executable, "-c", LISTENING])
            shim = ["sh", "-c", f"(cd / && {first}); true"]
            process = stack.enter_context(Popen(shim, cwd=bundle, stdin=PIPE, stdout=PIPE, text=True))
            stack.callback(process.stdin.close)
            return int(process.stdout.readline())

        yield start


@pytest.mark.parametrize(
    ("name", "now", "kept", "expected"),
    [
        ("eduhub", "new", True, True), ("eduhub", "new", False, True), ("eduhub", "old", False, True),
        ("eduhub", "old", True, None), ("other", "new", True, None),
    ],
)  # fmt: skip
def test_a_container_of_the_stack_is_unknown_to_an_engine_without_its_record(
    name, now, kept, expected, container, tmp_path
):
    required = Requirements("eduhub", [Port("edge_port", "127.0.0.1", container(name))])
    if not kept:
        shutil.rmtree(tmp_path / "old")
    root, other = str(tmp_path / "old"), str(tmp_path / now)
    (listener,) = sockets.taken(required, Engine(None, other, other))
    assert listener.stray == (expected and Stray(root, other, kept))


@pytest.mark.parametrize(
    ("now", "expected"),
    [({"driver": "overlay2"}, False), ({"driver": "overlayfs", "containerd": True}, True), ({}, False)],
)
def test_a_container_is_unknown_to_an_engine_whose_image_store_was_changed(now, expected, container, tmp_path):
    required = Requirements("eduhub", [Port("edge_port", "127.0.0.1", container("eduhub"))])
    root = str(tmp_path / "old")
    (listener,) = sockets.taken(required, Engine("29.1.0", root, root, **now))
    assert listener.stray == (Stray(root, root, True, "overlay2", True) if expected else None)


def test_a_process_that_ends_while_it_is_looked_at_is_passed_over(monkeypatch):
    scandir, ended = os.scandir, Path("/proc", str(os.getpid()), "fd")

    def listed(path):
        if Path(path) == ended:
            raise FileNotFoundError(path)
        return scandir(path)

    with socket.create_server(("127.0.0.1", 0)) as held:
        inode = os.fstat(held.fileno()).st_ino
        assert sockets.holders({inode}) == {inode: os.getpid()}
        monkeypatch.setattr(os, "scandir", listed)
        assert sockets.holders({inode}) == {}


def test_several_addresses_are_each_looked_at_and_are_no_conflict_with_each_other():
    asked = host_readiness.requirements(
        {"stack": "eduhub", "disk_mb": {}, "plone": None, "certificates": [], "acme": None, "names": [],
         "calendars": [], "ports": [{"variable": "edge_port", "address": f"{ANY}, [::]", "port": 80}]}
    )
    assert [port.address for port in asked.ports] == [ANY, "::"]
    assert said(FINE, asked) == []
    assert said(replace(FINE, listeners=[Listener("::1", 80, holder="nginx, pid 12")]), asked) == [
        "Port 80 is in use by nginx, pid 12: stop it, or set edge_port to another port."
    ]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        (ANY, "10.1.2.3", True),
        ("10.1.2.3", "::", True),
        ("10.1.2.3", "127.0.0.1", False),
    ],
)
def test_sockets_clash_on_one_address_or_when_one_takes_all(one, other, clash):
    assert overlap(Port("edge_port", one, 80), Listener(other, 80)) is clash


def test_only_listening_sockets_are_read_from_the_kernels_tables():
    assert sockets.listeners(TCP) == [Listener("127.0.0.1", 8080, 4242)]
    assert sockets.listeners(TCP6) == [Listener("::", 80, 7), Listener("127.0.0.1", 81, 8)]


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', ("Debian GNU/Linux 12 (bookworm)", True)),
        ('ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 24.04"\n', ("Ubuntu 24.04", True)),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9"\n', ("Rocky Linux 9", False)),
        ("", ("", False)),
    ],
)
def test_an_engine_can_be_installed_where_debian_packages_are(os_release, expected):
    assert installable(os_release) == expected


def test_played_by_ansible_it_names_who_holds_a_port_and_which_disk_is_full():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = played(
            "host_readiness", stack="eduhub-absent", disk_mb={"/var/lib/eduhub-absent": 10**9}, engine_required=False,
            ports=[{"variable": "edge_port", "address": "127.0.0.1", "port": port}],
        )  # fmt: skip
    assert (answer["exit"], answer["changed"], answer["deployed"]) == (2, False, False)
    assert {"port_taken", "disk_short"} <= {finding["code"] for finding in answer["findings"]}
    assert f"Port {port} is in use by" in answer["message"]
    assert {"engine", "systemd", "python_requests", "stale_pid_files"} <= set(answer)


@pytest.mark.parametrize(("name", "left"), [("dockerd", False), ("bash", True), ("", True)])
def test_a_pid_file_is_stale_when_its_process_is_another_program(name, left, monkeypatch):
    path = "/var/run/docker.pid"
    monkeypatch.setattr(observe, "PID_FILES", {path: "dockerd"})
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(observe, "read", lambda asked: {path: "77\n", "/proc/77/comm": f"{name}\n"}.get(asked, ""))
    monkeypatch.setattr(observe, "namespace", lambda _: "pid:[1]")
    assert observe.stale_pid_files() == ([path] if left else [])
    monkeypatch.setattr(observe, "namespace", lambda pid: f"pid:[{pid}]")  # an engine in a container of this host
    assert observe.stale_pid_files() == [path]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, Engine("28.2.2", "/var/lib/docker", "/var/lib/docker")),
        (
            {"DockerRootDir": "/srv/docker", "LiveRestoreEnabled": False, "SecurityOptions": ["name=seccomp"]},
            Engine("28.2.2", "/srv/docker", "/srv/docker", live_restore=False),
        ),
        (
            {"DockerRootDir": "/srv/1.1", "SecurityOptions": ["name=userns", "name=cgroupns"]},
            Engine("28.2.2", "/srv/1.1", "/srv/1.1", modes=frozenset({"userns"})),
        ),
        (
            {"DockerRootDir": "/var/snap/docker/common/var-lib-docker"},
            Engine("28.2.2", *["/var/snap/docker/common/var-lib-docker"] * 2, modes=frozenset({"snap"})),
        ),
        (  # engine 29 keeps images in the system's containerd, or in one of its own
            {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
            Engine("28.2.2", "/var/lib/docker", "/var/lib/containerd", driver="overlayfs", containerd=True),
        ),
        (
            {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
             "Containerd": {"Address": "/var/run/docker/containerd/containerd.sock"}},
            Engine("28.2.2", "/var/lib/docker", "/var/lib/docker/containerd/daemon", containerd=True),
        ),
    ],
)  # fmt: skip
def test_the_engine_says_where_it_keeps_its_images_and_how_it_runs(info, expected, monkeypatch):
    monkeypatch.setattr(engine, "read", lambda _: "")
    assert engine.answering({"ServerVersion": "28.2.2", **info}) == expected


def test_an_engine_that_does_not_answer_is_known_by_its_configuration():
    written = {"data-root": "/srv/docker", "userns-remap": "default"}
    assert engine.configured(written) == Engine(None, "/srv/docker", "/srv/docker", modes=frozenset({"userns"}))
    assert engine.configured({}) == Engine(None, "/var/lib/docker", "/var/lib/docker")


def test_space_is_measured_where_the_engine_keeps_its_images(tmp_path, monkeypatch):
    monkeypatch.setattr(observe, "engine", lambda: Engine("28.2.2", "/var/lib/docker", str(tmp_path)))
    monkeypatch.setattr(observe, "network", lambda _: None)
    (seen,) = observe.observe(Requirements("eduhub-absent", engine_disk_mb=4000)).file_systems
    assert (seen.paths, seen.needed_mb) == ([str(tmp_path)], 4000)


@pytest.mark.parametrize("mode", ["userns", "rootless", "snap"])
def test_an_engine_that_cannot_carry_the_stack_is_refused_with_what_to_do(mode):
    assert codes(replace(FINE, engine_modes=frozenset({mode}))) == ["engine_unsupported"]
    assert codes(Host(engine_modes=frozenset({mode})), Requirements("two", engine_required=False)) == [
        "engine_unsupported"
    ]
    assert "STACK" not in said(replace(FINE, engine_modes=frozenset({mode})))[0]


def test_a_file_system_without_inodes_is_full():
    full = FileSystem(["/var/lib/docker"], 900, 500, free_inodes=4999)
    assert said(replace(FINE, file_systems=[full]))[0] == (
        "/var/lib/docker needs 5000 files and has room for 4999 (df --inodes): "
        "remove some, or mount a file system with more inodes."
    )
    assert codes(replace(FINE, file_systems=[replace(full, free_inodes=None)])) == []


def test_an_engine_without_live_restore_is_a_note_that_stops_nothing():
    without = replace(FINE, live_restore=False)
    assert (said(without), notes(FINE, REQUIRED)) == ([], [])
    assert ["it stops all containers" in note for note in notes(without, REQUIRED)] == [True]
    assert notes(Host(live_restore=False), REQUIRED) == []
    assert host_readiness.result(without, REQUIRED)["notes"] == notes(without, REQUIRED)


@pytest.mark.parametrize(
    ("cgroup", "running"),
    [("0::/system.slice/docker-{id}.scope", True), ("0::/system.slice/nginx.service", False), ("", False)],
)
def test_containers_that_run_on_without_their_engine_are_the_stacks_own(cgroup, running, tmp_path, monkeypatch):
    for stack, pid in (("eduhub", 812), ("other", 813)):
        folder = tmp_path / "containers" / (stack.encode().hex().ljust(64, "0"))
        folder.mkdir(parents=True)
        record = {"State": {"Running": True, "Pid": pid}, "Config": {"Labels": {"org.eduhub.stack": stack}}}
        (folder / "config.v2.json").write_text(json.dumps(record))
    first = b"eduhub".hex().ljust(64, "0")
    real = programs.read
    monkeypatch.setattr(engine, "read", lambda path: cgroup.format(id=first) if "cgroup" in str(path) else real(path))
    assert list(engine.recorded_pids(str(tmp_path), "eduhub")) == ([812] if running else [])


NIGHTLY, WRONG = Calendar("plone_backup_at", "*-*-* 03:15"), Calendar("plone_backup_at", "every night")


@pytest.mark.parametrize(
    ("host", "asked", "found"),
    [
        ({}, NIGHTLY, []),
        ({"unknown_events": frozenset({"every night"})}, NIGHTLY, []),
        ({"unknown_events": frozenset({"every night"})}, WRONG, ["schedule_invalid"]),
        ({"systemd": False}, NIGHTLY, ["schedule_impossible"]),
    ],
)
def test_a_schedule_needs_systemd_and_a_calendar_event(host, asked, found):
    assert codes(replace(FINE, **host), replace(REQUIRED, calendars=[asked])) == found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_is_asked_what_an_event_means():
    assert (observe.known(NIGHTLY), observe.known(WRONG)) == (True, False)
    assert observe.known(Calendar("plone_backup_at", "--help")) is False
