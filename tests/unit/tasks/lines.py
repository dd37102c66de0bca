"""What a verb runs, without running it."""

from __future__ import annotations

import sys

from invoke import MockContext, Result

import tasks


class Done(Result):
    """The result of a program, and what is waited for where one runs beside others."""

    def join(self) -> Done:
        return self


def lines_of(task, *args, **options) -> list[str]:
    """The command lines `task` runs, without the interpreter's path."""
    context = MockContext(config=tasks.namespace.configuration() | {"run": {}}, run=Done(), repeat=True)
    task(context, *args, **options)
    return [call.args[0].replace(f"{sys.executable} -m ", "") for call in context.run.call_args_list]
