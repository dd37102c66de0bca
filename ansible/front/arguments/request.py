"""What the operator asked for, and command lines about the same hosts. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

DEFAULT_INVENTORY = "local"
# Playbooks that are no verb of their own: what is typed to play them.
TYPED_AS = {"engine": ["deploy"], "releases": ["rollback", "--list"]}
# Verbs that are told without an inventory; and those that take one, and neither a limit nor passwords of hosts.
WITHOUT_HOSTS = frozenset(
    {"images.build", "images.verify", "lab.up", "lab.down", "bench", "check", "test", "lock", "settings", "openapi",
     "kit.verify", "kit.engine"}
)  # fmt: skip
INVENTORY_ALONE = frozenset({"images.audit", "images.sbom", "images.sign", "kit", "kit.make"})
# What is typed behind the verb without its option.
POSITIONAL = frozenset({"eduhub_state", "eduhub_request"})
# What ends a rollout on each host that it is typed for: a host that is told to has only itself in mind.
ENDING = frozenset({"confirm", "rollback", "--take-over"})


@dataclass(frozen=True)
class Request:
    """The verb and options of one command line.

    `values`: the variables that its options set (`eduhub_python`). `login`: its options for passwords, as typed.
    `host`: one of several hosts, which is told what to type. `check`: change nothing, say what would change.
    """

    verb: str
    inventory: str = DEFAULT_INVENTORY
    limit: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    login: Sequence[Sequence[str]] = ()
    host: str = ""
    check: bool = False

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Return the request that `to_json` wrote. Raises ValueError or TypeError for another text."""
        given = json.loads(text)
        return cls(**{**given, "login": tuple(map(tuple, given.get("login", ())))})

    def to_json(self) -> str:
        """Return the request as JSON, for the callback's environment."""
        return json.dumps(asdict(self))

    @property
    def command(self) -> str:
        """The command line that asks for the same again."""
        return shlex.join(["./invoke", *TYPED_AS.get(self.verb, [self.verb]), *self._options(), *self._hosts()])

    @property
    def group(self) -> str:
        """The group whose hosts each take part in a run of this verb that succeeds."""
        return "plone" if self.verb.startswith("plone.") else "bridge"

    def without_recovery(self, option: str) -> str:
        """Return the same command line with `option` (`--resume` or `--take-over`) as its only way to deal with an
        earlier run. One that resumes, and names no Python, can but do both.
        """
        others = {"eduhub_resume", "eduhub_take_over"}
        if option == "--take-over" and "eduhub_python" not in self.values:
            others.remove("eduhub_resume")
        kept = {name: value for name, value in self.values.items() if name not in others}
        request = replace(self, values=kept)
        words = ["./invoke", *TYPED_AS.get(self.verb, [self.verb]), *request._options(), option, *self._hosts()]
        return shlex.join(words)

    def limited(self, limit: str) -> Request:
        """Return the same request for the hosts of `limit`."""
        return replace(self, limit=limit)

    def of_host(self, host: str) -> Request:
        """Return the same request, as one of its several hosts tells what to type."""
        return replace(self, host=host)

    def same_hosts(self, arguments: Sequence[str], *, limit: str | None = None) -> str:
        """Return the command of an argument list; `./invoke` gets this request's --inventory and --limit.

        `limit` replaces the request's own; "" leaves it out. A verb without hosts, and an option that is given
        already, stay as they are.
        """
        words = list(arguments)
        if limit is None and self.host and not ENDING.isdisjoint(words):
            limit = self.host
        if words[:1] == ["./invoke"] and len(words) > 1 and words[1] not in WITHOUT_HOSTS and words[1][:1] != "-":
            known = [pair for pair in self._pairs(limit) if words[1] not in INVENTORY_ALONE or pair[0] == "--inventory"]
            words += [word for pair in known if pair[0] not in words for word in pair]
        return shlex.join(words)

    def invoke(self, *arguments: str, limit: str | None = None) -> str:
        """Return `./invoke` with `arguments`, for the same hosts or those of `limit`."""
        return self.same_hosts(["./invoke", *arguments], limit=limit)

    @property
    def status(self) -> str:
        """The command line that shows the state of all hosts of the inventory."""
        return self.invoke("status", limit="")

    def _options(self) -> list[str]:
        words: list[str] = []
        for name, value in self.values.items():
            option = [] if name in POSITIONAL else [f"--{name.removeprefix('eduhub_').replace('_', '-')}"]
            words += option if value is True else [*option, str(value)]
        return [*words, *(["--check"] if self.check else [])]

    def _hosts(self) -> list[str]:
        return [word for pair in self._pairs(None) for word in pair]

    def _pairs(self, limit: str | None) -> list[tuple[str, ...]]:
        hosts = self.limit if limit is None else limit
        pairs: list[tuple[str, ...]] = [("--inventory", self.inventory)] if self.inventory != DEFAULT_INVENTORY else []
        pairs += [("--limit", hosts)] if hosts else []
        return [*pairs, *(tuple(words) for words in self.login)]
