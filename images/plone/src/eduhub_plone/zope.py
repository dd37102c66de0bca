"""Zope in this process: one load of its configuration serves the set-up and the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import Zope2
from psycopg2 import OperationalError
from zc.lockfile import LockError
from ZEO.Exceptions import ClientDisconnected
from Zope2.Startup.run import make_wsgi_app
from ZPublisher.httpexceptions import HTTPExceptionHandler

from .serve import serve
from .settings import Refused
from .site import prepare

__all__ = ["prepare", "serve", "start", "stop"]


def start(conf: str) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application of the configuration file."""
    try:
        application: Callable[..., Iterable[bytes]] = HTTPExceptionHandler(make_wsgi_app({}, conf))
    except LockError:
        raise Refused(
            "The database in /data is in use by another process: stop the other container, or run several over "
            "ZEO_ADDRESS or RELSTORAGE_DSN, because files admit one process."
        ) from None
    except ClientDisconnected:
        raise Refused("No ZEO server answers: start it, or correct its address in ZEO_ADDRESS.") from None
    except OperationalError as error:
        why = str(error).strip().splitlines()[-1]
        raise Refused(f"PostgreSQL cannot be used ({why}): start it, or correct RELSTORAGE_DSN.") from None
    return application


def stop() -> None:
    """Close the database: its index is saved, so the next start is quicker."""
    Zope2.DB.close()
