"""Which packages of a host would be updated, whether it wants a reboot, and what that costs. Pure.

The module host_updates observes the host and asks this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Optional

# Packages whose update restarts the engine, Debian's and Docker's own.
ENGINE = {"docker.io", "docker-ce", "containerd", "containerd.io", "runc"}
# States of dpkg that no package stays in. apt lists none of them as an update: it has the new version already.
UNFINISHED = {"half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
MOST_NAMES = 12
# "Inst libssl3 [3.0.1] (3.0.2 Debian-Security:12/stable-security [amd64]) []"; without [3.0.1] where it is new.
INSTALLS = re.compile(r"^Inst (\S+) (?:\[([^\]]+)\] )?\((\S+) ([^)\[]*)", re.MULTILINE)
KEPT_BACK = re.compile(r"^The following packages have been kept back:\n((?:  .*\n)+)", re.MULTILINE)
# "6.1.0-27-cloud-amd64": the version, and the flavour, which begins with the first part that begins with a letter.
RELEASE = re.compile(r"(.+?)-([a-z].*)$")


@dataclass(frozen=True)
class Update:
    """One package: its version now, None for a new one, and then; whether it comes from a security archive."""

    name: str
    old: Optional[str]
    new: str
    security: bool

    def __str__(self) -> str:
        return f"{self.name} {self.old or 'new'} -> {self.new}"


@dataclass(frozen=True)
class Seen:
    """A host as it was observed.

    `trouble`: why apt could not say what there is. `kernels`: the version of each installed kernel by its release, as
    `uname -r` gives it; `running`: the release that runs, `built`: what `uname -v` says of it. `asks`: what
    /run/reboot-required.pkgs lists, None where no reboot is asked for. `unfinished`: the state of each package that an
    update left in the middle, such as "unpacked".
    """

    distribution: str
    debian: bool
    updates: list[Update] = field(default_factory=list)
    kept_back: list[str] = field(default_factory=list)
    trouble: str = ""
    running: str = ""
    built: str = ""
    kernels: dict[str, str] = field(default_factory=dict)
    asks: Optional[list[str]] = None
    live_restore: bool = True
    unfinished: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What the operator asked for: `reboot` is auto, always or never; `alone`: no other host takes traffic."""

    reboot: str = "auto"
    alone: bool = False
    agreed: bool = False
    check: bool = False


def updates(simulated: str) -> list[Update]:
    """Return what `apt-get --simulate` would install, by name."""
    found = INSTALLS.findall(simulated)
    return sorted(
        (Update(name, old or None, new, "security" in origin.lower()) for name, old, new, origin in found),
        key=lambda update: update.name,
    )


def kept_back(simulated: str) -> list[str]:
    """Return the packages that apt keeps back, as for a pin or a hold."""
    return [name for block in KEPT_BACK.findall(simulated) for name in block.split()]


def unfinished(listed: str) -> dict[str, str]:
    """Return the state of each package that dpkg has in the middle of an update, by name.

    `listed`: lines of package and state, as dpkg-query gives them.
    """
    found = (line.split() for line in listed.splitlines())
    return {words[0]: words[1] for words in found if len(words) == 2 and words[1] in UNFINISHED}


def newer_kernel(running: str, built: str, kernels: dict[str, str]) -> Optional[str]:
    """Return the kernel that a reboot would start instead of the one that runs, with its version; None for the same.

    Only kernels of the same flavour are compared: a host with two flavours was given the one that it runs.
    """
    found = RELEASE.match(running)
    if not found:
        return None
    same = {name: parts.group(1) for name in kernels for parts in [RELEASE.match(name)]
            if parts and parts.group(2) == found.group(2)}  # fmt: skip
    newest = max(same, key=lambda name: numbers(same[name]), default=running)
    if numbers(same.get(newest, found.group(1))) > numbers(found.group(1)):
        return f"{newest} ({kernels[newest]})"
    package = kernels.get(running)
    if package and "Debian " in built and f"Debian {package} " not in f"{built} ":
        return f"{running} ({package})"
    return None


def numbers(version: str) -> list[int]:
    """Return a kernel's version as what it is compared by."""
    return [int(part) for part in re.findall(r"\d+", version)]


