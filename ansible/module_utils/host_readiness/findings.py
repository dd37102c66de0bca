"""Judges a host: every finding that stops a deployment, at once. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .model import (
    Calendar,
    FileSystem,
    Firewall,
    ForeignContainer,
    Host,
    Listener,
    Port,
    Prune,
    Requirements,
    Route,
    Stray,
)
from .subnets import DOCKER0, about_to_be_taken
from .upstream import EXPIRED, WRONG_NAMES, Answer, Certificate, Upstream, wrong_address

OLDEST_ENGINE = (20, 10)
# Beyond this, release ids and the journals of two hosts are out of order, and tokens expire at the wrong time.
CLOCK_SECONDS = 60
ETHERNET_MTU = 1500
# Files that images and state take up for each MB that is asked for. The images of a first deployment, for which
# docker_host_image_disk_mb asks 4000 MB, hold 36,600 files and directories.
INODES_FOR_MB = 10
# Ways of running the engine that the stack cannot use: why, and what to do.
MODES = {
    "userns": (
        "The Docker Engine runs with userns-remap, and the edge shares the host's network",
        'remove "userns-remap" from /etc/docker/daemon.json and restart Docker, or use another host',
    ),
    "rootless": (
        "The Docker Engine is rootless, and the stack shares ids and network of the host",
        "install Docker Engine 20.10 or newer as a system service",
    ),
    "snap": (
        "The Docker Engine is the snap, which does not see /etc/STACK and /var/lib/STACK",
        "remove it with `snap remove docker`; ./invoke deploy then installs the distribution's docker.io",
    ),
}
CODES = {
    "not_root": "The connection to the host is not root.",
    "directory_foreign": "A directory or certificate of the stack's name is another program's.",
    "container_foreign": "A container of the stack's name is another program's.",
    "engine_not_installable": "No Docker Engine answers, and the distribution has no package of it.",
    "engine_missing": "No Docker Engine answers.",
    "engine_stopped": "A Docker Engine is installed, and does not answer.",
    "engine_not_startable": "What is installed of a Docker Engine cannot be started, and Debian's would replace it.",
    "engine_too_old": "The Docker Engine is older than 20.10.",
    "python_incomplete": "The host's Python lacks the library requests, and no package brings it.",
    "engine_unsupported": "The Docker Engine runs with userns-remap, without root, or as a snap.",
    "network_differs": "The stack's network exists with another subnet or MTU than the inventory names.",
    "subnet_routed": "The subnet of the stack's network holds addresses that the host has a route to.",
    "subnet_used": "A subnet that Docker is about to take holds an address that the host talks to.",
    "address_foreign": "A listening address does not belong to the host.",
    "port_conflict": "Two settings name the same port.",
    "port_taken": "A port is in use by another program.",
    "containers_unknown": "Containers of the stack run on, and the Docker Engine does not know them.",
    "disk_short": "A file system has too little free space.",
    "inodes_short": "A file system has room for too few files.",
    "memory_short": "Too little memory is available.",
    "clock_skewed": "The clocks of host and control machine differ.",
    "prune_scheduled": "A scheduled job removes images or volumes.",
    "site_unnamed": "edge_hosts is not set, and the site has a name of its own.",
    "certificate_unusable": "The files of a TLS certificate cannot be used.",
    "certificate_expired": "A TLS certificate is not valid now.",
    "certificate_foreign": "No TLS certificate covers a name of the site.",
    "acme_unusable": "The settings for an ACME server do not fit together.",
    "plone_address_unusable": "No bridge can stand before the address in plone_url.",
    "plone_ca_unusable": "plone_ca_file holds no certificate that can be read.",
    "plone_untrusted": "The certificate of an institution's own Plone is not trusted.",
    "plone_unreachable": "An institution's own Plone does not answer.",
    "plone_site_missing": "Plone answers, but not as a site does.",
    "schedule_impossible": "The host is to do something on a schedule, and systemd does not run it.",
    "schedule_invalid": "A schedule is no calendar event of systemd.",
}


@dataclass(frozen=True)
class Finding:
    """Something that stops a deployment. `code` is one of CODES and stable; `what` and `remedy` are for people."""

    code: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}."


def findings(host: Host, required: Requirements) -> list[Finding]:
    """Return everything that stops a deployment on `host`, in the order in which it would be met."""
    return [
        *about_root(host),
        *about_directories(host, required.stack),
        *about_containers(host.foreign_containers),
        *about_engine(host, required),
        *about_python(host),
        *about_modes(host.engine_modes, required.stack),
        *about_network(host, required),
        *dict.fromkeys(about_ports(host, required.ports)),  # one port may be on several addresses
        *about_disk(host.file_systems),
        # A deployed stack already uses its memory; the pilot's preflight knows what the next release needs.
        *(() if host.deployed else about_memory(host.memory_mb, required.memory_mb)),
        *about_clock(host.clock_offset),
        *about_prunes(host.prunes),
        *about_names(required),
        *about_certificates(host, required.names),
        *about_acme(host, required),
        *about_plone(host.plone, required.plone),
        *about_calendars(host, required.calendars),
    ]


def notes(host: Host, required: Requirements) -> list[str]:
    """Return what an operator should know of `host` that stops nothing."""
    running = host.engine is not None
    return [
        *([] if host.live_restore or not running else [WITHOUT_LIVE_RESTORE]),
        *(str(finding) for finding in about_routes(host, required) if host.deployed),
        *(() if host.deployed else about_wider(host, required)),
        *about_firewall(host.firewall),
        *about_identities(host.identities),
    ]


# What a person with one of the stack's numbers has of it.
HELD = {
    500: "Plone's backups and the passwords of Plone and of the repository of copies",
    10001: "the bridge's jobs and the key that seals their credentials",
    10002: "the private keys of TLS certificates and HAProxy's admin socket",
}


def about_identities(named: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Yield who has one of the numbers that the stack's containers run as: to the kernel that is the same user."""
    for number, name in named:
        yield (
            f"{name[0].upper()}{name[1:]} has the id {number}, which the stack's containers use: on this host, it can "
            f"read {HELD[number]}. Give it another id, or let it not sign in here."
        )


