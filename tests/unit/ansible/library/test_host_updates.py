"""What apt would update, whether a reboot is due, and what is asked before a host that is alone is rebooted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from library.host_updates import kernels
from module_utils.host_updates import Asked, Seen, judged, kept_back, newer_kernel, reboot_reasons, unfinished, updates

SIMULATED = """\
Reading package lists...
The following packages have been kept back:
  docker-ce docker-ce-cli
  nginx
The following packages will be upgraded:
  libssl3 openssl
Inst openssl [3.0.14-1~deb12u1] (3.0.15-1~deb12u1 Debian-Security:12/stable-security [amd64]) []
Inst linux-image-6.1.0-27-amd64 (6.1.115-1 Debian:12.8/stable, Debian-Security:12/stable-security [amd64])
Inst tzdata [2024a-0+deb12u1] (2024b-0+deb12u1 Debian:12.8/stable-updates [all])
Conf openssl (3.0.15-1~deb12u1 Debian-Security:12/stable-security [amd64])
"""
RUNNING, BUILT = "6.1.0-25-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)"
KERNELS = {"6.1.0-25-amd64": "6.1.106-3"}
SEEN = Seen("Debian GNU/Linux 12 (bookworm)", debian=True, updates=updates(SIMULATED), running=RUNNING, built=BUILT,
            kernels=KERNELS)  # fmt: skip
NOTHING = replace(SEEN, updates=[])
DUE = replace(NOTHING, asks=["dbus"])


def test_updates_are_read_from_what_apt_would_do():
    assert [(each.name, each.old, each.new, each.security) for each in updates(SIMULATED)] == [
        ("linux-image-6.1.0-27-amd64", None, "6.1.115-1", True),
        ("openssl", "3.0.14-1~deb12u1", "3.0.15-1~deb12u1", True),
        ("tzdata", "2024a-0+deb12u1", "2024b-0+deb12u1", False),
    ]
    assert kept_back(SIMULATED) == ["docker-ce", "docker-ce-cli", "nginx"]


LEFT = unfinished("openssl installed\nlibssl3:amd64 unpacked\nold config-files\ndocker.io half-configured\n")


def test_packages_that_an_update_left_in_the_middle_are_work_and_are_named():
    assert LEFT == {"libssl3:amd64": "unpacked", "docker.io": "half-configured"}
    answer = judged(replace(NOTHING, unfinished=LEFT), Asked())
    assert (answer["code"], answer["work"], answer["unfinished"]) == ("updates_found", True, sorted(LEFT))
    assert answer["message"] == (
        "No updates. Left in the middle by an earlier update, and finished first: docker.io (half-configured), "
        "libssl3:amd64 (unpacked)."
    )
    # What finishes them may ask for a reboot, or restart the engine, as an update may.
    last = replace(NOTHING, unfinished=LEFT, live_restore=False)
    assert judged(last, Asked(alone=True))["code"] == "consent_missing"
    assert "the update of docker.io restarts it" in judged(last, Asked("never", alone=True))["message"]


def test_only_kernels_that_are_installed_and_no_packages_that_name_them():
    listed = "linux-image-amd64 installed 6.1.115-1\nlinux-image-6.1.0-25-amd64 installed 6.1.106-3\n"
    assert kernels(f"{listed}linux-image-6.1.0-9-amd64 config-files 6.1.27-1\nlinux-image-x unknown \n") == KERNELS


@pytest.mark.parametrize(("running", "built", "installed", "told"), [
    (RUNNING, BUILT, KERNELS, None),
    (RUNNING, BUILT, {**KERNELS, "6.1.0-9-amd64": "6.1.27-1"}, None),
    (RUNNING, BUILT, {**KERNELS, "6.1.0-27-amd64": "6.1.115-1"}, "6.1.0-27-amd64 (6.1.115-1)"),
    (RUNNING, BUILT, {**KERNELS, "6.1.0-27-cloud-amd64": "6.1.115-1"}, None),
    (RUNNING, BUILT, {"6.1.0-25-amd64": "6.1.106-30"}, "6.1.0-25-amd64 (6.1.106-30)"),
    ("6.12.41+deb13-amd64", "#1 SMP Debian 6.12.41-1 (2025-08-12)",
     {"6.12.41+deb13-amd64": "6.12.41-1", "6.12.43+deb13-amd64": "6.12.43-1"}, "6.12.43+deb13-amd64 (6.12.43-1)"),
    ("6.18.44-fc", "#1 SMP", {}, None),
    ("custom", "", KERNELS, None),
])  # fmt: skip
def test_a_newer_kernel_of_the_same_flavour_is_seen(running, built, installed, told):
    assert newer_kernel(running, built, installed) == told


def test_a_reboot_is_due_where_a_package_asked_for_it():
    assert reboot_reasons(SEEN) == []
    assert reboot_reasons(DUE) == ["/run/reboot-required is there, for dbus"]
    assert reboot_reasons(replace(DUE, asks=[])) == ["/run/reboot-required is there"]


@pytest.mark.parametrize(("seen", "reboot", "work", "reboots"), [
    (NOTHING, "auto", False, False), (NOTHING, "always", True, True), (SEEN, "auto", True, False),
    (DUE, "auto", True, True), (DUE, "never", False, False),
])  # fmt: skip
def test_what_there_is_to_do(seen, reboot, work, reboots):
    answer = judged(seen, Asked(reboot))
    assert (answer["exit"], answer["work"], answer["reboots"], answer["patch"]["work"]) == (0, work, reboots, work)


@pytest.mark.parametrize(("seen", "asked", "code"), [
    (SEEN, Asked(alone=True), "consent_missing"), (DUE, Asked(alone=True), "consent_missing"),
    (NOTHING, Asked("always", alone=True), "consent_missing"), (SEEN, Asked(alone=True, agreed=True), "updates_found"),
    (SEEN, Asked("never", alone=True), "updates_found"), (NOTHING, Asked(alone=True), "updates_none"),
    (DUE, Asked(alone=False), "updates_found"), (SEEN, Asked(alone=True, check=True), "updates_found"),
])  # fmt: skip
def test_the_last_host_that_takes_traffic_is_rebooted_with_consent_alone(seen, asked, code):
    answer = judged(seen, asked)
    assert (answer["code"], answer["exit"]) == (code, 2 if code == "consent_missing" else 0)


def test_the_refusal_says_the_cost_and_how_to_agree_or_to_do_without():
    answer = judged(SEEN, Asked(alone=True))
    assert "No other host takes traffic: if these updates ask for a reboot" in answer["message"]
    assert answer["next"] == [["./invoke", "host.patch", "--yes"], ["./invoke", "host.patch", "--reboot", "never"]]
    (note,) = judged(SEEN, Asked(alone=True, check=True))["notes"]
    assert note.endswith("That takes --yes.")


def test_an_engine_without_live_restore_is_restarted_with_consent_alone():
    engine = replace(SEEN, updates=updates("Inst containerd [1.6.20] (1.6.24 Debian:12.8/stable [amd64])\n"))
    assert judged(engine, Asked("never", alone=True))["code"] == "updates_found"
    answer = judged(replace(engine, live_restore=False), Asked("never", alone=True))
    assert (answer["code"], "the update of containerd restarts it" in answer["message"]) == ("consent_missing", True)
    assert answer["next"] == [["./invoke", "host.patch", "--yes"]]


@pytest.mark.parametrize(("seen", "code", "told"), [
    (Seen("Ubuntu 24.04", debian=False), "not_debian", "Ubuntu 24.04"),
    (replace(SEEN, trouble="E: no Release file"), "updates_unknown", "E: no Release file"),
])  # fmt: skip
def test_a_host_that_cannot_be_updated_is_refused(seen, code, told):
    answer = judged(seen, Asked())
    assert (answer["code"], answer["exit"], told in answer["message"]) == (code, 2, True)


def test_a_check_names_every_package_and_a_run_the_first_ones():
    many = replace(SEEN, updates=[replace(SEEN.updates[0], name=f"p{number}") for number in range(20)])
    assert "and 8 more." in judged(many, Asked())["message"]
    assert "p19" in judged(many, Asked(check=True))["message"]
