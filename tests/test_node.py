"""Whole nodes joined by a list: they find each other, keep and give records, and let no datagram hurt them."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import cache
from math import inf
from random import Random
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pmarket import limits, messages
from p2pmarket.dht import events
from p2pmarket.dht.contact import Address, Contact, contact_at, pack_address
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import FIRST_CONTACT_ROOM, Peer, PlainSessions, Sessions
from p2pmarket.dht.topics import topic_key
from p2pmarket.errors import Unavailable
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.network import DEV, MAIN, TEST, Network
from p2pmarket.records import WORLD, Announcement, Record, direct_route, make_announcement

WALL = 1_800_000_000
CATEGORY = "coffee"
DELAY = 0.03

Event = events.Event
T = TypeVar("T")


class Net:
    """Nodes and the datagrams between them, on one clock. Odd ends are tests' own hands."""

    def __init__(self, network: Network = TEST, *, noise: bool = False, seed: int = 1) -> None:
        self.network = network
        self.kind = Sessions if noise else PlainSessions
        self.rng = Random(seed)
        self.now = 0.0
        self.nodes: dict[Address, Node] = {}
        self.events: dict[Address, list[Event]] = {}
        self.seen: list[tuple[Address, Address, bytes]] = []  # source, destination, datagram
        self.lose: Callable[[Address, Address], bool] = lambda source, to: False
        self._flights: list[tuple[float, int, Address, Address, bytes]] = []

    def add(self, address: Address, *, client: bool = False, wall: int = WALL, auto: bool = False) -> Node:
        key = ExchangeKey.from_seed(self.rng.randbytes(32))
        sessions = self.kind(key, self.network, self.rng.randbytes, self.rng)
        node = Node(
            self.network, key, sessions, rng=self.rng, secrets=self.rng.randbytes, now=self.now,
            wall=wall + int(self.now), address=None if client or auto else address, client=not auto,
        )  # fmt: skip
        self.nodes[address] = node
        self.events[address] = []
        return node

    def many(self, count: int, **more: bool) -> list[Node]:
        """Nodes, each in a /16 of its own, all told of the first, started within ten seconds."""
        for number in range(count):
            node = self.add((f"60.{number}.0.1", 4001), **more)
            if number:
                node.bootstrap([self.contact(next(iter(self.nodes.values())))], self.now)
            self.run(10 / count)
        return list(self.nodes.values())

    def contact(self, node: Node) -> Contact:
        assert node.contact is not None
        return node.contact

    def address(self, node: Node) -> Address:
        return next(address for address, other in self.nodes.items() if other is node)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            self._collect()
            due = min((node.next_timeout() for node in self.nodes.values()), default=inf)
            flight = self._flights[0][0] if self._flights else inf
            moment = max(self.now, min(due, flight))
            if moment > end:
                self.now = end
                return
            self.now = moment
            if flight <= due:
                _, _, source, to, data = heapq.heappop(self._flights)
                if to in self.nodes:
                    self.nodes[to].receive_datagram(data, source, self.now)
            else:
                for node in self.nodes.values():
                    if node.next_timeout() <= self.now:
                        node.handle_timeouts(self.now)

    def _collect(self) -> None:
        for address, node in list(self.nodes.items()):
            while (event := node.next_event()) is not None:
                self.events[address].append(event)
            for data, to in node.datagrams_to_send(self.now):
                self.seen.append((address, to, data))
                if not self.lose(address, to):
                    flight = (self.now + DELAY, len(self.seen), address, to, data)
                    heapq.heappush(self._flights, flight)

    def told(self, node: Node, kind: type[T]) -> list[T]:
        return [event for event in self.events[self.address(node)] if isinstance(event, kind)]