def about_firewall(seen: Firewall) -> Iterator[str]:
    """Yield what keeps packets of the containers from leaving the host, or from one another."""
    for chain in seen.drops:
        yield (
            f"The firewall's {chain} drops what no rule accepts, and no rule there names an interface of Docker. If "
            f"slots do not reach Plone, accept there what comes in by {seen.interface or 'br-*'} and goes out to it "
            '(`iifname "br-*" accept` and `oifname "br-*" accept`), also in the file that the firewall starts with.'
        )
    if seen.forgotten:
        yield (
            "The firewall has none of the Docker Engine's rules, as after `nft flush ruleset` or a restart of "
            "nftables.service: containers do not reach other machines. Run `systemctl restart docker`, and take `flush "
            "ruleset` out of the firewall's file."
        )


WITHOUT_LIVE_RESTORE = (
    "The Docker Engine runs without live-restore: whenever it restarts, as an update of its package does, it stops all"
    ' containers, and the site is down until they are up again. Set "live-restore": true in /etc/docker/daemon.json and'
    " run `systemctl reload docker`, which stops nothing."
)


def about_calendars(host: Host, calendars: Iterable[Calendar]) -> Iterator[Finding]:
    for each in calendars:
        if not host.systemd:
            yield Finding(
                "schedule_impossible",
                f"{each.variable} is {each.event!r}, and systemd does not run this host",
                f"take {each.variable} out of the inventory, and let a scheduler of yours type the command",
            )
        elif each.event in host.unknown_events:
            yield Finding(
                "schedule_invalid",
                f"{each.variable} is {each.event!r}, which systemd does not understand",
                "give a calendar event such as *-*-* 03:15; `systemd-analyze calendar` shows what one means",
            )


def about_root(host: Host) -> Iterator[Finding]:
    if not host.root:
        yield Finding(
            "not_root", "The connection is not root", "run as root, or set ansible_become: true in the inventory"
        )


def about_directories(host: Host, stack: str) -> Iterator[Finding]:
    """Yield what has the stack's name and is not the stack's, which a deployment would take and a removal remove."""
    for each in host.foreign_directories:
        why = f"holds {each.held}" if each.held else f"belongs to the user {each.owner}"
        yield Finding(
            "directory_foreign",
            f"{each.path} {why}, which is not the stack's",
            "set eduhub_stack to a name that no other program has, or move the directory away",
        )
    if host.foreign_renewal:
        yield Finding(
            "directory_foreign",
            f"{host.foreign_renewal} renews a certificate called {stack} that is not the stack's",
            "set eduhub_stack to another name, or remove that certificate with certbot delete",
        )


