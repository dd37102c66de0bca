"""The command line that tasks.py gives its verbs: options common to all, passwords, consent, refusals, streams."""

from __future__ import annotations

import atexit
import functools
import getpass
import inspect
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from invoke.context import Context
from invoke.exceptions import UnexpectedExit
from invoke.runners import Promise

from command_line.typed import refusal, task


def run(c: Context, *words: str, **env: str) -> None:
    """Run one program with `env` added to its environment; its exit code becomes ours."""
    # None of our programs reads stdin. If Invoke copied it, Ctrl-C would find it closed and raise a traceback.
    c.run(shlex.join(words), env=env, pty=sys.stdout.isatty(), in_stream=False)


def beside(c: Context, *words: str, **env: str) -> AbstractContextManager[None]:
    """Start one program; return what waits for it as a block ends, and shows all that it printed.

    Its exit code becomes ours, unless the block has failed already.
    """
    return _shown(cast("Promise", c.run(f"{shlex.join(words)} 2>&1", env=env, asynchronous=True, warn=True)))


@contextmanager
def _shown(program: Promise) -> Iterator[None]:
    try:
        yield
    finally:
        result = program.join()
        print(result.stdout, end="", flush=True)
    if result.failed:
        raise UnexpectedExit(result)


def play(c: Context, verb: str, hosts: Hosts, *flags: str, **values: Any) -> None:
    """Play ansible/playbooks/`verb`.yml on `hosts`, with `values` as its variables."""
    refuse_without_home()
    given = {f"eduhub_{name}": value for name, value in values.items() if value}
    words = [*hosts.words(), *flags, *(["--values", json.dumps(given)] if given else [])]
    run(c, sys.executable, "-m", "front", verb, *words, PYTHONPATH="ansible")


def refuse_without_home() -> None:
    """Raise Exit where Ansible could not write its files on this machine, as for a user without a home."""
    kept = Path(os.path.expanduser(os.environ.get("ANSIBLE_HOME") or "~/.ansible"))  # noqa: PTH111 - raises nothing
    there = next(path for path in (kept, *kept.parents) if os.path.exists(path))  # noqa: PTH110 - the same
    if not (kept.is_absolute() and os.access(there, os.W_OK | os.X_OK)):
        what = f"Ansible keeps its files in {kept}, where this user cannot write"
        raise refusal(f"{what}: name a directory of yours with ANSIBLE_HOME, or a home with HOME.")


@dataclass(frozen=True)
class Hosts:
    """The options that every verb on hosts has: which hosts, and how to sign in."""

    inventory: str = "local"
    limit: str = ""
    verbose: bool = False
    ask_become_pass: bool = False
    ask_vault_pass: bool = False
    vault_password_file: str = ""
    json: bool = False

    HELP = {  # noqa: RUF012 - of the options, by their names; no field
        "inventory": "inventories/NAME, or the path of an inventory",
        "limit": "only these hosts or groups",
        "verbose": "show the output of Ansible",
        "ask-become-pass": "ask for the password of sudo on the hosts",
        "ask-vault-pass": "ask for the password of ansible-vault",
        "vault-password-file": "file with the password of ansible-vault",
        "json": "one JSON document at the end, instead of lines and tables",
    }

    @property
    def meant(self) -> str:
        """Return which hosts a verb plays on, for a question."""
        return f"{self.limit or 'every host'} of inventory {self.inventory!r}"

    def words(self) -> list[str]:
        """Return the options for the front; what is to be asked for is asked once."""
        options = {"--inventory": self.inventory, "--limit": self.limit}
        words = [word for pair in options.items() if pair[1] for word in pair]
        if self.vault_password_file:
            words += ["--vault-password-file", str(Path(self.vault_password_file).absolute())]
        for name, wanted in (("vault", self.ask_vault_pass), ("become", self.ask_become_pass)):
            words += ["--asked", name, f"--{name}-password-file", typed_password(name)] if wanted else []
        return words + [f"--{flag}" for flag in ("verbose", "json") if getattr(self, flag)]


@functools.cache
def typed_password(name: str) -> str:
    """Ask for a password; return the path of a file with it, which only this user can read and which ends with us."""
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        remedy = f"write it to a file that only you can read, and name that in ANSIBLE_{name.upper()}_PASSWORD_FILE"
        raise refusal(f"Stdin is no terminal, so no {name} password can be asked for: {remedy}.")
    try:
        password = getpass.getpass(f"{name.capitalize()} password: ")
    except (EOFError, KeyboardInterrupt):
        raise refusal("Nothing was done: no password was given.") from None
    folder = tempfile.mkdtemp(prefix="eduhub-")  # of mode 0700
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = Path(folder, name)
    file.write_text(f"{password}\n", encoding="utf-8")
    return str(file)


def ask_for_consent(warning: str) -> None:
    """Return once a `yes` is typed; raise Exit with code 2 for any other answer, and without a terminal to ask on."""
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise refusal(f"{warning} Stdin is no terminal, so no consent can be given: add --yes.")
    try:
        answer = input(f"{warning} Type yes to continue: ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip() != "yes":
        raise refusal("Nothing was changed.")


def on_hosts(called_as: str | None = None, **own: str) -> Callable[[Callable[..., None]], Any]:
    """Make a task of a verb that gets Hosts as its second argument; `own` is the help of its own options.

    `called_as`: its name, where its function needs another.
    """

    def decorated(verb: Callable[..., None]) -> Any:
        context, _, *mine = inspect.signature(verb).parameters.values()
        common = [
            inspect.Parameter(each.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=each.default)
            for each in fields(Hosts)
        ]

        @functools.wraps(verb)
        def called(c: Context, **options: Any) -> None:
            hosts = Hosts(**{each.name: options.pop(each.name) for each in fields(Hosts) if each.name in options})
            verb(c, hosts, **options)

        called.__signature__ = inspect.Signature([context, *mine, *common])  # type: ignore[attr-defined]
        told = {**{name.replace("_", "-"): text for name, text in own.items()}, **Hosts.HELP}
        return task(name=called_as, help=told)(called)

    return decorated


class LastingStream:
    """Standard output that outlives its reader, as in `./invoke deploy | head`: the run and its exit code stay."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream or Path(os.devnull).open("w")  # noqa: SIM115 - Python has no stream that began closed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        """Write text at once; drop it where the reader is gone."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