def made_record(net: Net, *, seq: int = 1, signer: int = 1, category: str = CATEGORY) -> Record:
    announcement = Announcement(
        epoch=0, seq=seq, issued=WALL, expires=WALL + limits.RECORD_SECONDS, category=category, regions=(WORLD,),
        located=None, name="Seller", service_key=bytes(32), routes=(direct_route(f"60.1.{signer}.1", 4001),),
        versions=(1, 1), withdrawn=False,
    )  # fmt: skip
    return make_announcement(SigningKey.from_seed(signer.to_bytes(32, "big")), net.network, announcement)


def topic_of(net: Net) -> bytes:
    return topic_key(net.network, CATEGORY, None, WALL)


# Joining


def test_two_nodes_find_each_other() -> None:
    net = Net()
    one, two = net.many(2)
    net.run(5)
    assert net.told(two, events.Joined)
    assert [contact.public for contact in one.contacts()] == [net.contact(two).public]
    assert two.contacts() == [net.contact(one)]
    assert net.told(one, events.Joined)  # by being called


@pytest.mark.parametrize("noise", [False, True])
def test_in_a_small_network_everybody_knows_everybody(noise: bool) -> None:
    net = Net(noise=noise)
    nodes = net.many(12)
    net.run(40)
    assert all(len(node.contacts()) == 11 for node in nodes)
    assert all(11 <= node.estimated_size() <= 12 for node in nodes)


def test_a_lookup_finds_the_true_nearest() -> None:
    net = Net()
    nodes = net.many(60)
    net.run(60)
    for target in (bytes(32), bytes(range(32)), net.contact(nodes[7]).id):
        number = nodes[5].start_lookup(target, net.now)
        net.run(3)
        done = net.told(nodes[5], events.LookupDone)[-1]
        assert done.lookup == number
        wanted = int.from_bytes(target, "big")
        truth = sorted((net.contact(node) for node in nodes), key=lambda one: one.long_id ^ wanted)[:20]
        assert list(done.contacts) == truth


def test_a_node_without_answers_keeps_trying() -> None:
    net = Net()
    here = net.add(("60.1.0.1", 4001))
    there = contact_at(bytes(range(32)), "60.2.0.1", 4001, 0, TEST)
    assert there is not None
    here.bootstrap([there], 0.0)
    net.run(60)
    tries = len(net.seen)
    assert tries >= 2 * 5
    net.run(600)
    assert len(net.seen) >= tries + 2 * 8
    assert len(net.seen) < tries + 200


def test_a_bootstrap_that_comes_late_is_found() -> None:
    net = Net()
    here, there = net.add(("60.1.0.1", 4001)), net.add(("60.2.0.1", 4001))
    net.lose = lambda source, to: net.now < 100
    here.bootstrap([net.contact(there)], 0.0)
    net.run(200)
    assert here.contacts() == [net.contact(there)]


def test_contacts_given_after_callers_filled_the_table_are_asked() -> None:
    net = Net()
    nodes = net.many(24)
    net.run(30)
    stranger = net.contact(net.add(("61.0.0.1", 4001)))
    assert nodes[0].known >= limits.BUCKET_CONTACTS
    nodes[0].bootstrap([stranger], net.now)
    net.run(1)
    assert nodes[0].table.get(stranger) is not None


def test_a_node_comes_back_by_the_contacts_it_knew() -> None:
    net = Net()
    nodes = net.many(10)
    net.run(40)
    saved = nodes[4].contacts()
    del net.nodes[net.address(nodes[0])]  # the bootstrap is gone
    back = net.add(("61.0.0.1", 4001))
    back.bootstrap(saved, net.now)
    net.run(30)
    assert len(back.contacts()) == 9


def test_dead_contacts_are_forgotten_and_live_ones_kept() -> None:
    net = Net()
    nodes = net.many(10)
    net.run(40)
    for node in nodes[5:]:
        del net.nodes[net.address(node)]
    net.run(3 * 3600)
    assert all(
        set(node.contacts()) == {net.contact(other) for other in nodes[:5] if other is not node} for node in nodes[:5]
    )