def about_containers(foreign: Iterable[ForeignContainer]) -> Iterator[Finding]:
    """Yield containers that a deployment would replace, and a removal remove, although they are not the stack's."""
    for each in foreign:
        owner = f" of the Compose project {each.project}" if each.project else ""
        yield Finding(
            "container_foreign",
            f"The container {each.name}{owner} runs the image {each.image}, and is not the stack's",
            "set eduhub_stack to a name that no other program has, or rename the container "
            f"(docker rename {each.name} NAME)",
        )


def about_engine(host: Host, required: Requirements) -> Iterator[Finding]:
    there = host.installed
    if host.engine is None and there.engine and not there.lacking:
        yield from about_silence(host, required)
    elif host.engine is None and there.foreign:
        if "snap" not in host.engine_modes:  # a finding of its own
            beside = " and ".join(there.foreign)
            yield Finding(
                "engine_not_startable",
                f"No Docker Engine is installed, and Debian's docker.io does not fit beside {beside}",
                "install the engine that belongs to it, or remove it",
            )
    elif host.engine is None and not host.installable:
        name = host.distribution or "this distribution"
        yield Finding(
            "engine_not_installable",
            f"No Docker Engine answers, and {name} has no package docker.io",
            "install Docker Engine 20.10 or newer",
        )
    elif host.engine is None and required.engine_required:
        yield Finding("engine_missing", "No Docker Engine answers", "./invoke deploy installs and starts it")
    elif host.engine and version(host.engine) < OLDEST_ENGINE:
        yield Finding("engine_too_old", f"The Docker Engine is {host.engine}", "upgrade it to 20.10 or newer")


def about_silence(host: Host, required: Requirements) -> Iterator[Finding]:
    """Yield what is to be done with an engine that is installed and does not answer. It is never replaced."""
    there = host.installed
    what = f"The Docker Engine does not answer; {there.engine} is installed"
    if there.unit == "masked":
        yield Finding("engine_not_startable", f"{what}, and docker.service is masked", "run `systemctl unmask docker`")
    elif there.unit != "loaded" and (host.systemd or not there.daemon):
        why = "systemd has no docker.service" if host.systemd else "there is no dockerd"
        yield Finding("engine_not_startable", f"{what}, and {why}", "start it, and let it start with the host")
    elif required.engine_required:
        yield Finding("engine_stopped", what, "./invoke deploy starts it, or says why it does not start")


def about_python(host: Host) -> Iterator[Finding]:
    if host.lacking_python:
        yield Finding(
            "python_incomplete",
            f"{host.lacking_python}, which Ansible runs on the host, lacks the library requests",
            "install it there, or set ansible_python_interpreter to /usr/bin/python3",
        )


def about_modes(modes: Iterable[str], stack: str) -> Iterator[Finding]:
    for mode in sorted(modes):
        what, remedy = (text.replace("STACK", stack) for text in MODES[mode])
        yield Finding("engine_unsupported", what, remedy)


def about_network(host: Host, required: Requirements) -> Iterator[Finding]:
    """Yield what keeps the stack's network from being made, or one that exists from being used. None is replaced."""
    there = host.network
    wrong = []
    if there and required.subnet and required.subnet not in there.subnets:
        wrong.append(("docker_host_subnet", " and ".join(there.subnets) or "no subnet", required.subnet))
    if there and required.mtu and required.mtu != (there.mtu or ETHERNET_MTU):
        wrong.append(("docker_host_mtu", f"MTU {there.mtu or ETHERNET_MTU}", f"{required.mtu}"))
    for variable, has, wanted in wrong:
        yield Finding(
            "network_differs",
            f"The network {required.network} exists with {has}, and {variable} is {wanted}",
            f"take {variable} out of the inventory, or remove the network (./invoke destroy where the stack uses it, "
            f"else docker network rm {required.network})",
        )
    if not host.deployed:  # what is deployed serves, and is told of it by a note
        yield from about_routes(host, required)
        yield from about_partners(host, required)


