"""Rolls several hosts back, one after the other: plays the playbook once for each host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from front.run.exit_codes import DONE, host_exit
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run, Signals, play


@dataclass
class Turns:
    """One run over the hosts `names`, in that order.

    Ansible ends a play with `serial: 1` at the first host that cannot be reached, and one that is dead would keep all
    after it from their rollback. A host that fails ends the run: what made it fail may make the next one fail too.
    """

    run: Run
    names: Sequence[str]
    play: Callable[[Run, str, Signals], Played] = play

    def roll(self, signals: Signals) -> Played:
        """Play each host's turn; return how it ended, as if one playbook had done it all."""
        whole, outcome = Played(0, None, "", interrupted=False), Outcome({}, ended=True)
        for name in self.names:
            run = replace(self.run, only=[name], canary=self.names[0])
            done = self.play(run, self.run.request.verb, signals)
            outcome = outcome.then(done.outcome or Outcome({}, ended=False))
            whole = Played(
                max(whole.returned, done.returned), outcome, done.stderr or whole.stderr,
                whole.interrupted or done.interrupted,
            )  # fmt: skip
            host = outcome.hosts.get(name, Host())
            if not outcome.ended or (host_exit(host) != DONE and not host.unreachable):
                break
        rest = self.names[self.names.index(name) + 1 :]
        waiting = {name: Host(waiting=True) for name in rest}
        return replace(whole, outcome=replace(outcome, hosts={**outcome.hosts, **waiting}))