def test_losing_the_network_loses_no_contacts() -> None:
    net = Net()
    nodes = net.many(6)
    net.run(40)
    cut = net.address(nodes[3])
    net.lose = lambda source, to: cut in (source, to)
    net.run(6 * 3600)
    assert len(nodes[3].contacts()) == 5
    net.lose = lambda source, to: False
    net.run(1800)
    assert all(len(node.contacts()) == 5 for node in nodes)


def test_an_idle_node_sends_little() -> None:
    net = Net()
    net.many(25)
    net.run(120)
    net.seen.clear()
    net.run(2000)
    assert 0 < sum(len(data) for _, _, data in net.seen) / 2000 / 25 < 1000


# Records


@pytest.mark.parametrize("noise", [False, True])
def test_a_record_is_put_everywhere_in_a_small_network_and_found(noise: bool) -> None:
    net = Net(noise=noise)
    nodes = net.many(8)
    net.run(40)
    record = made_record(net)
    put = nodes[2].start_put(topic_of(net), record.envelope, net.now)
    net.run(2)
    assert net.told(nodes[2], events.PutDone) == [events.PutDone(put, stored=7, refused=0, asked=7)]
    assert all(len(node.values) == 1 for node in nodes)
    get = nodes[6].start_get([topic_of(net)], 1, net.now)
    net.run(2)
    found = net.told(nodes[6], events.RecordsFound)
    assert [event.records for event in found] == [(record,)]
    assert net.told(nodes[6], events.GetDone)[0].get == get
    assert net.told(nodes[6], events.GetDone)[0].found == 1


def publish(net: Net, nodes: list[Node], count: int) -> set[bytes]:
    records = [made_record(net, signer=signer) for signer in range(1, count + 1)]
    for number, record in enumerate(records):
        nodes[number % len(nodes)].start_put(topic_of(net), record.envelope, net.now)
    net.run(4)
    return {record.signer for record in records}


def test_all_of_sixty_sellers_are_found_page_by_page() -> None:
    net = Net()
    nodes = net.many(30)
    net.run(60)
    sellers = publish(net, nodes, 60)
    reader = net.add(("62.0.0.1", 4001), client=True)
    reader.bootstrap([net.contact(nodes[0])], net.now)
    net.run(5)
    began = net.now
    reader.start_get([topic_of(net)], 10_000, net.now)
    while not (done := net.told(reader, events.GetDone)):
        net.run(0.01)
    found = {record.signer for event in net.told(reader, events.RecordsFound) for record in event.records}
    assert found == sellers
    assert done[0].found == done[0].total == 60
    assert net.now - began < 1
    assert net.told(reader, events.GetProgress)


def test_a_newcomer_takes_over_what_its_neighbours_hold() -> None:
    net = Net()
    nodes = net.many(8)
    net.run(30)
    publish(net, nodes, 60)
    net.run(10)
    late = net.add(("61.0.0.1", 4001))
    late.bootstrap([net.contact(nodes[0])], net.now)
    net.run(10)
    assert late.values.held(topic_of(net)) == nodes[0].values.held(topic_of(net)) == 60


def test_of_each_neighbour_a_newcomer_takes_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FETCH_BYTES", 0)
    net = Net()
    nodes = net.many(8)
    net.run(30)
    publish(net, nodes, 60)
    net.run(10)
    late = net.add(("61.0.0.1", 4001))
    late.bootstrap([net.contact(nodes[0])], net.now)
    net.run(10)
    assert len(late.values) == 0


def test_a_get_ends_when_there_are_enough() -> None:
    net = Net()
    nodes = net.many(10)
    net.run(40)
    publish(net, nodes, 40)
    reader = net.add(("62.0.0.1", 4001), client=True)
    reader.bootstrap([net.contact(nodes[0])], net.now)
    net.run(5)
    reader.start_get([topic_of(net)], 3, net.now)
    net.run(1)
    done = net.told(reader, events.GetDone)[0]
    assert 3 <= done.found < 40