def about_partners(host: Host, required: Requirements) -> Iterator[Finding]:
    """Yield subnets whose addresses would be the engine's own: answers to them would not leave the host any more."""
    for name, subnet in about_to_be_taken(host, required):
        held = ipaddress.ip_network(subnet, strict=False) if subnet else None
        for address, what in dict(host.partners).items() if held else ():
            if held and ipaddress.ip_address(address) in held:
                remedy = "set docker_host_subnet to a subnet that nothing on the host's networks uses"
                if name == DOCKER0:
                    remedy = 'set "bip" in /etc/docker/daemon.json to an address in a subnet that nothing there uses'
                yield Finding(
                    "subnet_used",
                    f"The network {name} would take {held}, and with it {address}, which the host talks to ({what})",
                    remedy,
                )
                break


def about_routes(host: Host, required: Requirements) -> Iterator[Finding]:
    subnets = host.network.subnets if host.network else (required.subnet,) if required.subnet else ()
    own = host.network.interface if host.network else ""
    for subnet in subnets:
        explicit = subnet == required.subnet
        for route in hidden(subnet, host.routes, own):
            if explicit and wider(route, subnet):
                continue  # a note
            yield Finding(
                "subnet_routed",
                f"The subnet {subnet} of the network {required.network} hides the host's route to {route.destination} "
                f"through {route.interface}",
                "set docker_host_subnet to a subnet that nothing on the host's networks uses",
            )


def hidden(subnet: str, routes: Iterable[Route], own: str) -> list[Route]:
    """Return the routes whose destination overlaps `subnet`, but for the default and those of the interface `own`."""
    wide = ipaddress.ip_network(subnet, strict=False)
    found = ((route, ipaddress.ip_network(route.destination)) for route in routes if route.interface != own)
    return [route for route, to in found if to.prefixlen and to.version == wide.version and to.overlaps(wide)]


def wider(route: Route, subnet: str) -> bool:
    """Whether a route leads through a gateway, or nowhere, and to more than `subnet`.

    Such as 10.0.0.0/8 through the interface of a campus: it is made for whatever is elsewhere there, and says nothing
    of a subnet that the institution gave to the host.
    """
    to = ipaddress.ip_network(route.destination)
    return not route.connected and to.prefixlen < ipaddress.ip_network(subnet, strict=False).prefixlen


def about_wider(host: Host, required: Requirements) -> Iterator[str]:
    """Yield what a subnet that the inventory names takes from a wider route."""
    own = host.network.interface if host.network else ""
    for route in hidden(required.subnet, host.routes, own) if required.subnet else ():
        if wider(route, required.subnet):
            yield (
                f"{required.subnet}, which docker_host_subnet names, is a part of {route.destination}, which the host "
                f"has a route to through {route.interface}: the containers have these addresses from now on, and "
                "nothing elsewhere may have them."
            )


def about_ports(host: Host, ports: Iterable[Port]) -> Iterator[Finding]:
    earlier: list[Port] = []
    # With userns-remap the engine has a data-root of its own below the other, and a finding that says how to end that.
    remapped = "userns" in host.engine_modes
    others = [each for each in host.listeners if not each.own and not (each.stray and remapped)]
    for port in ports:
        another = f"set {port.variable} to another port"
        if port.address in host.foreign_addresses:
            yield Finding(
                "address_foreign",
                f"{port.address} is not an address of this host",
                f"set {port.variable.replace('_port', '_address')} to one of its addresses",
            )
        if twin := next((other for other in earlier if other.variable != port.variable and overlap(port, other)), None):
            yield Finding("port_conflict", f"{port.variable} and {twin.variable} are both {port.port}", another)
        elif taken := next((each for each in others if overlap(port, each)), None):
            in_use = f"Port {port.port} is in use by {taken.holder}"
            yield unknown(taken.stray) if taken.stray else Finding("port_taken", in_use, f"stop it, or {another}")
        earlier.append(port)


# The storage driver that only an engine has that keeps its images in containerd.
CONTAINERDS = "overlayfs"


def unknown(stray: Stray) -> Finding:
    """Return the finding for a container of the stack that the engine does not know: the same for each of its ports."""
    if stray.driver:
        why = f"they were started with another image store, of the storage driver {stray.driver}"
        option = '"storage-driver": "%s"' % stray.driver
        if stray.containerd or stray.driver == CONTAINERDS:
            option = '"features": {"containerd-snapshotter": %s}' % ("false" if stray.containerd else "true")
        remedy = (
            f'stop nothing; set {option} in /etc/docker/daemon.json, with "live-restore": true, run '
            "`systemctl restart docker`, and look with ./invoke verify"
        )
    elif stray.kept:
        why = f"they were started with the data-root {stray.root}, and it is {stray.now} now"
        remedy = (
            f'stop nothing; set "data-root" to {stray.root} in /etc/docker/daemon.json, with "live-restore": true, and '
            "run `systemctl restart docker`. To move a data-root, copy it while engine and containers are stopped"
        )
    else:
        why = f"their data-root {stray.root} was removed, or another disk is mounted there"
        remedy = (
            "stop nothing; bring it back and run `systemctl restart docker`. If it is lost, restart the host and run "
            "./invoke deploy; the site is down until that has ended"
        )
    what = f"The stack's containers run on, and the Docker Engine does not know them ({why})"
    return Finding("containers_unknown", what, remedy)


