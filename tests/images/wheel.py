"""A wheel as an institution makes one of its own package: a profile, and the entry point by which Plone finds it."""

from __future__ import annotations

import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

PROFILE = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:genericsetup="http://namespaces.zope.org/genericsetup">
  <genericsetup:registerProfile name="default" title="School" directory="profile"
      provides="Products.GenericSetup.interfaces.EXTENSION" />
</configure>
"""


def make(folder: Path, name: str, needs: str, version: str = "1.0") -> Path:
    """Write a version of the package `name`, as "school.theme", which needs another one, into `folder`."""
    package, told = name.replace(".", "/"), f"{name.replace('.', '_')}-{version}.dist-info"
    files = {
        f"{package}/__init__.py": "",
        f"{package}/configure.zcml": PROFILE,
        f"{package}/profile/metadata.xml": "<metadata><version>1</version></metadata>\n",
        f"{told}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: {needs}\n",
        f"{told}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{told}/entry_points.txt": "[z3c.autoinclude.plugin]\ntarget = plone\n",
    }
    record = [
        f"{path},sha256={urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for path, text in files.items()
    ]
    files[f"{told}/RECORD"] = "\n".join([*record, f"{told}/RECORD,,", ""])
    wheel = folder / f"{name.replace('.', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