def test_a_get_of_nothing_says_how_many_were_asked() -> None:
    net = Net()
    nodes = net.many(6)
    net.run(40)
    nodes[1].start_get([bytes(32), bytes(range(32))], 5, net.now)
    net.run(2)
    done = net.told(nodes[1], events.GetDone)[0]
    assert (done.asked, done.answered, done.found) == (5, 5, 0)


def test_the_newer_record_wins_and_the_older_comes_not_back() -> None:
    net = Net()
    nodes = net.many(5)
    net.run(40)
    for seq in (2, 1):
        nodes[1].start_put(topic_of(net), made_record(net, seq=seq).envelope, net.now)
        net.run(1)
    old = net.told(nodes[1], events.PutDone)[1]
    assert (old.stored, old.refused, old.reasons) == (0, 4, (("stale", 4),))
    nodes[4].start_get([topic_of(net)], 5, net.now)
    net.run(1)
    assert [event.records[0].announcement.seq for event in net.told(nodes[4], events.RecordsFound)] == [2]


def test_a_record_of_another_category_is_refused_by_holders_and_readers() -> None:
    net = Net()
    nodes = net.many(4)
    net.run(40)
    foreign = made_record(net, category="tea").envelope
    nodes[1].start_put(topic_of(net), foreign, net.now)
    net.run(1)
    assert net.told(nodes[1], events.PutDone)[0].reasons == (("bad", 3),)
    liar = nodes[2]

    class Liar:
        def page(self, *_: object) -> object:
            from p2pmarket.dht.values import Page

            return Page((foreign, b"junk"), 2, 2)

        def sweep(self, *_: object) -> None: ...

    liar._library.values = Liar()  # type: ignore[assignment]
    nodes[3].start_get([topic_of(net)], 5, net.now)
    net.run(5)
    assert net.told(nodes[3], events.RecordsFound) == []
    assert net.told(nodes[3], events.GetDone)[0].found == 0
    assert nodes[3].counters.bad_records == 2


def test_a_stopped_get_ends_at_once() -> None:
    net = Net()
    nodes = net.many(4)
    net.run(40)
    get = nodes[1].start_get([topic_of(net)], 5, net.now)
    nodes[1].stop(get)
    nodes[1].stop(get)
    nodes[1].stop(12_345)
    net.run(0)
    assert [done.get for done in net.told(nodes[1], events.GetDone)] == [get]


def test_alone_everything_ends_at_once() -> None:
    net = Net()
    (node,) = net.many(1)
    node.start_put(topic_of(net), made_record(net).envelope, net.now)
    node.start_get([topic_of(net)], 5, net.now)
    node.start_lookup(bytes(32), net.now)
    node.start_get([], 5, net.now)
    net.run(0)
    assert net.told(node, events.PutDone)[0].asked == 0
    assert [done.found for done in net.told(node, events.GetDone)] == [1, 0]  # what it holds itself
    assert net.told(node, events.LookupDone)[0].contacts == (net.contact(node),)


def test_a_repeated_get_takes_one_round_trip() -> None:
    net = Net()
    nodes = net.many(60)
    net.run(60)
    publish(net, nodes, 1)
    reader = net.add(("62.0.0.1", 4001), client=True)
    reader.bootstrap([net.contact(nodes[0])], net.now)
    net.run(5)
    for _ in range(2):
        reader.start_get([topic_of(net)], 1000, net.now)
        net.run(2)
    before = len(net.told(reader, events.GetDone))
    reader.start_get([topic_of(net)], 1000, net.now)
    net.run(2 * DELAY + 0.001)
    assert len(net.told(reader, events.GetDone)) == before + 1
    assert net.told(reader, events.GetDone)[-1].found == 1


def test_a_question_after_a_pause_is_not_lost() -> None:
    """The other side forgets a session that was not confirmed; the next question must not travel in it."""
    net = Net()
    nodes = net.many(8)
    client = net.add(("62.0.0.1", 4001), client=True)
    client.bootstrap([net.contact(nodes[0])], net.now)
    for pause in (5, 6, 9, 11, 30):
        net.run(pause)
        count = len(net.told(client, events.LookupDone))
        client.start_lookup(bytes(32), net.now)
        net.run(2 * DELAY + 0.001)
        assert len(net.told(client, events.LookupDone)) == count + 1