def about_disk(file_systems: Iterable[FileSystem]) -> Iterator[Finding]:
    for each in file_systems:
        paths = " and ".join(each.paths)
        needs, has = ("needs", "has") if len(each.paths) == 1 else ("need", "have")
        if each.free_mb < each.needed_mb:
            yield Finding(
                "disk_short",
                f"{paths} {needs} {each.needed_mb} MB and {has} {each.free_mb} MB free",
                # Each rebuild leaves the images from before it without a name. What a rollback needs has one.
                "free some space (docker image prune --force removes replaced images), or mount a larger disk",
            )
        elif each.free_inodes is not None and each.free_inodes < (files := each.needed_mb * INODES_FOR_MB):
            yield Finding(
                "inodes_short",
                f"{paths} {needs} {files} files and {has} room for {each.free_inodes} (df --inodes)",
                "remove some, or mount a file system with more inodes",
            )


def about_memory(available_mb: int, needed_mb: int) -> Iterator[Finding]:
    if available_mb < needed_mb:
        yield Finding(
            "memory_short",
            f"{available_mb} MB of memory are available, {needed_mb} MB needed",
            "stop other programs, or add memory",
        )


def about_clock(offset: float) -> Iterator[Finding]:
    if abs(offset) > CLOCK_SECONDS:
        direction = "ahead of" if offset > 0 else "behind"
        yield Finding(
            "clock_skewed",
            f"The clock is {abs(offset):.0f} s {direction} the control machine's",
            "correct the wrong one with timedatectl set-ntp true",
        )


def about_prunes(prunes: Iterable[Prune]) -> Iterator[Finding]:
    for each in prunes:
        yield Finding(
            "prune_scheduled",
            f"{each.path}:{each.line} runs `{each.command}`, which can remove the rollback target",
            "remove --all, --volumes and volume prune from it, or remove the job",
        )


def about_plone(answer: Answer | None, plone: Upstream | None) -> Iterator[Finding]:
    if plone is None:
        return
    if wrong := wrong_address(plone.url):
        what, _, remedy = wrong.partition("; ")  # the value is not repeated: it may hold a password
        yield Finding("plone_address_unusable", f"plone_url {what}", remedy)
    elif answer is None:
        yield Finding(
            "plone_ca_unusable", "plone_ca_file holds no certificate that can be read",
            "give the certificate of the authority that signed Plone's, in PEM",
        )  # fmt: skip
    elif answer.certificate:
        yield untrusted(plone, answer.certificate)
    elif answer.status is None or answer.status >= 500:
        told = answer.trouble or f"answered {answer.status}"
        yield Finding("plone_unreachable", f"Plone at {plone.url} {told}", "start it, or correct plone_url")
    elif plone.page and answer.status != 200:
        yield Finding(
            "plone_site_missing",
            f"Plone at {plone.url} answered {answer.status} on {plone.path}, where a site answers 200",
            "correct the site's id at the end of plone_url, or set EDUHUB_READY_PATH in bridge_environment",
        )


def untrusted(plone: Upstream, certificate: Certificate) -> Finding:
    """Return the finding for a certificate, with the names that it holds and what would make it trusted."""
    held = f", subject {certificate.subject}, issuer {certificate.issuer}" if certificate.subject else ""
    if certificate.number in WRONG_NAMES:
        remedy = "set plone_url to a name that the certificate holds, or renew it with that name"
    elif certificate.number == EXPIRED:
        remedy = "renew it"
    elif plone.ca:
        remedy = "put the certificate of the authority that signed it into plone_ca_file"
    else:
        remedy = "set plone_ca_file to the certificate of the authority that signed it"
    what = f"The certificate of Plone at {plone.url} is not trusted ({certificate.reason}{held})"
    return Finding("plone_untrusted", what, remedy)


