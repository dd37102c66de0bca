"""Who waits is served in turn by client: no client waits for more than one turn of each other."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as some

from eduhub_bridge.patterns.fair_queue import FairQueue

CLIENTS = some.tuples(some.sampled_from("ABCD"), some.sampled_from("xyz"))


def served(queue):
    """Take everything out of a queue, in its order."""
    items = []
    while queue:
        address, item = queue.next_turn()
        assert address == item[0][0]
        items.append(item)
        queue.remove(item[0], item)
    return items


def test_addresses_take_turns_and_users_divide_those_of_their_address():
    queue = FairQueue()
    for client, number in [(("A", "x"), 1), (("A", "x"), 2), (("A", "y"), 3), (("B", "z"), 4), (("B", "z"), 5)]:
        queue.add(client, (client, number))
    assert [number for _, number in served(queue)] == [1, 4, 3, 5, 2]


@given(some.lists(CLIENTS, max_size=40))
def test_no_request_waits_for_more_than_one_turn_of_each_other_address_for_each_own(clients):
    queue = FairQueue()
    for number, client in enumerate(clients):
        queue.add(client, (client, number))
    order = served(queue)
    assert sorted(number for _, number in order) == list(range(len(clients)))
    for key in (lambda client: client, lambda client: client[0]):
        before: Counter = Counter()
        for client, _ in order:
            before[key(client)] += 1
        assert before == Counter(map(key, clients))
    addresses = {address for address, _ in clients}
    own: Counter = Counter()
    for place, ((address, _), _) in enumerate(order, start=1):
        own[address] += 1
        assert place <= own[address] * len(addresses)
    for client in set(clients):  # first in, first out
        numbers = [number for whose, number in order if whose == client]
        assert numbers == sorted(numbers)
    for address in addresses:  # and within an address the same holds for its users
        inside = [client for client, _ in order if client[0] == address]
        turns: Counter = Counter()
        for place, client in enumerate(inside, start=1):
            turns[client] += 1
            assert place <= turns[client] * len(set(inside))


@given(some.lists(CLIENTS, max_size=30), CLIENTS)
def test_who_is_crowded_out_had_more_than_the_newcomer_has_then(clients, newcomer):
    queue = FairQueue()
    for number, client in enumerate(clients):
        queue.add(client, (client, number))
    addresses, users = Counter(address for address, _ in clients), Counter(clients)
    item = queue.crowded_out(newcomer)
    if item is None:
        assert addresses[newcomer[0]] + 1 >= max(addresses.values(), default=0)
        same = [count for client, count in users.items() if client[0] == newcomer[0]]
        assert users[newcomer] + 1 >= max(same, default=0)
        return
    (address, user), number = item
    assert number == max(place for place, client in enumerate(clients) if client == (address, user))
    if address == newcomer[0]:
        assert users[newcomer] + 1 < users[address, user]
    else:
        assert addresses[newcomer[0]] + 1 < addresses[address] == max(addresses.values())


def test_an_item_of_several_clients_is_forgotten_for_each_on_its_own():
    queue = FairQueue()
    for client in (("A", ""), ("A", ""), ("B", "")):
        queue.add(client, "page")
    queue.remove(("A", ""), "page")
    queue.remove(("A", ""), "page")
    queue.remove(("B", "u"), "page")
    assert queue.next_turn() == ("B", "page")
    queue.remove(("B", ""), "page")
    assert not queue
    assert queue.next_turn() is None


def test_a_turn_that_an_address_may_not_have_goes_to_the_next():
    queue = FairQueue()
    queue.add(("A", ""), 1)
    queue.add(("B", ""), 2)
    assert queue.next_turn(lambda address: address != "A") == ("B", 2)
    assert queue.next_turn(lambda _: False) is None
    assert queue.next_turn() == ("A", 1)
