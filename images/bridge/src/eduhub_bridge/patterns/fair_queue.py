"""Fair queue: the next turn goes to the client that has waited longest for one, however much each has queued.

    queue = FairQueue()
    queue.add(("203.0.113.7", "ada"), item)
    address, item = queue.next_turn()   # it stays queued until it is removed
    queue.remove(("203.0.113.7", "ada"), item)

Round robin over addresses, within an address over users, first in first out within a user (J. Nagle, RFC 970). A
credential is the client's own claim: by inventing many, a client divides only the turns of its own address.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Callable, Dict, Generic, Hashable, Optional, Tuple, TypeVar

T = TypeVar("T", bound=Hashable)

Client = Tuple[str, str]
"""An address, and a user there."""


class FairQueue(Generic[T]):
    """Items in the order of turns. Every item is queued for a client, or for several of them."""

    def __init__(self) -> None:
        # Both levels in the order of turns: one that has had its turn goes to the end.
        self._addresses: OrderedDict[str, OrderedDict[str, OrderedDict[T, None]]] = OrderedDict()
        self._lengths: Dict[str, int] = {}

    def __bool__(self) -> bool:
        """Return whether anything is queued."""
        return bool(self._addresses)

    def add(self, client: Client, item: T) -> None:
        """Queue an item; once more for the same client changes nothing."""
        address, user = client
        items = self._addresses.setdefault(address, OrderedDict()).setdefault(user, OrderedDict())
        if item not in items:
            items[item] = None
            self._lengths[address] = self._lengths.get(address, 0) + 1

    def remove(self, client: Client, item: T) -> None:
        """Forget an item, if it is queued for this client."""
        address, user = client
        users = self._addresses.get(address)
        items = users.get(user) if users else None
        if users is None or items is None or item not in items:
            return
        del items[item]
        self._lengths[address] -= 1
        if not items:
            del users[user]
        if not users:
            del self._addresses[address], self._lengths[address]

    def next_turn(self, may: Callable[[str], bool] = lambda _: True) -> Optional[Tuple[str, T]]:
        """Give the next turn to an address that `may` have it: return it with its item, None if there is none."""
        for address, users in self._addresses.items():
            if may(address):
                self._addresses.move_to_end(address)
                user, items = next(iter(users.items()))
                users.move_to_end(user)
                return address, next(iter(items))
        return None

    def crowded_out(self, client: Client) -> Optional[T]:
        """Return the item that has to give way to another one of `client`; None if that would be no fairer.

        It is the newest of the longest queue, if that stays no shorter than the newcomer's own.
        """
        if not self._addresses:
            return None
        address, user = client
        longest = max(self._lengths, key=self._lengths.__getitem__)
        if self._lengths.get(address, 0) + 1 < self._lengths[longest]:
            return self.newest(longest)
        users = self._addresses.get(address)
        if users is None:
            return None
        items = max(users.values(), key=len)
        return next(reversed(items)) if len(users.get(user, ())) + 1 < len(items) else None

    def newest(self, address: Optional[str] = None) -> T:
        """Return the newest item of the longest queue, of this address or of all; raise ValueError if it is empty."""
        if address is None:
            address = max(self._lengths, key=self._lengths.__getitem__)
        items: OrderedDict[T, None] = max(self._addresses[address].values(), key=len)
        return next(reversed(items))