def test_lookups_under_way_are_bounded() -> None:
    net = Net()
    nodes = net.many(2)
    net.run(40)
    for _ in range(limits.LOOKUPS):
        nodes[1].start_lookup(bytes(32), net.now)
    with pytest.raises(Unavailable):
        nodes[1].start_get([bytes(32)], 1, net.now)
    net.run(1)
    nodes[1].start_get([bytes(32)], 1, net.now)


def test_events_not_read_are_bounded() -> None:
    queue = events.EventQueue()
    for number in range(limits.EVENTS):
        queue.put(events.Joined(number))
    assert queue.dropped == 0
    queue.put(events.Joined(0))
    assert queue.dropped == 1
    assert queue.next() == events.Joined(0)


def test_progress_not_read_is_replaced() -> None:
    queue = events.EventQueue()
    for answered in range(5):
        queue.put(events.GetProgress(1, 5, answered))
    queue.put(events.GetProgress(2, 5, 0))
    assert [queue.next(), queue.next(), queue.next()] == [
        events.GetProgress(1, 5, 4),
        events.GetProgress(2, 5, 0),
        None,
    ]


# Clients


def test_a_client_looks_up_and_publishes_but_is_stored_by_nobody() -> None:
    net = Net()
    nodes = net.many(5)
    client = net.add(("62.0.0.1", 4001), client=True)
    client.bootstrap([net.contact(nodes[0])], net.now)
    net.run(60)
    record = made_record(net)
    client.start_put(topic_of(net), record.envelope, net.now)
    net.run(1)
    assert net.told(client, events.PutDone)[0].stored == 5
    assert len(client.values) == 0
    client.start_get([topic_of(net)], 5, net.now)
    net.run(1)
    assert net.told(client, events.GetDone)[0].found == 1
    assert all(contact.host != "62.0.0.1" for node in nodes for contact in node.contacts())


def test_a_client_learns_its_address_and_becomes_a_node() -> None:
    net = Net()
    nodes = net.many(5)
    client = net.add(("62.0.0.1", 4001), client=True)
    client.bootstrap([net.contact(nodes[0])], net.now)
    net.run(10)
    assert net.told(client, events.AddressSeen) == [events.AddressSeen(("62.0.0.1", 4001))]
    assert client.contact is None
    client.set_address(("62.0.0.1", 4001), net.now)
    net.run(10)
    assert client.contact is not None
    assert all(client.contact in node.contacts() for node in nodes)
    assert len(client.contacts()) == 5
    client.set_address(None, net.now)
    assert client.contact is None


def test_by_itself_if_it_may() -> None:
    net = Net()
    nodes = net.many(2)
    other = net.add(("62.0.0.1", 4001), auto=True)
    other.bootstrap([net.contact(nodes[0])], net.now)
    net.run(30)
    assert other.contact is not None
    assert other.contact.address == ("62.0.0.1", 4001)


def test_one_liar_does_not_decide_our_address() -> None:
    """The first node, whom all know, sees everybody somewhere else."""
    net = Net()
    nodes = net.many(6)
    answer: Callable[..., messages.Answer] = nodes[0]._library.answer  # type: ignore[assignment]

    def lies(opened: object, request: object, *rest: object) -> object:
        return msgspec.structs.replace(answer(opened, request, *rest), seen=pack_address(("99.9.9.9", 9)))

    nodes[0]._library.answer = lies  # type: ignore[method-assign, assignment]
    client = net.add(("62.0.0.1", 4001), client=True)
    client.bootstrap([net.contact(nodes[0])], net.now)
    net.run(60)
    assert net.told(client, events.AddressSeen) == [events.AddressSeen(("62.0.0.1", 4001))]


