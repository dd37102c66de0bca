"""The options of a command line, and what was asked for by them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from front.arguments.refusal import RefusalError
from front.arguments.request import Request


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are refusals like all others."""

    def error(self, message: str) -> NoReturn:
        raise RefusalError(f"{message[:1].upper()}{message[1:]}.", next_commands=["./invoke --list"])


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line's options. Raises RefusalError."""
    parser = Parser(prog="front", description="plays ansible/playbooks/VERB.yml on an inventory", allow_abbrev=False)
    parser.add_argument("verb")
    parser.add_argument("--inventory", default="local", help="inventories/NAME, or the path of an inventory")
    parser.add_argument("--limit", default="", help="only these hosts or groups")
    parser.add_argument("--values", default="{}", help="variables above all others, as a JSON object")
    parser.add_argument("--verbose", action="store_true", help="show what Ansible does")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would change")
    parser.add_argument("--out", default="", help="file for the plan")
    parser.add_argument("--plan", default="", help="file of the plan to hold an upgrade to")
    parser.add_argument("--json", action="store_true", help="print one JSON document, at the end")
    parser.add_argument("--become-password-file", default="", help="file with the password of sudo on the hosts")
    parser.add_argument("--vault-password-file", default="", help="file with the password of ansible-vault")
    parser.add_argument("--asked", action="append", default=[], choices=["become", "vault"], help="was typed")
    end = list(words).index("--") if "--" in words else len(words)  # what follows is for the program of the verb
    options = parser.parse_args(words[:end])
    options.words, options.serving, options.idle = list(words[end + 1 :]), [], []
    return options


def values(text: str) -> dict[str, Any]:
    """Return the variables given on the command line. Raises RefusalError."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise RefusalError(f"--values is {text!r}, but must be a JSON object.")
    return given


def give_passwords(options: argparse.Namespace) -> None:
    """Tell Ansible, here and in the run, where its passwords are. Raises RefusalError for an unreadable file."""
    for name in ("become", "vault"):
        file = getattr(options, f"{name}_password_file")
        if file and not os.access(file, os.R_OK):
            raise RefusalError(f"--{name}-password-file {file!r} cannot be read: name a file that you may read.")
        if file:
            os.environ[f"ANSIBLE_{name.upper()}_PASSWORD_FILE"] = file


def request_of(options: argparse.Namespace) -> Request:
    """Return what the operator asked for."""
    login: list[tuple[str, ...]] = [(f"--ask-{name}-pass",) for name in options.asked]
    if options.vault_password_file and "vault" not in options.asked:
        login.append(("--vault-password-file", options.vault_password_file))
    return Request(options.verb, options.inventory, options.limit, options.values, tuple(login), check=options.check)
