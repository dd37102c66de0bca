"""Routes and subnets of a host: what Docker would take of them is known, and refused, before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from module_utils.host_readiness import engine, observe, subnets
from module_utils.host_readiness.findings import notes
from module_utils.host_readiness.model import Host, Network, Pool, Requirements, Route
from module_utils.host_readiness.routes import routes, way_out_mtu
from module_utils.host_readiness.upstream import Upstream
from tests.unit.ansible.library.hosts import FINE, TCP, codes, said

# Lines of /proc/net/route: interface, destination, gateway, flags, counts, metric, mask, MTU, window, IRTT.
ROUTES = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth1\t00081EAC\t010011AC\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
br-0123456789ab\t00001EAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_the_kernels_routes_are_read():
    known = list(routes(ROUTES))
    assert [route.destination for route in known] == ["0.0.0.0/0", "172.17.0.0/16", "172.30.8.0/24", "172.30.0.0/16"]
    assert [route.connected for route in known] == [False, True, False, True]
    rejects = ROUTES + "*\t0000000A\t00000000\t0200\t0\t0\t0\t000000FF\t0\t0\t0\n"
    assert list(routes(rejects))[-1] == Route("10.0.0.0/8", "*")
    assert way_out_mtu([Route("0.0.0.0/0", "lo")]) == int(Path("/sys/class/net/lo/mtu").read_text())
    assert way_out_mtu([]) == 1500


def test_a_subnet_that_hides_a_route_is_refused_before_and_noted_once_it_serves():
    asked = Requirements("eduhub", network="eduhub", subnet="172.30.8.0/23")
    host = replace(FINE, routes=list(routes(ROUTES))[:3])
    assert said(host, asked)[0] == (
        "The subnet 172.30.8.0/23 of the network eduhub hides the host's route to 172.30.8.0/24 through eth1: "
        "set docker_host_subnet to a subnet that nothing on the host's networks uses."
    )
    assert said(host, replace(asked, subnet="10.9.0.0/16")) == []
    made = replace(FINE, network=Network(("172.30.0.0/16",), 0, "br-0123456789ab"), routes=list(routes(ROUTES)))
    anything = replace(asked, subnet="")
    assert codes(made, anything) == ["subnet_routed"]
    served = replace(made, deployed=True)
    assert (said(served, anything), len(notes(served, anything))) == ([], 1)


@pytest.mark.parametrize(
    ("subnet", "route", "refused"),
    [
        ("10.199.7.0/24", Route("10.0.0.0/8", "eth1"), False), ("10.199.7.0/24", Route("10.0.0.0/8", "*"), False),
        ("10.199.7.0/24", Route("10.0.0.0/8", "eth1", connected=True), True),
        ("10.199.7.0/24", Route("10.199.7.0/24", "eth1"), True),
        ("10.199.7.0/24", Route("10.199.7.64/26", "eth1"), True), ("", Route("10.0.0.0/8", "eth1"), True),
    ],
)  # fmt: skip
def test_a_subnet_that_the_inventory_names_wins_over_wider_routes_and_the_engines_choice_does_not(
    subnet, route, refused
):
    made = Network(("10.199.7.0/24",), 0, "br-1")
    host = replace(FINE, routes=[Route("0.0.0.0/0", "eth0"), route], network=None if subnet else made)
    asked = Requirements("eduhub", network="eduhub", subnet=subnet)
    assert codes(host, asked) == ["subnet_routed"] * refused
    assert ["is a part of 10.0.0.0/8" in note for note in notes(host, asked)] == [True] * (not refused)
    assert codes(replace(host, network=made), asked) == ["subnet_routed"] * refused


BARE = Host(distribution="Debian GNU/Linux 12 (bookworm)", routes=[Route("0.0.0.0/0", "eth0")])
FIRST = Requirements("eduhub", network="eduhub", engine_required=False)


@pytest.mark.parametrize(
    ("host", "subnet", "taken"),
    [
        (replace(BARE, partners=[("172.17.4.4", "a name server")]), "", ["172.18.0.0/16", "172.19.0.0/16"]),
        (BARE, "", ["172.17.0.0/16", "172.18.0.0/16"]), (BARE, "10.9.0.0/24", ["172.17.0.0/16", "10.9.0.0/24"]),
        (replace(BARE, bip="10.8.0.0/24"), "", ["10.8.0.0/24", "172.17.0.0/16"]),
        (replace(BARE, routes=[Route("172.17.4.0/24", "eth0", True)]), "", ["172.18.0.0/16", "172.19.0.0/16"]),
        (replace(BARE, engine="26.1", routes=[Route("172.17.0.0/16", "docker0", True)]), "", ["172.18.0.0/16"]),
        (replace(BARE, pools=(Pool("10.7.0.0/16", 24),)), "", ["10.7.0.0/24", "10.7.1.0/24"]),
        (replace(BARE, engine="26.1", network=Network(("172.18.0.0/16",), 0, "br-1")), "", []),
    ],
)  # fmt: skip
def test_the_subnets_that_docker_is_about_to_take_are_known_before(host, subnet, taken):
    assert [each for _, each in subnets.about_to_be_taken(host, replace(FIRST, subnet=subnet))] == taken


def test_a_subnet_with_an_address_that_the_host_talks_to_is_refused():
    host = replace(BARE, partners=[("172.17.3.4", "a connection"), ("172.18.0.53", "Plone's")])
    docker0, own = said(host, FIRST)
    assert docker0 == (
        "The network docker0 would take 172.17.0.0/16, and with it 172.17.3.4, which the host talks to (a connection): "
        'set "bip" in /etc/docker/daemon.json to an address in a subnet that nothing there uses.'
    )
    assert own == (
        "The network eduhub would take 172.18.0.0/16, and with it 172.18.0.53, which the host talks to (Plone's): "
        "set docker_host_subnet to a subnet that nothing on the host's networks uses."
    )
    assert codes(replace(host, bip="10.8.0.0/24"), replace(FIRST, subnet="10.9.0.0/24")) == []
    assert codes(replace(host, deployed=True), FIRST) == []


def test_whom_the_host_talks_to_is_read_from_the_kernel_and_its_resolver(monkeypatch):
    peer = "   2: 050011AC:0016 040311AC:9C40 01 0:0 00:0 0 0 0 9 1 0\n"
    files = {"/proc/net/tcp": TCP + peer, "/etc/resolv.conf": "# none\nnameserver 172.18.0.53\nnameserver ::1\n"}
    monkeypatch.setattr(observe, "read", lambda path: files.get(path, ""))
    found = list(observe.partners(Upstream("http://172.19.0.7:8080/Plone")))
    assert [address for address, _ in found] == ["172.17.3.4", "172.18.0.53", "172.19.0.7"]


def test_daemon_json_names_the_pools_of_the_engine():
    assert subnets.pools({"default-address-pools": [{"base": "10.7.0.0/16", "size": 24}]}) == (Pool("10.7.0.0/16", 24),)
    for wrong in ({}, {"default-address-pools": [{"base": "10.7.0.0/16"}]}, {"default-address-pools": 7}):
        assert subnets.pools(wrong) == subnets.POOLS
    assert [subnets.bip({"bip": each}) for each in ("10.8.0.1/24", "none")] == ["10.8.0.0/24", ""]


@pytest.mark.parametrize(
    ("subnet", "mtu", "found"),
    [("", 0, 0), ("10.9.0.0/24", 1450, 0), ("10.9.0.0/24", 0, 0), ("10.8.0.0/24", 0, 1), ("", 1500, 1)],
)
def test_a_network_that_exists_is_kept_or_refused_never_replaced(subnet, mtu, found):
    host = replace(FINE, network=Network(("10.9.0.0/24",), 1450, "br-1"))
    asked = Requirements("eduhub", network="eduhub", subnet=subnet, mtu=mtu)
    assert codes(host, asked) == ["network_differs"] * found


def test_a_network_is_known_by_what_the_engine_says_of_it():
    found = {"Id": "0123456789abcdef", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}, "Options": {engine.MTU: "1450"}}
    assert engine.described(found) == Network(("10.9.0.0/24",), 1450, "br-0123456789ab")