def reboot_reasons(seen: Seen) -> list[str]:
    """Return why the host wants a reboot now, in words; none where it does not."""
    reasons = []
    if kernel := newer_kernel(seen.running, seen.built, seen.kernels):
        reasons.append(f"kernel {kernel} is installed and {seen.running} runs")
    if seen.asks is not None:
        reasons.append(f"/run/reboot-required is there{', for ' + ', '.join(seen.asks) if seen.asks else ''}")
    return reasons


def reboots(seen: Seen, reboot: str) -> bool:
    """Return whether the host is to be rebooted as it is now."""
    return reboot == "always" or (reboot == "auto" and bool(reboot_reasons(seen)))


def cost(seen: Seen, reboot: str) -> str:
    """Return what an update costs the clients of a host that is alone, as a sentence; empty where it costs nothing."""
    now = reboots(seen, reboot)
    if now or (reboot == "auto" and (seen.updates or seen.unfinished)):
        when = "while it reboots" if now else "if these updates ask for a reboot, while it reboots"
        return (
            f"No other host takes traffic: {when}, no request is answered, not from stored pages either, until the "
            "bridge has started again; Plone takes a minute longer."
        )
    engine = sorted(ENGINE & {*(update.name for update in seen.updates), *seen.unfinished})
    if engine and not seen.live_restore:
        return (
            f"No other host takes traffic, and the engine runs without live-restore: the update of "
            f"{', '.join(engine)} restarts it and all containers of the site."
        )
    return ""


def judged(seen: Seen, asked: Asked) -> dict[str, Any]:
    """Return the module's answer: `code`, `exit`, `message`, `next`, and what is to be done."""
    reasons = reboot_reasons(seen)
    work = bool(seen.updates or seen.unfinished) or reboots(seen, asked.reboot)
    found = {"updates": [vars(update) for update in seen.updates], "kept_back": seen.kept_back,
             "reboot_reasons": reasons, "unfinished": sorted(seen.unfinished)}  # fmt: skip
    data = {**found, "reboots": reboots(seen, asked.reboot), "work": work,
            "patch": {**found, "work": work, "ended": False}}  # fmt: skip
    if not seen.debian:
        message = (
            f"This host runs {seen.distribution}, and host.patch updates Debian alone. Drain the host, update it with "
            "its own tools, then undrain it."
        )
        return refused("not_debian", message, ["drain"], ["undrain"])
    if seen.trouble:
        return refused("updates_unknown", f"apt cannot say which updates there are: {seen.trouble}", ["host.patch"])
    told = " ".join(sentences(seen, asked, reasons))
    price = cost(seen, asked.reboot) if asked.alone and work else ""
    if price and not asked.agreed and not asked.check:
        free = (seen.updates or seen.unfinished) and not cost(seen, "never")
        later = [["host.patch", "--reboot", "never"]] if free else []
        never = ", or leave the reboot for later" if later else ""
        return refused(
            "consent_missing", f"{told} {price} Agree to that with --yes{never}.", ["host.patch", "--yes"], *later
        )
    notes = [f"{price} That takes --yes."] if price and asked.check and not asked.agreed else []
    code = "updates_found" if work else "updates_none"
    return {"code": code, "exit": 0, "message": told, "next": [], "findings": [], "notes": notes, **data}


def refused(code: str, message: str, *verbs: list[str]) -> dict[str, Any]:
    """Return an answer that stops the run before anything is touched."""
    following = [["./invoke", *words] for words in verbs]
    return {"code": code, "exit": 2, "message": message, "next": following, "findings": [], "work": False}


def sentences(seen: Seen, asked: Asked, reasons: list[str]) -> list[str]:
    """Return what there is to do, all packages in a check, and what is left out."""
    security = sum(update.security for update in seen.updates)
    count = len(seen.updates)
    most = count if asked.check else MOST_NAMES
    more = f" and {count - most} more" if count > most else ""
    names = ", ".join(map(str, seen.updates[:most]))
    said = [f"{count} update{'s' * (count != 1)} ({security} of security): {names}{more}." if count else "No updates."]
    if seen.unfinished:
        left = ", ".join(f"{name} ({state})" for name, state in sorted(seen.unfinished.items()))
        said.append(f"Left in the middle by an earlier update, and finished first: {left}.")
    if seen.kept_back:
        said.append(f"Kept back by apt: {', '.join(seen.kept_back)}.")
    if reasons:
        left = " It is left out, as asked." if asked.reboot == "never" else ""
        said.append(f"A reboot is due: {'; '.join(reasons)}.{left}")
    elif asked.reboot == "always":
        said.append("A reboot was asked for.")
    return said
