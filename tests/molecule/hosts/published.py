"""docs/reference/hosts.md, made from matrix.yml. `python -m tests.molecule.hosts.published` writes it."""

from __future__ import annotations

from pathlib import Path

import yaml

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
PAGE = CHECKOUT / "docs/reference/hosts.md"
HEAD = """\
# Hosts

Which hosts the stack runs on. *Played* names the suite that deploys to such a host for real: a machine of its own, with
systemd and a Docker Engine, in a container. What no suite plays is expected, and not measured.

`./invoke test` plays Debian 12 on one day and Debian 13 on the next, and each day another one of the hosts of
`tests/rollout/faults`; `./invoke test --hosts` plays all hosts, and `./invoke test --faults` the [faults](faults.md).
The stories of `tests/rollout` and `tests/fleet` take turns, one a day; `./invoke test --stories fleet` plays all of the
latter.

| host | what happens | played |
|---|---|---|
"""
FOOT = """
## Ids to reserve

Containers run as users and groups that need no name on the host, by fixed ids. Reserve them where accounts come from a
directory such as LDAP: a user or group with one of them has what the container has. Preflight notes who does.

| id | container | what it may read |
|---|---|---|
| 500 | Plone, and its backups | backups, the passwords of Plone and of the repository of copies |
| 10001 | bridge | its jobs, and the key that seals their credentials |
| 10002 | edge | the private keys of TLS certificates, HAProxy's admin socket |
"""


def matrix() -> list[dict[str, str]]:
    """Return the rows: `host`, what `is` true of it, and the suite by which it is `played`, if one does."""
    return list(yaml.safe_load((HERE / "matrix.yml").read_text(encoding="utf-8")))


def page() -> str:
    """Return the page's text."""
    rows = [(row["host"], row["is"], f"`{row['played']}`" if "played" in row else "not measured") for row in matrix()]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + FOOT


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