def test_a_wrong_clock_is_noticed() -> None:
    net = Net()
    nodes = net.many(9)
    late = net.add(("62.0.0.1", 4001), wall=WALL - 3600)
    late.bootstrap([net.contact(nodes[0])], net.now)
    net.run(30)
    told = net.told(late, events.ClockSeen)
    assert abs(told[-1].offset_s - 3600) <= 2
    assert told[-1].peers >= 8
    late.set_wall(net.now, WALL + int(net.now))
    assert abs(late.wall(net.now) - nodes[0].wall(net.now)) <= 1


# Dial-back


def test_dial_back_is_asked_of_three_and_answered() -> None:
    net = Net()
    nodes = net.many(6)
    net.run(40)
    nodes[1].ask_dial_back(b"n" * 16, 5001, net.now)
    net.run(1)
    asked = [(node, event) for node in nodes for event in net.told(node, events.DialBackAsked)]
    assert len(asked) == limits.DIAL_BACKS
    for number, (node, event) in enumerate(asked):
        assert event.address == (net.address(nodes[1])[0], 5001)
        assert event.nonce == b"n" * 16
        node.answer_dial_back(event, number != 0, net.now)
    net.run(1)
    answers = net.told(nodes[1], events.DialBackAnswered)
    assert sorted(answer.tcp_ok for answer in answers) == [False, True, True]


def test_nobody_is_dialled_twice_in_a_row() -> None:
    net = Net()
    nodes = net.many(2)
    net.run(40)
    for _ in range(5):
        nodes[1].ask_dial_back(b"n" * 16, 5001, net.now)
        net.run(1)
    assert len(net.told(nodes[0], events.DialBackAsked)) == 1
    assert nodes[0].counters.rate_limited == 4


# What strangers may do


class Hand:
    """A peer moved by the test."""

    def __init__(self, net: Net, address: Address, seed: int = 99) -> None:
        self.key = ExchangeKey.from_seed(Random(seed).randbytes(32))
        self.sessions = PlainSessions(self.key, net.network, Random(seed).randbytes, Random(seed))
        self.address = address
        self.net = net

    def ask(self, node: Node, request: messages.Message) -> list[bytes]:
        """The datagrams that come back here."""
        contact = self.net.contact(node)
        datagram = self.sessions.seal(Peer(contact.address, contact.public), messages.encode(request), self.net.now)
        node.receive_datagram(datagram, self.address, self.net.now)
        return [data for data, to in node.datagrams_to_send(self.net.now) if to == self.address]

    def read(self, node: Node, datagram: bytes) -> messages.Message:
        opened = self.sessions.open_untrusted(datagram, self.net.contact(node).address, self.net.now)
        assert opened is not None
        return messages.decode_untrusted(opened.message)


HAND = ("63.0.0.1", 4001)


def small_net() -> tuple[Net, Node]:
    net = Net()
    nodes = net.many(25)
    net.run(60)
    return net, nodes[3]


@cache
def shared_net() -> tuple[Net, Node]:
    return small_net()


def test_the_first_answer_is_not_longer_than_the_question() -> None:
    net, node = small_net()
    sellers = publish(net, [node], 6)
    assert len(sellers) == 6
    hand = Hand(net, HAND)
    for request in (messages.Find(1, 0, bytes(32)), messages.Get(2, 0, topic_of(net), 0, 0, True), messages.Ping(3, 0)):
        answers = Hand(net, HAND, request.number).ask(node, request)
        assert len(answers) == 1
        assert len(answers[0]) <= limits.DATAGRAM_BYTES
    got = hand.read(node, hand.ask(node, messages.Get(2, 0, topic_of(net), 0, 0, True))[0])
    assert isinstance(got, messages.Got)
    assert got.records
    assert len(got.contacts) >= limits.ANSWER_CONTACTS * 39
    assert got.total == 6
    assert got.seen == pack_address(HAND)


