"""A hundred thousand random and mutated inputs to every parser of wire bytes, seeded; fewer to those of files."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from fuzzing.datagrams import Target, send
from fuzzing.inputs import inputs
from fuzzing.parsers import FILES, WIRE, Parser
from fuzzing.run import fuzz

from p2pmarket.errors import BadMessage

WIRE_INPUTS = 100_000  # the node's are two datagrams each
DATAGRAMS = 20_000  # with real cryptography; scripts/torture fuzz --datagrams sends any number
FILE_INPUTS = 2_000
SEED = 20_261


@pytest.mark.parametrize("name", WIRE)
def test_no_bytes_from_the_wire_raise_anything_unforeseen(name: str) -> None:
    outcome = fuzz(name, WIRE[name], WIRE_INPUTS, SEED, reraise=True)
    assert outcome.cycles == WIRE_INPUTS
    assert outcome.not_canonical == 0
    assert outcome.forged == 0
    assert outcome.refused > 0 or name == "node"  # a node refuses by silence


def test_no_datagram_raises_in_a_node_with_real_sessions() -> None:
    run = next(send(DATAGRAMS, SEED, reraise=True))
    assert run.datagrams == DATAGRAMS
    assert run.understood > DATAGRAMS / 20


def test_a_block_of_datagrams_can_be_sent_again_exactly() -> None:
    one, same = Target(Random("1/1")), Target(Random("1/1"))
    for _ in range(500):
        datagram, address = one.next_datagram()
        assert same.next_datagram() == (datagram, address)
        for target in (one, same):
            target.node.receive_datagram(datagram, address, target.now)
            target.settle()


@pytest.mark.parametrize("name", FILES)
def test_no_file_raises_anything_unforeseen(name: str) -> None:
    outcome = fuzz(name, FILES[name], FILE_INPUTS, SEED, reraise=True)
    assert outcome.refused > 0 or name == "verdict"  # which says so instead
    assert outcome.accepted > 0


@pytest.mark.parametrize("name", [name for name in WIRE if name != "link_answerer"])  # that starts from bad ones too
def test_the_inputs_that_mutations_start_from_are_accepted(name: str) -> None:
    parser = WIRE[name](Random(1))
    for data in parser.valid:
        parser.parse(data)


def test_the_same_seed_makes_the_same_inputs() -> None:
    valid = (b"abc", b"defg")
    one, same, other = ([*inputs(valid, Random(seed), 500)] for seed in (1, 1, 2))
    assert one == same != other


def _careless(rng: Random) -> Parser:
    def parse(data: bytes) -> object:
        if data[:1] == b"d":
            raise BadMessage("no")
        return {"a": 1}[data[:1].decode()]

    return Parser(parse, (b"abc", b"def"), signed=True)


def test_a_careless_parser_is_found_out() -> None:
    outcome = fuzz("careless", _careless, 2000, SEED)
    assert outcome.crashes > 0
    assert outcome.forged > 0
    assert "Error" in outcome.first_crash
    with pytest.raises(AssertionError, match="must not raise"):
        fuzz("careless", _careless, 2000, SEED, reraise=True)
