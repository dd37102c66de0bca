"""The entry point of the container: `start`, `console`, `create-classic`, `create-volto`, or any other program."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from .backup.files import BLOBS, DATA_FS, ZEO_SOCKET
from .instance import DATA, lay_out
from .place import claim, place, plone_version, refuse_missing, refuse_other_version
from .processes import FIRST, NUMBER, Processes, caches_in_memory, listens, serve_database
from .settings import Refused, Settings, read
from .turn import end_pack, free, hold_turn, wait_for_turn

CREATE = {"create-classic": "classic", "create-volto": "volto", "create-site": "volto"}
log = logging.getLogger("plone")


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 2 with one sentence when the environment cannot be used."""
    command = (arguments or ["start"])[0]
    try:
        if command in ("start", "console", *CREATE):
            return run(command, dict(os.environ))
        os.execvp(command, arguments)
    except Refused as refusal:
        print(f"plone: {refusal}", file=sys.stderr)
    except FileNotFoundError:
        print(f"plone: there is no program {command} in this image: type start or console.", file=sys.stderr)
    return 2


def run(command: str, environ: dict[str, str]) -> int:
    """Start Plone, or only make its site, or open a console on its database."""
    if command in CREATE:
        environ = {"SITE": environ.get("SITE_ID", ""), **environ, "TYPE": CREATE[command]}
    settings = read(environ)
    data = located(settings)
    # A console has the files itself where no server has them open.
    if command in CREATE or (command == "console" and not listens(data / ZEO_SOCKET)):
        settings = dataclasses.replace(settings, processes=1)
    if os.getuid() == 0:
        raise Refused("Plone must not run as root: leave the image's own user 500:500, or set another.")
    # The first process of a container ignores signals that it has no handler for; serve() sets its own later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.umask(0o027)
    conf = lay_out(with_dsn(settings), data)
    if command == "console":
        console(settings, data, conf)
    password = secret(settings.password_file, "ADMIN_PASSWORD_FILE", "the administrator's password")
    set_up_logging()
    log.info("Plone starts on Python %s.", platform.python_version())
    # Imported late: it takes seconds, and Zope reads the environment that lay_out has set.
    from . import zope  # noqa: PLC0415

    processes = Processes(
        settings.processes, lambda ready: serve_database(data / DATA_FS, data / BLOBS, data / ZEO_SOCKET, ready)
    )

    def before_the_database() -> None:
        turn(settings, data)
        if settings.processes > 1:
            processes.divide()
        os.environ[NUMBER] = str(processes.number)

    with caches_in_memory() if settings.processes > 1 else nullcontext():
        application = zope.start(str(conf), before_the_database)
    processes.tell_threads()
    number = processes.number
    if number == FIRST:
        claimed(settings, data)
        zope.prepare(password, settings.site)
        processes.ready()
    if command == "start":
        where = socket(settings, number)
        zope.serve(application, settings.port, settings.threads, where, at_port=number == FIRST)
    zope.stop()
    return 0


def console(settings: Settings, data: Path, conf: Path) -> NoReturn:
    """Become a console on the database. Raises Refused where it would begin an empty one."""
    if settings.in_files:
        refuse_missing(data)
    os.execvp("zconsole", ["zconsole", "debug", str(conf)])


def socket(settings: Settings, number: int) -> str | None:
    """Return the path of the Unix socket of a process: that of LISTEN_SOCKET, from the second on with its number."""
    path = settings.socket and Path(settings.socket)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}")) if path and number != FIRST else settings.socket


def located(settings: Settings) -> Path:
    """Return where the data is; for a database elsewhere, the volume. Raises Refused for that of another version."""
    if not settings.in_files:
        return DATA
    data = place(DATA, plone_version())
    refuse_other_version(data, plone_version())
    return data


def turn(settings: Settings, data: Path) -> None:
    """Take a database in files: wait while another container has it, if this one is told of a socket to take over.

    Containers of other versions have another database: the lock of the volume's first one tells whose turn it is.
    """
    if not settings.in_files:
        return
    if settings.socket:
        try:
            wait_for_turn(DATA / DATA_FS, Path(settings.socket).parent)
            if data != DATA:
                hold_turn(DATA / DATA_FS)
        except BlockingIOError:
            raise Refused("another Plone was faster, and has the database now.") from None
        except OSError as error:
            raise Refused(
                f"{error.filename} cannot be written ({error.strerror}): the directory of LISTEN_SOCKET must be one "
                f"that user {os.getuid()} may write."
            ) from None
    if free(data / DATA_FS):  # else Zope says that it is in use
        end_pack(data / DATA_FS, keeps_old=settings.processes == 1)
        refuse_missing(data)
    claimed(settings, data)


def claimed(settings: Settings, data: Path) -> None:
    """Claim a database in files that is there; a new one is there once Zope has opened it."""
    if settings.in_files and (data / DATA_FS).exists():
        claim(data, plone_version())


def secret(path: str, variable: str, what: str) -> str:
    """Return the content of a secret file without its line end; raise Refused when it has none."""
    try:
        text = Path(path).read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Refused(
            f"{what} cannot be read from {path} ({reason}): mount a file there that user {os.getuid()} may read, "
            f"or name another in {variable}."
        ) from None
    if not text or "\n" in text:
        raise Refused(f"{path} must hold {what} in one line: write it there and start again.")
    return text


def with_dsn(settings: Settings) -> Settings:
    """Return the settings with the DSN taken from its file, where one is named."""
    if not settings.relstorage_dsn_file:
        return settings
    dsn = secret(settings.relstorage_dsn_file, "RELSTORAGE_DSN_FILE", "the database's DSN")
    return dataclasses.replace(settings, relstorage={**settings.relstorage, "RELSTORAGE_DSN": dsn})


def set_up_logging() -> None:
    """Log requests to standard output and everything else to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(name)s] %(message)s")
    access = logging.StreamHandler(sys.stdout)
    access.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("access").addHandler(access)
    logging.getLogger("access").propagate = False
    # It warns for every request that finds all threads at work: callers queue on purpose.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
