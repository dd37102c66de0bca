"""Brings the sites of an open database to the version of this image's Plone, as `@@plone-upgrade` does."""

from __future__ import annotations

import time
import traceback
from typing import Any

from ..place import plone_version
from .errors import BackupError
from .sites import sites_in

MOST_TOLD = 200


def migrate() -> dict[str, Any]:
    """Migrate every site of Zope's database, all in one transaction, and return what was done.

    `seconds`; `sites`: of each, by its path, its profile version before and after; `add_ons`: those that offer an
    upgrade of their own; `version`: that of this image's Plone, whatever its label says. BackupError where a step
    raises, or a site is not of this version after all of them.
    """
    # Imported late, as all of Plone: it takes seconds.
    import transaction  # noqa: PLC0415
    import Zope2  # noqa: PLC0415
    from AccessControl.SecurityManagement import newSecurityManager, noSecurityManager  # noqa: PLC0415
    from AccessControl.users import system  # noqa: PLC0415
    from Testing.makerequest import makerequest  # noqa: PLC0415
    from zope.component.hooks import setSite  # noqa: PLC0415

    begun, done, add_ons = time.monotonic(), {}, []
    app = makerequest(Zope2.app())
    try:
        newSecurityManager(None, system.__of__(app.acl_users))
        for path, site in sites_in(app):
            setSite(site)
            done[path] = moved(site.portal_migration)
            add_ons += offered(site)
        transaction.commit()
    except Exception as error:  # whatever a step or an add-on raises
        transaction.abort()
        raise BackupError("plone_migration_failed", f"The content cannot be migrated: {said(error)}.") from error
    finally:
        setSite(None)
        noSecurityManager()
        app._p_jar.close()
    return {"seconds": round(time.monotonic() - begun, 1), "sites": done, "add_ons": sorted(set(add_ons)),
            "version": plone_version()}  # fmt: skip


def moved(tool: Any) -> list[str]:
    """Run all upgrade steps of a site, and return its profile version before and after. Raises what a step raises."""
    before = tool.getInstanceVersion()
    tool.upgrade(swallow_errors=False)
    if tool.needUpgrading():
        raise LookupError(f"no upgrade step leads on from profile version {tool.getInstanceVersion()}")
    return [before, tool.getInstanceVersion()]


def offered(site: Any) -> list[str]:
    """Return the installed add-ons of a site that offer an upgrade, which its administrator begins in the site."""
    from plone.base.utils import get_installer  # noqa: PLC0415

    installer = get_installer(site, site.REQUEST)
    profiles = installer.ps.listProfileInfo()
    products = {each["product"] for each in profiles if installer.is_product_installed(each["product"])}
    return [each for each in products if (installer.upgrade_info(each) or {}).get("required")]


def said(error: Exception) -> str:
    """Return what was raised, and where: the innermost line."""
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:MOST_TOLD]
    return f"{type(error).__name__}: {text} ({innermost.filename}:{innermost.lineno})"
