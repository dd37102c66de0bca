"""Zope in this process: one load of its configuration serves the set-up and the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import OFS.Application
import Zope2
from AccessControl.SecurityManagement import newSecurityManager
from AccessControl.users import system
from psycopg2 import OperationalError
from zc.lockfile import LockError
from ZEO.Exceptions import ClientDisconnected
from Zope2.App import startup
from Zope2.Startup.run import make_wsgi_app
from ZPublisher.httpexceptions import HTTPExceptionHandler

from .repairs import repair
from .serve import serve
from .settings import Refused
from .site import prepare

__all__ = ["prepare", "serve", "start", "stop"]


def start(conf: str, wait: Callable[[], None]) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application of the configuration file. `wait` is called before the database is opened."""
    try:
        with loaded_before_the_database(wait):
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


@contextmanager
def loaded_before_the_database(wait: Callable[[], None]) -> Iterator[None]:
    """Let Zope load products and ZCML before it opens the database, and `wait` between the two.

    Both hooks are called by Zope2.App.startup as attributes of their modules; ZopeTestCase replaces the second as well.
    """
    products, zcml = OFS.Application.import_products, startup.load_zcml

    def load() -> None:
        products()
        newSecurityManager(None, system)
        zcml()
        repair()
        wait()

    OFS.Application.import_products, startup.load_zcml = load, lambda: None
    try:
        yield
    finally:
        OFS.Application.import_products, startup.load_zcml = products, zcml


def stop() -> None:
    """Close the database: its index is saved, so the next start is quicker."""
    Zope2.DB.close()
