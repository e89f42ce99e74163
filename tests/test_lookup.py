"""One lookup as an object: it finds the true nearest, waits for nobody who is dead, and mistrusts liars in parts."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from p2pmarket import limits
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.lookup import Candidate, Lookup, State

Answers = Callable[[Contact], list[Contact] | None]


def made(number: int, *, host: str | None = None) -> Contact:
    return Contact(Random(number).randbytes(32), host or f"60.{number // 256}.{number % 256}.1", 4001, number % 8)


def group(contact: Contact) -> bytes:
    return contact.host.rsplit(".", 1)[0].encode()


class World:
    """Contacts that know some others each; the dead do not answer."""

    def __init__(self, count: int, seed: int = 1, dead: float = 0.0) -> None:
        self.rng = Random(seed)
        self.contacts = [made(number) for number in range(count)]
        self.dead = {contact for contact in self.contacts if self.rng.random() < dead}
        self.live = [contact for contact in self.contacts if contact not in self.dead]

    def nearest(self, target: int, count: int = 20, *, live: bool = False) -> list[Contact]:
        return sorted(self.live if live else self.contacts, key=lambda one: one.long_id ^ target)[:count]

    def table_of(self, owner: Contact) -> list[Contact]:
        """Twenty of each bucket."""
        buckets: dict[int, list[Contact]] = {}
        for contact in self.contacts:
            buckets.setdefault((contact.long_id ^ owner.long_id).bit_length(), []).append(contact)
        return [contact for bucket in buckets.values() for contact in bucket[:20]]

    def answer(self, target: int) -> Answers:
        def answers(asked: Contact) -> list[Contact] | None:
            if asked in self.dead:
                return None
            return sorted(self.table_of(asked), key=lambda one: one.long_id ^ target)[:20]

        return answers


def run(lookup: Lookup, answers: Answers, rng: Random) -> list[Contact]:
    """Answer in random order; the silent get slow when nothing else moves. Returns who was asked, in order."""
    asked: list[Contact] = []
    flying: list[Candidate] = []
    silent: list[Candidate] = []
    while True:
        queries = lookup.next_queries()
        asked += [candidate.contact for candidate in queries]
        flying += queries
        if lookup.done:
            return asked
        if flying:
            candidate = flying.pop(rng.randrange(len(flying)))
            contacts = answers(candidate.contact)
            if contacts is None:
                silent.append(candidate)
            else:
                lookup.answered(candidate, contacts)
        else:
            assert silent, "nothing in flight, nobody silent, and yet not done"
            lookup.slow(silent.pop(0))


@pytest.mark.parametrize("dead", [0.0, 0.25])
@pytest.mark.parametrize("seed", range(5))
def test_finds_the_true_nearest(seed: int, dead: float) -> None:
    world = World(400, seed, dead)
    target = world.rng.getrandbits(256)
    start = world.rng.sample(world.contacts, 20)
    lookup = Lookup(target, start, group)
    asked = run(lookup, world.answer(target), world.rng)
    truth = world.nearest(target, live=True)
    assert len(set(lookup.nearest()) & set(truth)) >= (20 if dead == 0 else 17)
    assert not set(lookup.nearest()) & world.dead
    assert lookup.nearest() == sorted(lookup.nearest(), key=lambda one: one.long_id ^ target)
    assert max(asked.count(contact) for contact in asked) <= 2
    assert not [contact for contact in asked if asked.count(contact) == 2 and contact not in world.dead]
    assert lookup.asked_count == len(set(asked))


def test_nobody_to_ask_is_done_at_once() -> None:
    lookup = Lookup(0, [], group)
    assert lookup.next_queries() == []
    assert lookup.done
    assert lookup.nearest() == []


def test_all_silent_is_done_after_two_tries() -> None:
    contacts = [made(number) for number in range(30)]
    lookup = Lookup(0, contacts, group)
    asked = run(lookup, lambda asked: None, Random(1))
    assert lookup.nearest() == []
    assert all(asked.count(contact) <= 2 for contact in contacts)


def test_at_first_one_query_on_each_path() -> None:
    contacts = sorted((made(number) for number in range(40)), key=lambda one: one.long_id)
    lookup = Lookup(0, contacts, group)
    assert [candidate.contact for candidate in lookup.next_queries()] == contacts[: limits.PATHS]
    assert lookup.next_queries() == []
    assert not lookup.done


def test_once_the_nearest_has_answered_the_rest_of_the_best_are_asked_at_once() -> None:
    contacts = sorted((made(number) for number in range(40)), key=lambda one: one.long_id)
    lookup = Lookup(0, contacts, group)
    first = lookup.next_queries()
    lookup.answered(first[0], [])
    rest = lookup.next_queries()
    assert {candidate.contact for candidate in first + rest} == set(contacts[: limits.BUCKET_CONTACTS])


def test_if_the_best_known_are_near_enough_all_are_asked_at_once() -> None:
    contacts = sorted((made(number) for number in range(40)), key=lambda one: one.long_id)
    reach = contacts[limits.BUCKET_CONTACTS - 1].long_id
    assert len(Lookup(0, contacts, group, near=reach).next_queries()) == limits.BUCKET_CONTACTS
    assert len(Lookup(0, contacts, group, near=reach - 1).next_queries()) == limits.PATHS


def test_a_slow_one_lets_the_next_go_and_a_late_answer_counts() -> None:
    contacts = sorted((made(number) for number in range(21)), key=lambda one: one.long_id)
    lookup = Lookup(0, contacts, group, near=2**256 - 1)
    queries = lookup.next_queries()
    late, *others = queries
    for candidate in others:
        lookup.answered(candidate, [])
    assert lookup.next_queries() == []
    lookup.slow(late)
    again = lookup.next_queries()
    assert {candidate.contact for candidate in again} == {late.contact, contacts[20]}
    lookup.slow(late)
    assert late.state is State.SILENT
    lookup.answered(late, [])
    lookup.next_queries()
    assert lookup.done
    assert lookup.nearest() == contacts[:20]


def test_the_dead_are_not_waited_for() -> None:
    contacts = sorted((made(number) for number in range(21)), key=lambda one: one.long_id)
    lookup = Lookup(0, contacts, group, near=2**256 - 1)
    dead, *others = lookup.next_queries()
    for candidate in others:
        lookup.answered(candidate, [])
    lookup.slow(dead)
    spare = next(candidate for candidate in lookup.next_queries() if candidate is not dead)
    lookup.answered(spare, [])
    lookup.next_queries()
    assert not lookup.done
    lookup.slow(dead)
    lookup.next_queries()
    assert lookup.done
    assert lookup.nearest() == contacts[1:]


def test_one_of_a_group_counts() -> None:
    crowd = [made(number, host=f"70.0.0.{number + 1}") for number in range(30)]
    honest = [made(number) for number in range(100, 130)]
    lookup = Lookup(0, crowd + honest, group)
    run(lookup, lambda asked: [], Random(1))
    assert len(lookup.nearest()) == limits.BUCKET_CONTACTS
    assert len([contact for contact in lookup.nearest() if contact in crowd]) <= 1


def test_the_goal_reaches_to_the_radius_and_ends_at_the_cap() -> None:
    contacts = sorted((made(number) for number in range(100)), key=lambda one: one.long_id)
    for inside, expected in ((10, 20), (30, 30), (64, 64), (65, 64)):
        lookup = Lookup(0, contacts, group, radius=contacts[inside - 1].long_id)
        assert len(lookup.goal()) == expected


def crowd_at(target: int, count: int) -> list[Contact]:
    """Those of many contacts that stand nearest to `target`."""
    return sorted((made(number) for number in range(4000)), key=lambda one: one.long_id ^ target)[:count]


def test_within_a_crowded_radius_the_choice_is_random_and_kept() -> None:
    contacts = crowd_at(0, 200)
    radius = max(contact.long_id for contact in contacts)
    chosen = []
    for seed in (1, 2):
        lookup = Lookup(0, contacts, group, size=20, radius=radius, cap=64, draw=Random(seed).random)
        goal = lookup.goal()
        assert len(goal) == 64
        assert goal == lookup.goal()
        assert [candidate.distance for candidate in goal] == sorted(candidate.distance for candidate in goal)
        chosen.append({candidate.contact for candidate in goal})
    assert chosen[0] != chosen[1]
    assert len(chosen[0] & set(contacts[100:])) > 16  # of the farther half, a quarter at the very least


@pytest.mark.parametrize(("count", "crowded"), [(10, False), (11, True)])
def test_a_region_is_crowded_from_eleven_groups_within_a_sixteenth(count: int, crowded: bool) -> None:
    contacts = crowd_at(0, count)
    radius = 16 * max(contact.long_id for contact in contacts)
    lookup = Lookup(0, contacts, group, size=20, radius=radius)
    assert lookup.crowded() is crowded
    assert not Lookup(0, contacts, lambda contact: b"one", size=20, radius=radius).crowded()


def test_while_more_contacts_are_to_come_the_lookup_is_not_over() -> None:
    lookup = Lookup(0, crowd_at(0, 4), group, size=4)
    lookup.waiting = True
    while queries := lookup.next_queries():
        for candidate in queries:
            lookup.answered(candidate, [])
    assert not lookup.done
    lookup.offer([made(5000)])
    lookup.waiting = False
    while queries := lookup.next_queries():
        for candidate in queries:
            lookup.answered(candidate, [])
    assert lookup.done
    assert lookup.asked_count in (4, 5)  # the fifth only if it is among the best four


def test_one_path_remembers_a_few_of_each_group() -> None:
    lookup = Lookup(0, [made(1)], group)
    (first,) = lookup.next_queries()
    of_one_group = [made(number, host=f"70.0.0.{number}") for number in range(2, 3 + limits.LOOKUP_GROUP_CONTACTS)]
    lookup.answered(first, of_one_group)
    assert len(list(lookup)) == 1 + limits.LOOKUP_GROUP_CONTACTS


def test_a_liar_misleads_only_his_own_path() -> None:
    world = World(300, 7)
    target = world.rng.getrandbits(256)
    fakes = [made(number) for number in range(10_000, 10_028)]
    start = world.rng.sample(world.contacts, 8)
    honest = world.answer(target)
    liar = min(start, key=lambda one: one.long_id ^ target)
    lookup = Lookup(target, start, group)
    run(lookup, lambda asked: fakes if asked == liar else None if asked in fakes else honest(asked), world.rng)
    assert len(set(lookup.nearest()) & set(world.nearest(target))) >= 19
    assert {candidate.path for candidate in lookup if candidate.contact in fakes} == {
        candidate.path for candidate in lookup if candidate.contact == liar
    }


def test_endless_lies_end() -> None:
    fresh = iter(range(1000, 2**20))

    def liar(asked: Contact) -> list[Contact]:
        numbers = [next(fresh) for _ in range(100)]
        return [made(number, host=f"{number >> 16 | 64}.{number >> 8 & 255}.{number & 255}.1") for number in numbers]

    lookup = Lookup(0, [made(1)], group)
    asked = run(lookup, liar, Random(1))
    assert len(asked) <= limits.LOOKUP_QUERIES
    assert len(list(lookup)) <= limits.LOOKUP_CONTACTS


def test_contacts_of_one_answer_at_the_limit_and_over() -> None:
    for told, kept in (
        (limits.FOUND_CONTACTS, limits.FOUND_CONTACTS),
        (limits.FOUND_CONTACTS + 1, limits.FOUND_CONTACTS),
    ):
        lookup = Lookup(0, [made(1)], group)
        lookup.answered(lookup.next_queries()[0], [made(number) for number in range(10, 10 + told)])
        assert len(list(lookup)) == 1 + kept


def test_ourselves_are_never_asked() -> None:
    lookup = Lookup(0, [made(1)], group)
    lookup.drop(made(2))
    lookup.answered(lookup.next_queries()[0], [made(2), made(3)])
    assert [candidate.contact for candidate in lookup.next_queries()] == [made(3)]


def phantom_world(liars: int) -> tuple[Lookup, Answers, list[Contact]]:
    """A lookup that begins among liars, who name contacts out of thin air, and one honest node that knows others."""
    honest = [made(number) for number in range(40)]
    crowd = [made(number, host=f"70.{number}.0.1") for number in range(100, 100 + liars)]
    invented = iter(crowd_at(0, 3000))

    def answers(asked: Contact) -> list[Contact] | None:
        if asked in crowd:
            return [next(invented) for _ in range(28)]
        return honest[1:29] if asked == honest[0] else [] if asked in honest else None

    return Lookup(0, [honest[0], *crowd], group), answers, honest[1:29]


@pytest.mark.parametrize("liars", [1, 8])
def test_contacts_that_do_not_exist_use_up_few_queries(liars: int) -> None:
    lookup, answers, known = phantom_world(liars)
    asked = run(lookup, answers, Random(1))
    silent = {contact for contact in asked if answers(contact) is None}
    assert limits.LOOKUP_UNPROVEN * liars >= len(silent) > 0
    assert len(set(asked) & set(known)) >= limits.BUCKET_CONTACTS - liars - 1


def test_once_a_target_is_crowded_even_fewer() -> None:
    lookup, answers, _ = phantom_world(8)
    lookup.beware()
    asked = run(lookup, answers, Random(1))
    silent = {contact for contact in asked if answers(contact) is None}
    assert limits.LOOKUP_UNPROVEN_CROWDED * 8 >= len(silent) > 0


def test_who_is_named_by_others_too_is_asked_all_the_same() -> None:
    honest = [made(number) for number in range(60, 60 + limits.LOOKUP_UNPROVEN_CROWDED)]
    start = crowd_at(2**256 - 1, 2)
    lookup = Lookup(0, start, group)
    lookup.beware()
    liar, other = lookup.next_queries()
    lookup.answered(liar, [*crowd_at(0, 24), *honest])
    lookup.answered(other, honest)
    named = [lookup.known[contact.packed] for contact in honest]
    assert [len(one.vouchers or ()) for one in named if one is not None] == [2] * len(honest)
    asked: set[Contact] = set()
    while queries := lookup.next_queries():
        asked |= {candidate.contact for candidate in queries}
        for candidate in queries:
            lookup.slow(candidate)
    assert asked >= set(honest)


def test_while_closing_nobody_is_asked_whom_others_only_named() -> None:
    known = crowd_at(0, 30)
    lookup = Lookup(0, known, group)
    asked = lookup.next_queries()
    lookup.closing = True
    for candidate in asked:
        lookup.answered(candidate, [made(9000)])
    while queries := lookup.next_queries():
        for candidate in queries:
            lookup.answered(candidate, [])
    assert lookup.done
    assert set(lookup.nearest()) <= set(known)
    assert len(lookup.nearest()) == limits.BUCKET_CONTACTS


def test_while_closing_those_who_were_found_alive_elsewhere_are_asked() -> None:
    lookup = Lookup(0, [made(9000)], group)
    (first,) = lookup.next_queries()
    lookup.answered(first, [made(1), made(2)])
    lookup.closing = True
    lookup.offer([made(2)])
    assert [candidate.contact for candidate in lookup.next_queries()] == [made(2)]
