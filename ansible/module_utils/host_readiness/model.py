"""What the stack requires of a host, and what was observed there. Sizes are in MB (10**6 bytes)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .upstream import Answer, Upstream

# What one of a host's `partners` may be: the engine takes no subnet that has it.
NAME_SERVER = "a name server"
# Packages that bring an engine, and packages that bring a part of one. All but docker-cli conflict with docker.io, or
# with what it depends on: apt would remove them for it.
ENGINES = ("docker-ce", "docker-ee", "docker-engine", "moby-engine", "lxc-docker", "docker.io")
PARTS = (
    "podman-docker", "docker-ce-cli", "docker-ee-cli", "moby-cli", "containerd.io", "moby-containerd", "moby-runc",
    "docker-cli",
)  # fmt: skip


@dataclass(frozen=True)
class Port:
    """A TCP port that the stack will listen on, and the variable that sets it."""

    variable: str
    address: str
    port: int


@dataclass(frozen=True)
class CertificateFiles:
    """Paths on the host: a certificate with its chain, and its key, both in PEM."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Certificate:
    """What the files of a certificate hold. `trouble`: why a server cannot use them, None when it can.

    `disordered`: they are the right files, in which the certificate is not the first. `names` in lower case;
    `begins` and `ends` in seconds since 1970, None where they could not be read.
    """

    files: CertificateFiles
    trouble: str | None = None
    disordered: bool = False
    names: tuple[str, ...] | None = None
    begins: float | None = None
    ends: float | None = None
    until: str = ""


@dataclass(frozen=True)
class Calendar:
    """When the host is to do something by itself: a calendar event of systemd, and the variable that sets it."""

    variable: str
    event: str


@dataclass(frozen=True)
class Acme:
    """What an ACME server is asked with. `files`: whether the edge also has certificates as files.

    `key_id` and `key_file`: the external account binding, "" for none.
    """

    files: bool
    key_id: str
    key_file: str


@dataclass(frozen=True)
class Requirements:
    """What the stack needs.

    `disk_mb`: free space below each path before the first deployment. `engine_disk_mb`: the same where the engine keeps
    its images. `next_disk_mb`: free space in each of these places once the stack is deployed, for one more release.
    `network`: the stack's network, "" for none; `subnet` and `mtu` are what it must have, "" and 0 for any.
    `controller_time`: the control machine's clock, in seconds since 1970; None skips the comparison. `plone`: the
    institution's own, None for ours.
    `certificates`: those of the edge, which have to cover `names`, the site's. `need_names`: variables that are set and
    need such names. `acme`: None where no ACME server is asked. `calendars`: what the host is to do by itself.
    """

    stack: str
    ports: list[Port] = field(default_factory=list)
    disk_mb: dict[str, int] = field(default_factory=dict)
    engine_disk_mb: int = 0
    next_disk_mb: int = 0
    memory_mb: int = 0
    engine_required: bool = True
    network: str = ""
    subnet: str = ""
    mtu: int = 0
    controller_time: float | None = None
    plone: Upstream | None = None
    certificates: list[CertificateFiles] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    need_names: list[str] = field(default_factory=list)
    acme: Acme | None = None
    calendars: list[Calendar] = field(default_factory=list)


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket.

    `holder` names its container or process; `own`: it belongs to the stack itself. `stray`: so it does, and the engine
    does not know the container.
    """

    address: str
    port: int
    inode: int = 0
    holder: str = "a program"
    own: bool = False
    stray: Stray | None = None


@dataclass(frozen=True)
class Stray:
    """A container of the stack that runs on, and that the engine does not know.

    `root`: data-root of the engine that started it. `now`: that of the engine. `kept`: whether its record is in `root`.
    `driver`: that of its file system, where the engine has its record and another driver. `containerd`: whether the
    engine keeps its images in containerd.
    """

    root: str
    now: str
    kept: bool
    driver: str = ""
    containerd: bool = False


@dataclass(frozen=True)
class FileSystem:
    """A file system: the required paths on it, its free space, and what the paths need together.

    `free_inodes`: how many files can still be made, None where the file system has no such limit.
    """

    paths: list[str]
    free_mb: int
    needed_mb: int
    free_inodes: int | None = None


@dataclass(frozen=True)
class Engine:
    """The Docker Engine.

    `version`: None while it does not answer. `root`: its data-root. `store`: where its images are. `modes`: ways of
    running that the stack cannot use: "userns", "rootless", "snap". `driver`: that of containers' file systems, empty
    where it is not known. `containerd`: whether its images are in containerd.
    """

    version: str | None
    root: str
    store: str
    live_restore: bool = True
    modes: frozenset[str] = frozenset()
    driver: str = ""
    containerd: bool = False

    def also(self, mode: str) -> Engine:
        """Return the same engine in one more mode."""
        return replace(self, modes=self.modes | {mode})


@dataclass(frozen=True)
class Installed:
    """What is installed of an engine, whether it answers or not.

    `packages`: versions of the packages in ENGINES and PARTS that are on the host, by name. `daemon`, `client`: paths
    of dockerd and docker, "" where there is none. `unit`: what systemd says of docker.service, as "loaded", "masked" or
    "not-found"; "" where it does not run the host. `imitated`: whether that docker is another program, as podman.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    daemon: str = ""
    client: str = ""
    unit: str = ""
    imitated: bool = False

    @property
    def engine(self) -> str:
        """Name the engine that is installed: its package with version, its daemon or its unit; "" for none."""
        named = [f"{name} {self.packages[name]}" for name in ENGINES if name in self.packages]
        return " and ".join(named) or self.daemon or ("docker.service" if self.unit in {"loaded", "masked"} else "")

    @property
    def foreign(self) -> list[str]:
        """Name what Debian's docker.io would replace, or stand beside: packages of others, programs of no package.

        Docker's client alone is none of them: it talks to any engine.
        """
        named = [f"{name} {each}" for name, each in self.packages.items() if name not in {"docker.io", "docker-cli"}]
        owned = self.packages.keys() & {"docker.io", "docker-cli"}
        programs = [path for path in (self.daemon, self.client if self.imitated else "") if path]
        return named or ([] if owned else programs)

    @property
    def lacking(self) -> bool:
        """Whether Debian's engine may be installed: none is there, or no more than a part of that very one."""
        debian = self.engine in {"", f"docker.io {self.packages.get('docker.io')}"}
        return debian and not self.foreign and not (self.daemon and self.client)


