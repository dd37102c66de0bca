"""The hosts of an inventory as Ansible sees them. Import it once Ansible's settings stand in os.environ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ansible import constants  # type: ignore[attr-defined] # mypy takes our own folder for it
from ansible.cli import CLI  # type: ignore[import-untyped]
from ansible.errors import AnsibleError  # type: ignore[import-untyped]
from ansible.inventory.manager import InventoryManager, split_host_pattern  # type: ignore[import-untyped]
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.parsing.vault import (  # type: ignore[import-untyped]
    AnsibleVaultError,
    EncryptedString,
    VaultSecretsContext,
)
from ansible.plugins.loader import init_plugin_loader  # type: ignore[import-untyped]
from ansible.template import is_trusted_as_template  # type: ignore[import-untyped]
from ansible.utils.collection_loader import AnsibleCollectionConfig  # type: ignore[import-untyped]
from ansible.vars.manager import VariableManager  # type: ignore[import-untyped]

from front.arguments.refusal import RefusalError, shown
from front.inventory import misspelt
from front.inventory.documented import ENCRYPTED, is_template


def read(inventory: Path, limit: str, needed: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name and variables of each host as Ansible's own managers see them. Raises RefusalError.

    `needed`: what the names begin with whose encrypted values have to be readable; others' may stay unread.
    """
    constants.INVENTORY_ANY_UNPARSED_IS_FAILED = True  # half an inventory would leave hosts out in silence
    if not AnsibleCollectionConfig.collection_finder:  # it may be set only once in a process
        init_plugin_loader()
    secrets: list[Any] = []
    try:
        loader = DataLoader()
        secrets = CLI.setup_vault_secrets(
            loader, list(constants.DEFAULT_VAULT_IDENTITY_LIST), auto_prompt=False,
            initialize_context=VaultSecretsContext.current(optional=True) is None,  # once in a process
        )
        loader.set_vault_secrets(secrets)
        manager = InventoryManager(loader=loader, sources=[str(inventory)])
        if not manager.list_hosts("all"):
            raise RefusalError(f"The inventory {shown(inventory)} names no host; write at least one into it.")
        check_names(manager, inventory)
        misspelt.check_groups(inventory, manager.groups)
        misspelt.check_files(inventory, manager.groups)
        check_limit(manager, limit)
        manager.subset(limit or None)
        if not manager.list_hosts("all"):
            raise fits_none(manager, limit)
        variables = VariableManager(loader=loader, inventory=manager)
        for host in manager.list_hosts("all"):
            found = variables.get_vars(host=host, include_hostvars=False)
            check_texts(found, host.name, inventory)
            decrypt({name: value for name, value in found.items() if name.startswith(needed)})
            yield host.name, readable(found)
    except AnsibleError as error:
        if vault_failed(error):
            raise RefusalError(vault_message(inventory, given=bool(secrets))) from None
        why = str(error).splitlines()[0].rstrip(".")
        raise RefusalError(f"The inventory {shown(inventory)} cannot be used: {why}; correct it.") from None


def vault_failed(error: BaseException | None) -> bool:
    """Whether an error is one of ansible-vault, or came of one."""
    return error is not None and (isinstance(error, AnsibleVaultError) or vault_failed(error.__context__))


def vault_message(inventory: Path, *, given: bool) -> str:
    """Return why what ansible-vault encrypted cannot be read."""
    if given:
        return f"The password given for ansible-vault does not fit what the inventory {shown(inventory)} encrypts."
    return (
        f"The inventory {shown(inventory)} holds values that ansible-vault encrypted, and no password was given: add "
        "--ask-vault-pass, or --vault-password-file FILE."
    )


def decrypt(value: Any) -> None:
    """Decrypt each encrypted text in `value`, and forget it. Raises AnsibleVaultError for one that cannot be."""
    if isinstance(value, EncryptedString):
        str(value)
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        decrypt(part)


def readable(value: Any) -> Any:
    """Return `value` with a template for each text in it that may not be judged, or shown.

    Those are encrypted, or `!unsafe`: Ansible does not render their braces.
    """
    unrendered = isinstance(value, str) and is_template(value) and not is_trusted_as_template(value)
    if isinstance(value, EncryptedString) or unrendered:
        return f"{{{{ {ENCRYPTED} }}}}"
    if isinstance(value, Mapping):
        return {str(key): readable(part) for key, part in value.items()}
    return [readable(part) for part in value] if isinstance(value, list) else value


def check_texts(found: Mapping[Any, Any], host: str, inventory: Path) -> None:
    """Raise RefusalError for a variable whose name YAML does not take for a text, such as 2024, yes or null."""
    for name in found:
        if not isinstance(name, str):
            raise RefusalError(
                f"The inventory {shown(inventory)} gives {host} a variable with the name {name}, which is "
                f"{'empty' if name is None else 'true or false' if isinstance(name, bool) else 'a number'} and no text "
                "(yes and no are true and false in YAML); write another name, or remove it."
            )


def check_names(manager: Any, inventory: Path) -> None:
    """Raise RefusalError for a host named like a group: Ansible plays on it alone where a play is for the group."""
    both = sorted({host.name for host in manager.list_hosts("all")} & set(manager.groups))
    if both:
        raise RefusalError(
            f"The inventory {shown(inventory)} names a host and a group {both[0]!r}, and Ansible plays what is "
            "for the group on that host alone; give the host another name."
        )


def check_limit(manager: Any, limit: str) -> None:
    """Raise RefusalError unless Ansible reads `limit` as it is meant, and each part that adds hosts stands for some."""
    parts = split_host_pattern(limit)
    if limit and not parts:
        raise fits_none(manager, limit)  # Ansible would take all hosts
    single = [each for part in parts for each in pieces(part)]
    if single != parts:
        raise RefusalError(
            f"--limit {limit!r} has commas and colons, and Ansible splits it at the commas only: type --limit "
            f"'{','.join(single)}'."
        )
    for part in parts:
        wanted = listed(part[1:]) if part[0] == "@" else [part] if part[0] not in "!&" else []
        for each in wanted:
            if not fits(manager, each):
                raise fits_none(manager, limit, each)


def pieces(part: str) -> list[str]:
    """Return the patterns that a part of a limit would be without commas; an IPv6 address is one, left out or not."""
    sign = part[0] if part[0] in "!&" else ""
    found = [] if part[0] in "~@" else split_host_pattern(part.removeprefix(sign))
    return [f"{sign}{found[0]}", *found[1:]] if found else [part]


def fits(manager: Any, pattern: str) -> bool:
    """Whether a pattern stands for some hosts; one with a number past the last host of its group does not."""
    try:
        return bool(manager.list_hosts(pattern))
    except AnsibleError:
        return False


def listed(file: str) -> list[str]:
    """Return the hosts that a file names, one a line. Raises RefusalError where there are none."""
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise RefusalError(f"--limit '@{file}' names a file that cannot be read: {why}; name another.") from None
    if not (found := [line.strip() for line in lines if line.strip()]):
        raise RefusalError(f"--limit '@{file}' names a file without a host; write one a line into it.")
    return found


def fits_none(manager: Any, limit: str, part: str = "") -> RefusalError:
    """Return the refusal of a limit that leaves no host, or of the part of it that fits none."""
    names = [*(host.name for host in manager.get_hosts("all", ignore_limits=True)), *manager.groups]
    near = get_close_matches(part, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"its hosts are {', '.join(names[:12])}."
    what = f"{part!r} fits" if part else f"{limit!r} leaves"
    return RefusalError(f"--limit {what} no host of this inventory; {hint}")