def test_a_first_contact_changes_nothing() -> None:
    net, node = small_net()
    known = len(node.contacts())
    for seed in range(20):
        Hand(net, (f"64.{seed}.0.1", 4001), seed).ask(node, messages.Find(1, 0, bytes(32)))
    assert len(node.contacts()) == known
    record = made_record(net)
    assert Hand(net, HAND).ask(node, messages.Put(5, 0, topic_of(net), record.envelope, 0)) == []
    assert Hand(net, HAND, 5).ask(node, messages.DialBack(5, 0, bytes(16), 80)) == []
    assert len(node.values) == 0
    assert node.counters.unproven == 2


def test_a_confirmed_caller_is_known_and_may_put() -> None:
    net, node = small_net()
    hand = Hand(net, HAND)
    hand.read(node, hand.ask(node, messages.Ping(1, 3))[0])
    done = hand.read(node, hand.ask(node, messages.Put(2, 3, topic_of(net), made_record(net).envelope, 0))[0])
    assert isinstance(done, messages.PutDone)
    assert done.status == 0
    assert contact_at(hand.key.public, *HAND, 3, TEST) in node.contacts()


def test_an_answer_counts_only_if_number_key_and_address_match() -> None:
    net = Net()
    node = net.add(("60.1.0.1", 4001))
    asked, thief = Hand(net, HAND), Hand(net, ("63.0.0.2", 4001), 98)
    contact = contact_at(asked.key.public, *HAND, 0, TEST)
    assert contact is not None
    node.bootstrap([contact], 0.0)
    ((call, _),) = node.datagrams_to_send(0.0)
    opened = asked.sessions.open_untrusted(call, ("60.1.0.1", 4001), 0.0)
    assert opened is not None
    request = messages.decode_untrusted(opened.message)
    assert isinstance(request, messages.Find)
    good = messages.Found(request.tx, WALL, pack_address(("60.1.0.1", 4001)), b"")
    node.receive_datagram(asked.sessions.seal_reply(opened, messages.encode(good), 0.0), thief.address, 0.1)
    assert node.contacts() == []
    thief.ask(node, good)
    wrong_number = messages.Found(request.tx + 1, WALL, good.seen, b"")
    wrong_kind = messages.Pong(request.tx, WALL, good.seen)
    for answer in (wrong_number, wrong_kind):
        asked.ask(node, answer)
    assert node.contacts() == []
    assert node.counters.unsolicited == 3
    asked.ask(node, good)
    assert node.contacts() == [contact]


def test_only_so_many_requests_of_one_group() -> None:
    net, node = small_net()
    hand = Hand(net, HAND)
    hand.read(node, hand.ask(node, messages.Ping(1, None))[0])
    answers = [hand.ask(node, messages.Ping(2, None)) for _ in range(limits.PACKETS_BURST)]
    assert [bool(answer) for answer in answers] == [True] * (limits.PACKETS_BURST - 1) + [False]
    assert node.counters.rate_limited == 1
    neighbour = Hand(net, ("63.0.0.77", 4001), 5)
    assert neighbour.ask(node, messages.Ping(1, None)) == []  # the same /24
    assert Hand(net, ("63.0.1.1", 4001), 6).ask(node, messages.Ping(1, None)) != []
    net.now += 1.0
    assert neighbour.ask(node, messages.Ping(1, None)) != []


def test_messages_of_links_and_of_the_future_are_counted_and_ignored() -> None:
    net, node = small_net()
    hand = Hand(net, HAND)
    assert hand.ask(node, messages.Keepalive()) == []
    assert node.counters.misplaced == 1
    contact = net.contact(node)
    datagram = hand.sessions.seal(Peer(contact.address, contact.public), b"\x82\x18\x1f\x01", net.now)
    node.receive_datagram(datagram, HAND, net.now)
    assert node.counters.unknown == 1