@dataclass(frozen=True)
class Foreign:
    """A directory of the stack's name that is another program's.

    `held`: one of the things in it that are not the stack's, "" for none. `owner`: its user id.
    """

    path: str
    held: str
    owner: int


@dataclass(frozen=True)
class ForeignContainer:
    """A container with a name of the stack's that is another program's. `project`: of Docker Compose, "" for none."""

    name: str
    image: str
    project: str = ""


@dataclass(frozen=True)
class Network:
    """A network of the engine. `mtu`: 0 where it was made without one. `interface`: its bridge on the host."""

    subnets: tuple[str, ...]
    mtu: int
    interface: str


@dataclass(frozen=True)
class Route:
    """A route of the host: where to, such as 10.1.0.0/16, and through which interface; "*" refuses what goes there.

    `connected`: whether the destination is a network that the host itself is in.
    """

    destination: str
    interface: str
    connected: bool = False


@dataclass(frozen=True)
class Firewall:
    """What nftables does to containers.

    `drops`: the chains that drop what is forwarded by their policy, and whose rules name nothing of Docker.
    `forgotten`: whether no rule at all is the engine's, although it writes some. `interface`: the stack's network's.
    """

    drops: tuple[str, ...] = ()
    forgotten: bool = False
    interface: str = ""


@dataclass(frozen=True)
class Pool:
    """Addresses from which the engine takes its networks: `size` is the length of each one's prefix."""

    base: str
    size: int


@dataclass(frozen=True)
class Prune:
    """A scheduled command that removes images or volumes from the engine."""

    path: str
    line: int
    command: str


@dataclass(frozen=True)
class Host:
    """What was observed.

    `engine`: version of the Docker Engine that answers, None when none does. `installed`: what is there of one,
    looked for while none answers. `engine_modes` and `live_restore`: see Engine. `network`: the stack's, None where
    there is none. `bip`, `pools`: what daemon.json says of docker0's subnet, and of the engine's choice.
    `partners`: addresses of IPv4 that the host talks to, each with what it is. `foreign_directories`: see Foreign.
    `foreign_containers`: see ForeignContainer.
    `foreign_renewal`: certbot's file of a certificate of the stack's name that is not the stack's, "" for none.
    `lacking_python`: the Python that Ansible runs there, if requests is missing and no package brings it to that
    one. `identities`: the stack's numbers that the host knows by a name. `python`: that of the live release, as
    "3.11". `plone_python`, `plone_version`: those of our Plone, None without one. `clock_offset`: seconds by which
    the host's clock is ahead of the control machine's. `now`: that clock, in seconds since 1970. `plone`: what the
    institution's own answered; None where it was not asked, because its address or its certificate authority cannot
    be used. `systemd`: whether it runs the host. `unknown_events`: the required calendar events that systemd does
    not understand.
    """

    root: bool = True
    distribution: str = ""
    installable: bool = True
    engine: str | None = None
    installed: Installed = field(default_factory=Installed)
    engine_modes: frozenset[str] = frozenset()
    live_restore: bool = True
    network: Network | None = None
    routes: list[Route] = field(default_factory=list)
    way_out_mtu: int = 1500
    firewall: Firewall = field(default_factory=Firewall)
    bip: str = ""
    pools: tuple[Pool, ...] = ()
    partners: list[tuple[str, str]] = field(default_factory=list)
    deployed: bool = False
    foreign_directories: list[Foreign] = field(default_factory=list)
    foreign_containers: list[ForeignContainer] = field(default_factory=list)
    foreign_renewal: str = ""
    lacking_python: str = ""
    identities: list[tuple[int, str]] = field(default_factory=list)
    python: str | None = None
    plone_python: str | None = None
    plone_version: str | None = None
    foreign_addresses: frozenset[str] = frozenset()
    listeners: list[Listener] = field(default_factory=list)
    file_systems: list[FileSystem] = field(default_factory=list)
    memory_mb: int = 1 << 20
    clock_offset: float = 0
    certificates: list[Certificate] = field(default_factory=list)
    acme_key_readable: bool = True
    now: float = 0
    prunes: list[Prune] = field(default_factory=list)
    plone: Answer | None = None
    systemd: bool = True
    unknown_events: frozenset[str] = frozenset()
