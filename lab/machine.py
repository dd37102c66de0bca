"""Such a host: its image, the container it is, and who may sign in. Every error is a subprocess.CalledProcessError."""

from __future__ import annotations

import subprocess
from pathlib import Path

from builder import cache, debian, rootfs

SUITES = ("bookworm", "trixie")
PACKAGES = ["ca-certificates", "dbus", "iproute2", "python3", "systemd", "systemd-sysv"]
# What role docker_host installs for an engine, by Debian's release.
ENGINE = {"bookworm": "docker.io", "trixie": "docker.io docker-cli apparmor"}
# /proc/sys cannot be written in a container, and engine 26 starts no container where it cannot switch IPv6 off in it.
NESTED = "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n"
HERE = Path(__file__).parent

# What an engine needs, short of --privileged, which is refused where CAP_SYS_RESOURCE is missing; SYS_PTRACE is for
# health checks, which enter the namespaces of processes that are not root.
OPTIONS = [
    "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE",
    "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
    "--tmpfs", "/run", "--tmpfs", "/tmp:exec",  # noqa: S108 - the host's own
    "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--volume", "/var/lib/docker", "--stop-signal", "SIGRTMIN+3",
]  # fmt: skip


def plain(suite: str) -> str:
    """Return the image of a Debian machine with systemd, Python for Ansible and apt; make it unless it is there."""

    def make(into: Path) -> None:
        rootfs.ensure_mmdebstrap()
        drop_in = into / "nested.conf"
        drop_in.write_text(NESTED)
        subprocess.run(
            [
                "mmdebstrap", "--quiet", "--variant=apt", "--skip=output/dev", f"--include={','.join(PACKAGES)}",
                "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                '--customize-hook=mkdir -p "$1/etc/systemd/system/docker.service.d"',
                f"--customize-hook=upload {drop_in} /etc/systemd/system/docker.service.d/nested.conf",
                suite, str(into / rootfs.ARCHIVE), "-",
            ],
            input="\n".join(debian.sources(suite)), text=True, check=True,
        )  # fmt: skip

    tag = f"eduhub-test/machine:{suite}"
    if not docker("images", "--quiet", tag):
        entry, _ = cache.keep("machines", f"{suite}-2", make)
        docker("import", "--change", 'ENTRYPOINT ["/sbin/init"]', str(entry / rootfs.ARCHIVE), tag)
    return tag


def with_engine(suite: str) -> str:
    """Return the image of a machine that has an engine and sshd too; the engine keeps what was built before."""
    tag = f"eduhub-test/host:{suite}"
    base, engine = f"BASE={plain(suite)}", f"ENGINE={ENGINE[suite]}"
    docker("build", "--quiet", "--build-arg", base, "--build-arg", engine, "--tag", tag, str(HERE / "engine"))
    return tag


def start(name: str, image: str, *options: str) -> None:
    """Start the machine `name`; `options` are more words of `docker run`."""
    docker("run", "--detach", "--name", name, *OPTIONS, *options, image)


def new_key(path: Path) -> None:
    """Make an ssh key without a passphrase in `path`, and its public half beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)


def authorise(name: str, key: Path) -> None:
    """Let the holder of `key` sign in as root on the machine `name`."""
    put = "mkdir -pm 700 /root/.ssh && cat > /root/.ssh/authorized_keys"
    public = key.with_name(f"{key.name}.pub").read_bytes()
    subprocess.run(["docker", "exec", "--interactive", name, "sh", "-c", put], input=public, check=True, timeout=60)


def docker(*words: str) -> str:
    """Run the docker client; return what it printed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=900, check=True)
    return done.stdout.strip()
