"""What is typed after ./invoke: how it is read, and what is typed next where it cannot be."""

from __future__ import annotations

import ast
import difflib
import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from invoke.config import Config
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import ParseResult
from invoke.program import Program
from invoke.tasks import task as task_of_invoke

HELP = ("-h", "--help")
# As other programs call their `--check`.
LOOKING = ("--check", "--diff", "--dry-run", "--dryrun", "--noop", "--simulate", "--test", "--what-if")
# Given by a person, and never proposed for another word, unless that has the same letters.
CONSENT = ("--data", "--take-over", "--yes")
# The same holds for verbs that remove or replace something for good, and for the one that is near to `unlock`.
FINAL = ("destroy", "plone.pack", "plone.restore", "lock")
# Options that name a file or a directory, and those that only one verb means so.
FILES = ("advisories", "allowed-signers", "inventory", "kit", "out", "plan", "sign-key", "since", "vault-password-file")
FILES_OF = (("images.sbom", "to"),)
# The verb that shows what another one would do, where that has no --check, and what it says of that.
LOOKS = {
    "certificates": ("preflight", "looks at the certificates that would be served"),
    "confirm": ("status", "says what waits to be confirmed"),
    "destroy": ("status", "says what each host serves"),
    "maintenance": ("status", "says whether writes are taken"),
    "plone.backup": ("plone.backups", "lists the backups that there are"),
    "plone.confirm": ("status", "says what waits to be confirmed"),
    "plone.pack": ("status", "says what each host serves"),
    "plone.rollback": ("status", "says what Plone can be rolled back to"),
    "rollback": ("status", "says what each host would be rolled back to"),
    "upgrade": ("plan", "shows what upgrade would do"),
}
# The words of a verb that its looking one does not take.
OWN_WORDS = {"maintenance": ("on", "off")}
# The verbs that ask hosts alone.
READS = ("plan", "plone.backups", "preflight", "report", "status", "trace", "verify")
UNKNOWN = re.compile(r"No idea what (.+) is!")

# Invoke would make short options of first letters: -h of --hold, and -a of another word on each verb.
task = functools.partial(task_of_invoke, auto_shortflags=False)


def refusal(what: str, *commands: str) -> Exit:
    """Return what ends the program with exit code 2: `what` was typed wrong, and the `commands` that are right.

    With --json they are printed as a document too, as the front prints it (ansible/front/output/closing.py).
    """
    if "--json" in sys.argv:
        found = {"hosts": {}, "exit": 2, "messages": [what], "next": [shlex.split(each) for each in commands]}
        print(json.dumps(found, indent=2))
    return Exit("\n".join([f"invoke: {what}", *(["Next: " + "\n      ".join(commands)] if commands else [])]), code=2)


def located(file: str, *, inventory: bool = False) -> str:
    """Return the name of `file` as it is to be used from the checkout, where every program of ours runs.

    A relative one is meant from the directory where ./invoke was typed. One that names an `inventory` is left alone
    unless it is there, and nothing of that name is in inventories/.
    """
    folder = Path(os.environ.get("EDUHUB_TYPED_IN") or ".")
    if Path(file).is_absolute() or not folder.is_absolute() or folder == Path.cwd():
        return file
    if inventory and (Path("inventories", file).exists() or not Path(folder, file).exists()):
        return file
    return str(Path(folder, file))


def typed_with(*words: str) -> str:
    """Return the command that was typed, with `words` added."""
    return shlex.join(["./invoke", *sys.argv[1:], *words])


class Settings(Config):
    """Invoke's configuration, without what this user and this machine have for other task trees.

    ~/.invoke.yaml, /etc/invoke.yaml and INVOKE_* would run other programs, or end with a traceback.
    """

    def load_system(self, merge: bool = True) -> None:
        """Load nothing."""

    def load_user(self, merge: bool = True) -> None:
        """Load nothing."""

    def load_shell_env(self) -> None:
        """Load nothing."""