def about_names(required: Requirements) -> Iterator[Finding]:
    # Every request through a proxy would be answered 421, and an authority is asked for a certificate of these names.
    if required.need_names and not required.names:
        yield Finding(
            "site_unnamed", f"{required.need_names[0]} is set and edge_hosts is not",
            "name the site in edge_hosts as visitors do, such as hub.example.edu",
        )  # fmt: skip


def about_certificates(host: Host, names: Iterable[str]) -> Iterator[Finding]:
    again = "give the right files in edge_tls_certificates"
    for each in host.certificates:
        path = each.files.certificate
        if each.trouble:
            remedy = "put it first" if each.disordered else again
            yield Finding("certificate_unusable", each.trouble[0].upper() + each.trouble[1:], remedy)
        elif each.ends is not None and each.ends <= host.now:
            yield Finding("certificate_expired", f"{path} expired at {each.until}", "renew it, or " + again)
        elif each.begins is not None and each.begins > host.now:
            yield Finding("certificate_expired", f"{path} is not valid yet", "set the host's clock, or " + again)
    usable = [each for each in host.certificates if not each.trouble and each.names is not None]
    if not usable or len(usable) < len(host.certificates):
        return
    if not names:
        yield Finding(
            "site_unnamed", "edge_tls_certificates is set and edge_hosts is not",
            f"name the site in edge_hosts, such as {', '.join(usable[0].names or ('hub.example.edu',))}",
        )  # fmt: skip
    for name in names:
        if not any(covers(pattern, name) for each in usable for pattern in each.names or ()):
            held = ", ".join(dict.fromkeys(pattern for each in usable for pattern in each.names or ())) or "no name"
            yield Finding(
                "certificate_foreign", f"No certificate in edge_tls_certificates covers {name} (they cover {held})",
                "give one that does, or correct edge_hosts",
            )  # fmt: skip


def about_acme(host: Host, required: Requirements) -> Iterator[Finding]:
    acme = required.acme
    if acme is None:
        return
    if acme.files:
        yield Finding(
            "acme_unusable", "edge_acme_server and edge_tls_certificates are both set", "remove one of them"
        )  # fmt: skip
    if required.names and all(map(is_address, required.names)):
        yield Finding(
            "acme_unusable", f"An ACME server gives certificates for names, and edge_hosts has only "
            f"{', '.join(required.names)}", "name the site, such as hub.example.edu",
        )  # fmt: skip
    if bool(acme.key_id) != bool(acme.key_file):
        there, missing = ("id", "file") if acme.key_id else ("file", "id")
        yield Finding(
            "acme_unusable", f"edge_acme_eab_key_{there} is set and edge_acme_eab_key_{missing} is not",
            "set both, or neither",
        )  # fmt: skip
    elif not host.acme_key_readable:
        yield Finding(
            "acme_unusable", f"{acme.key_file} is missing or empty", "put the HMAC key into it, as the server gave it"
        )  # fmt: skip


def is_address(name: str) -> bool:
    """Whether a name of the site is an address, of IPv4 or in the brackets of IPv6."""
    return name.startswith("[") or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name) is not None


def canonical(text: str) -> str:
    """Return an IP address in its one short form, and any other text as it is; Python's ssl writes IPv6 in full."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text


def covers(pattern: str, name: str) -> bool:
    """Whether a certificate's name covers that of a site (RFC 6125): `*` stands for one whole label, the first."""
    bare = canonical(name.lower().rstrip(".").strip("[]"))
    return pattern == bare or (pattern.startswith("*.") and "." in bare and pattern[2:] == bare.split(".", 1)[1])


def overlap(one: Port | Listener, other: Port | Listener) -> bool:
    """Whether two sockets cannot both listen: same port, and same address or one of them any address."""
    wild = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return one.port == other.port and (one.address == other.address or bool(wild & {one.address, other.address}))


def version(text: str) -> tuple[int, ...]:
    """Return (20, 10) for "20.10.24+dfsg1"; () when there is no number."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def installable(os_release: str) -> tuple[str, bool]:
    """Return the distribution's name from the text of /etc/os-release, and whether Debian's docker.io fits it."""
    pairs = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    fields = {name: value.strip("\"'") for name, value in pairs.items()}
    names = {fields.get("ID", ""), *fields.get("ID_LIKE", "").split()}
    return fields.get("PRETTY_NAME", ""), "debian" in names