def test_a_topic_far_from_us_is_not_ours() -> None:
    net, node = small_net()
    for number in range(200):  # as if the network had a thousand nodes
        node.size.seen(number, [2**256 // 1000 * (step + 1) for step in range(20)], exact=False)
    hand = Hand(net, HAND)
    hand.read(node, hand.ask(node, messages.Ping(1, None))[0])
    far = bytes(255 - byte for byte in net.contact(node).id)
    done = hand.read(node, hand.ask(node, messages.Put(2, None, far, made_record(net).envelope, 0))[0])
    assert isinstance(done, messages.PutDone)
    assert done.status == 5


def test_puts_of_the_whole_node_are_limited() -> None:
    net, node = small_net()
    answered = 0
    for seed in range(4):
        hand = Hand(net, (f"65.{seed}.0.1", 4001), seed)
        hand.read(node, hand.ask(node, messages.Ping(1, None))[0])
        for _ in range(300):
            answered += len(hand.ask(node, messages.Put(2, None, topic_of(net), b"junk", 0)))
    assert answered == limits.PUTS_BURST


def test_requests_under_way_are_bounded() -> None:
    net = Net()
    node = net.add(("60.1.0.1", 4001))
    contacts = [
        contact
        for number in range(limits.PENDING_CALLS + 1)
        if (contact := contact_at(number.to_bytes(32, "big"), f"66.{number // 256}.{number % 256}.1", 4001, 0, TEST))
    ]
    for contact in contacts:
        node.ping(contact, 0.0)
    assert node.counters.asked == limits.PENDING_CALLS
    assert node.counters.not_asked == 1


def test_private_addresses_are_no_contacts_of_the_main_network() -> None:
    net = Net(MAIN)
    node = net.add(("60.1.0.1", 4001))
    private = contact_at(bytes(range(32)), "10.0.0.1", 4001, 0, TEST)
    assert private is not None
    node.bootstrap([private], 0.0)
    net.run(5)
    assert net.seen == []


def test_a_whole_market_fits_on_loopback() -> None:
    net = Net(DEV)
    first = net.add(("127.0.0.1", 5000))
    for port in range(5001, 5010):
        net.add(("127.0.0.1", port)).bootstrap([net.contact(first)], net.now)
    net.run(40)
    assert all(len(node.contacts()) == 9 for node in net.nodes.values())


# Bytes


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=1300), st.booleans())
def test_random_datagrams_never_raise(data: bytes, known_sender: bool) -> None:
    net, node = shared_net()
    source = next(iter(net.nodes)) if known_sender else HAND
    known = node.contacts()
    node.receive_datagram(data, source, net.now)
    assert node.datagrams_to_send(net.now) == []
    assert node.contacts() == known


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_datagrams_never_raise(data: st.DataObject) -> None:
    net, node = shared_net()
    to = net.address(node)
    source, _, wire = data.draw(st.sampled_from([seen for seen in net.seen if seen[1] == to][:200]))
    changed = bytearray(wire)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    node.receive_datagram(bytes(changed), source, net.now)
    out = node.datagrams_to_send(net.now)  # a changed counter passes without a cipher, and a session is proof enough
    assert len(out) <= 1
    assert sum(len(one) for one, _ in out) <= (len(wire) if len(wire) >= FIRST_CONTACT_ROOM else limits.DATAGRAM_BYTES)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=FIRST_CONTACT_ROOM), st.sampled_from(sorted(messages.TYPES)))
def test_any_message_in_a_good_session_never_raises(body: bytes, number: int) -> None:
    net, node = shared_net()
    contact = net.contact(node)
    hand = Hand(net, ("67.0.0.1", 4001), 7)
    for message in (body, bytes((0x80 | min(23, len(body) % 24), number & 0x17)) + body):
        datagram = hand.sessions.seal(Peer(contact.address, contact.public), message[:FIRST_CONTACT_ROOM], net.now)
        node.receive_datagram(datagram, hand.address, net.now)
        assert sum(len(out) for out, _ in node.datagrams_to_send(net.now)) <= len(datagram)