class CommandLine(Program):
    """Invoke, but a mistyped command line is refused with exit code 2 and the next command."""

    @property
    def verbs(self) -> list[str]:
        """Return every verb, and every other name of it."""
        return [name for names in self.collection.task_names.items() for name in (names[0], *names[1])]

    def line(
        self, old: str = "", new: str = "", *, without: Iterable[str] = (), without_next: bool = False
    ) -> str:  # fmt: skip
        """Return what was typed, with its first word `old` replaced by `new`, and less the words `without`.

        `without_next`: and less the word after `old`.
        """
        words = list(self.argv[1:])
        if old in words:
            place = words.index(old)
            words[place : place + 1 + without_next] = [new]
        return shlex.join(["./invoke", *(word for word in words if word not in without)])

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the options before the verb. Raises Exit for what cannot be parsed."""
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise refusal(str(error), "./invoke --help") from None

    def parse_tasks(self) -> None:
        """Parse the verb and its options. Raises Exit for what cannot be parsed, or says less than it seems to."""
        words = self.core.unparsed
        self._refuse_parted(words)
        before = next((words[:place] for place, word in enumerate(words) if word in HELP), [])
        if asked := [word for word in before if word in self.verbs]:
            self.parser, self.tasks = self._make_parser(), ParseResult()
            self.args.help.value = asked[-1]
            return
        try:
            super().parse_tasks()
        except ParseError as error:
            self._refuse_twice(error.context or ParserContext())
            self._refuse(error)
        for each in self.tasks:
            self._refuse_twice(each)
        self._check()

    def parse_cleanup(self) -> None:
        """Print help or the list of verbs, where that is asked for."""
        name = self.args.help.value
        if isinstance(name, str) and name not in self.parser.contexts:
            self._refuse_verb(name)
        listed = self.args.list.value
        if isinstance(listed, str) and listed not in self.collection.collections:
            raise refusal(f"There are no verbs below {listed!r}.", "./invoke --list")
        super().parse_cleanup()

    def _make_parser(self) -> Parser:
        # After a verb, -w would be --warn-only of Invoke, which hides exit codes, and -d its --debug.
        parser = super()._make_parser()
        context = ParserContext()
        for each in self.initial_context.args.values():
            each.names = each.names if each.name == "help" else each.names[:1]
            context.add_arg(each)
        parser.initial = context
        return parser

    def _check(self) -> None:
        typed = [self._as_typed(each) for each in self.tasks]
        if len(typed) > 1:
            lines = [self.line(without=[name for name in typed if name != each]) for each in dict.fromkeys(typed)]
            raise refusal(f"One verb at a time, and not {' and '.join(typed)}: each has options of its own.", *lines)
        if self.core.remainder and not self.args.complete.value:
            what = f"Options stand before --, and after it is {self.core.remainder!r}."
            raise refusal(what, self.line(without=["--"]))
        for context in self.tasks:
            for argument in context.args.values():
                self._check_value(context, argument)
                name = argument.names[0]
                if argument.value and (name in FILES or (context.name, name) in FILES_OF):
                    argument.value = located(str(argument.value), inventory=name == "inventory")

    def _check_value(self, context: ParserContext, argument: Argument) -> None:
        by_place = argument.positional and argument.kind is not list
        option = argument.name if by_place else f"--{argument.names[0]}"
        values: Any = [argument.value] if argument.kind is not list else argument.value
        for value in values if argument.takes_value and argument.got_value else []:
            if not str(value).strip():
                # "" would mean this machine, every host, or the newest, which was not typed.
                raise refusal(
                    f"{option} of {context.name} is empty: give it a value, or leave it out.",
                    f"./invoke --help {context.name}",
                )
            if by_place and str(value).startswith("-"):
                self._refuse_option(context, value)
            if str(value).startswith("--"):
                raise refusal(f"{option} needs a value, and {value} is an option.", f"./invoke --help {context.name}")

    def _refuse_twice(self, context: ParserContext) -> None:
        """Raise Exit for an option with a value that is given twice."""
        words = [word.partition("=")[0] for word in self.argv[1:]]
        for flag, argument in context.flags.items():
            if argument.takes_value and argument.kind is not list and words.count(flag) > 1:
                raise refusal(f"{flag} is given twice, and only one can count.", f"./invoke --help {context.name}")

    def _refuse(self, error: ParseError) -> NoReturn:
        context = error.context or ParserContext()
        flags, advice = context.flags, f"./invoke --help {context.name}"
        if unknown := UNKNOWN.fullmatch(str(error)):
            token = ast.literal_eval(unknown[1])
            if context.name:
                self._refuse_option(context, token)
            self._refuse_verb(token)
        for word, after in pairwise([*self.argv, "-"]):
            if word in flags and flags[word].takes_value and after[:1] == "-":
                raise refusal(f"{word} needs a value.", advice)
        if context.name and (missing := context.missing_positional_args):
            wanted = " and ".join(f"{each.name} ({each.help})" for each in missing)
            raise refusal(f"{context.name} needs its {wanted}.", advice)
        raise refusal(str(error), advice if context.name else "./invoke --list")

    def _as_typed(self, context: ParserContext) -> str:
        """Return the name by which a verb was typed: it may have several."""
        names = [str(context.name), *context.aliases]
        return next((word for word in self.argv[1:] if word in names), names[0])

    def _refuse_parted(self, words: list[str]) -> None:
        """Raise Exit where the first of the `words` is a group, and the next one a verb of it: a dot was meant."""
        group, verb = [*words, "", ""][:2]
        if group in self.collection.collections and f"{group}.{verb}" in self.verbs:
            line = self.line(group, f"{group}.{verb}", without_next=True)
            raise refusal(f"A dot stands between {group} and {verb}.", line)

    def _refuse_verb(self, word: str) -> NoReturn:
        """Raise Exit for a word that is no verb, with the whole line as it was meant, or the list of verbs."""
        place = self.argv.index(word) if word in self.argv else 0
        for begin in range(max(place - 1, 1), place + 1):
            self._refuse_parted(self.argv[begin:])
        group = word.partition(".")[0]
        verbs = f"./invoke --list {group}" if group in self.collection.collections else "./invoke --list"
        if word == group and group in self.collection.collections:
            raise refusal(f"{group} is a group of verbs, and no verb.", verbs)
        if word[:1] == "-":
            raise refusal("The verb comes before its options.", self._verb_first() or verbs)
        last = [name for name in self.verbs if name.endswith(f".{word}")]
        near = last or difflib.get_close_matches(word, self.verbs, n=1)
        if near and (last or near[0] not in FINAL or sorted(near[0]) == sorted(word)):
            raise refusal(f"There is no verb {word!r}. Did you mean {near[0]}?", self.line(word, near[0]))
        raise refusal(f"There is no verb {word!r}.", verbs)

    def _verb_first(self) -> str:
        """Return what was typed with its verb before the options; "" unless there is one verb that takes them all."""
        words = self.core.unparsed
        typed = [word for word in words if word in self.verbs]
        if len(typed) != 1:
            return ""
        verb = self.parser.contexts[typed[0]]
        if any(word.partition("=")[0] not in verb.flags for word in words if word[:1] == "-"):
            return f"./invoke --help {typed[0]}"
        before = self.argv[1 : len(self.argv) - len(words)]
        return shlex.join(["./invoke", *before, typed[0], *(word for word in words if word != typed[0])])

    def _refuse_option(self, context: ParserContext, token: str) -> NoReturn:
        """Raise Exit for a word that a verb does not know, with the whole line as it was meant, or the verb's help."""
        name, advice = context.name, f"./invoke --help {context.name}"
        # Who wants to look first is told how, also where Invoke takes the word after it for the one too many.
        token = next((word for word in self.argv[1:] if word in LOOKING and word not in context.flags), token)
        # Invoke cuts --word=value after the option, and -word after its first letter.
        cut = [word for word in self.argv[1:] if word == token or word.startswith(f"{token}=")]
        cut += [word for word in self.argv[1:] if len(token) == 2 and token[0] == "-" and word.startswith(token)]
        whole = cut[0] if cut else token
        option, equals, value = whole.partition("=")
        meant = f"--{option.lstrip('-')}"
        what = f"{name} has no {option}." if option[:1] == "-" else f"{name} takes no word {option!r}."
        if meant in LOOKING and "--check" not in context.flags and name in LOOKS:
            self._refuse_look(name, what, whole)
        if meant in LOOKING and name in READS:
            raise refusal(f"{what} It changes nothing itself.", self.line(without=[whole]))
        near = self._near(meant.lstrip("-"), context)
        if meant in LOOKING and "--check" in context.flags:
            near = ["--check"]
        if near:
            raise refusal(f"{what} Did you mean {near[0]}?", self.line(whole, f"{near[0]}{equals}{value}"))
        raise refusal(what, advice)

    @staticmethod
    def _near(word: str, context: ParserContext) -> list[str]:
        """Return the option of `context` that was meant by `word`, if there is one that may be proposed."""
        known = [name for name in context.flags if name not in CONSENT or sorted(word) == sorted(name.lstrip("-"))]
        near = difflib.get_close_matches(word, [name.lstrip("-") for name in known], n=1)
        return [f"--{name}" for name in near]

    def _refuse_look(self, name: str, what: str, option: str) -> NoReturn:
        looks, says = LOOKS[name]
        others = {word.partition("=")[0] for word in self.argv[1:] if word[:2] == "--" and word != option}
        known = others <= {*self.parser.contexts[looks].flags, *self.core[0].flags}
        line = self.line(name, looks, without=[option, *OWN_WORDS.get(name, ())])
        next_command = line if known else f"./invoke --help {looks}"
        raise refusal(f"{what} {looks} {says}, and changes nothing.", next_command)
