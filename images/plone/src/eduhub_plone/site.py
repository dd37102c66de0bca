"""Makes what is missing in the database: the administrator and the site. Imported once Zope is configured."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import transaction
import Zope2
from AccessControl.SecurityManagement import newSecurityManager, noSecurityManager
from plone.base.interfaces import IPloneSiteRoot
from Products.CMFPlone.factory import addPloneSite
from Products.CMFPlone.utils import getFSVersionTuple
from Products.GenericSetup.registry import _profile_registry
from Products.PluggableAuthService.interfaces.authservice import IPluggableAuthService
from Testing.makerequest import makerequest
from zope.component.hooks import setSite

from .administrator import ADMIN, ensure_admin
from .sample import ensure_sample
from .settings import Refused, Site, told_to_factory

log = logging.getLogger("plone")


def prepare(password: str, site: Site | None) -> None:
    """Bring the database to what is asked for. Writes nothing when nothing is missing."""
    app = makerequest(Zope2.app())
    try:
        if once(lambda: ensure_admin(app, password, IPluggableAuthService.providedBy(app.acl_users))):
            log.info("The password of %s was set from its file.", ADMIN)
        if site:
            if site.delete_existing and site.id in app.objectIds():
                log.warning("Site %s is deleted and made anew because DELETE_EXISTING is set.", site.id)
            newSecurityManager(None, app.acl_users.getUser(ADMIN).__of__(app.acl_users))
            timed(f"Site {site.id} created", lambda: ensure_site(app, site))
            sample = site.sample
            if sample:
                timed(f"Sample content {sample} created", lambda: ensure_sample(enter(app[site.id]), sample))
    finally:
        setSite(None)
        noSecurityManager()
        app._p_jar.close()


def timed(words: str, work: Callable[[], bool]) -> None:
    """Do the work in a transaction, and log the words if it changed something."""
    begun = time.monotonic()
    logging.disable(logging.WARNING)  # a new site tells some thousand harmless things
    try:
        done = once(work)
    finally:
        logging.disable(logging.NOTSET)
    if done:
        log.info("%s in %.1f s.", words, time.monotonic() - begun)


def once(work: Callable[[], bool]) -> bool:
    """Return what work returns, committed; done anew when another process on the same database was faster."""
    done = False
    for attempt in transaction.attempts(3):
        with attempt:
            done = work()
            if not done:
                transaction.abort()
    return done


def enter(site: Any) -> Any:
    """Return the site, made the current one."""
    setSite(site)
    return site


def ensure_site(app: Any, site: Site) -> bool:
    """Make the site unless it is there; return whether it was made."""
    if site.id in app.objectIds():
        if not IPloneSiteRoot.providedBy(app[site.id]):
            raise Refused(f"SITE={site.id} cannot be made: the database holds something else of that name.")
        if not site.delete_existing:
            return False
        app.manage_delObjects([site.id])
    known = [profile["id"] for profile in _profile_registry.listProfileInfo()]
    wanted = told_to_factory(site, getFSVersionTuple()[:2])
    for profile in wanted["extension_ids"]:
        if profile not in known:
            near = get_close_matches(profile, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise Refused(f"PROFILES={profile} is not in this image.{hint}")
    addPloneSite(
        app,
        site.id,
        title="Plone",
        default_language=site.language,
        portal_timezone=site.timezone,
        **wanted,
    )
    return True
