"""Signatures, names and envelopes against the published and our own vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket import keys
from p2pmarket.errors import BadInput, BadMessage, BadSignature
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.network import DEV, MAIN, TEST, network_named

FOLDER = Path(__file__).parent.parent / "docs/vectors"
VECTORS = json.loads((FOLDER / "keys.json").read_text())
COSE = json.loads((FOLDER / "cose.json").read_text())
unhex = bytes.fromhex
KEY = SigningKey.from_seed(bytes(range(32)))
PEER = SigningKey.from_seed(bytes(32)).public


def case(vector: dict[str, str]) -> str:
    return str(vector.get("why") or vector.get("source"))


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=case)
def test_signatures(vector: dict[str, str]) -> None:
    key = SigningKey.from_seed(unhex(vector["seed"]))
    assert key.public.hex() == vector["public"]
    assert key.sign(unhex(vector["message"])).hex() == vector["signature"]
    keys.check_signature(key.public, unhex(vector["signature"]), unhex(vector["message"]))


@pytest.mark.parametrize("vector", VECTORS["bad_signatures"], ids=case)
def test_bad_signatures(vector: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        keys.check_signature(unhex(vector["public"]), unhex(vector["signature"]), unhex(vector["message"]))


def test_the_fourteen_points_are_listed() -> None:
    assert len(set(VECTORS["refused_points"])) == 14


@pytest.mark.parametrize("point", VECTORS["refused_points"])
def test_refused_points(point: str) -> None:
    """With S = 0 and a point of small order as key, libraries accept some R for a share of all messages."""
    with pytest.raises(BadSignature, match="usable Ed25519 key"):
        keys.check_public(unhex(point))
    with pytest.raises(BadSignature, match="usable signature"):
        keys.check_signature(KEY.public, unhex(point) + bytes(32), b"")
    with pytest.raises(BadInput):
        keys.parse_did_key(keys.did_key(unhex(point)))
    r = SigningKey.from_seed(bytes(32)).public  # a usable R, so that the key is what is refused
    for message in (b"", b"1", b"2", b"3"):
        with pytest.raises(BadSignature, match="usable Ed25519 key"):
            keys.check_signature(unhex(point), r + bytes(32), message)


@pytest.mark.parametrize("above", range(19))
def test_y_not_below_p(above: int) -> None:
    y = 2**255 - 19 + above
    for sign in (0, 2**255):
        with pytest.raises(BadSignature):
            keys.check_public((y + sign).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_lengths(size: int) -> None:
    with pytest.raises(BadSignature):
        keys.check_public(b"\5" * size)
    with pytest.raises(BadMessage):
        ExchangeKey.from_seed(bytes(32)).shared(b"\5" * size)
    if size != 64:
        with pytest.raises(BadSignature):
            keys.check_signature(KEY.public, KEY.sign(b"")[:size].ljust(size, b"\0"), b"")


@given(st.binary(max_size=40), st.binary(max_size=70), st.binary(max_size=9))
def test_check_signature_raises_one_error(public: bytes, signature: bytes, data: bytes) -> None:
    with pytest.raises(BadSignature):
        keys.check_signature(public, signature, data)


@given(st.binary(max_size=99), st.integers(0, 64 * 8 - 1))
def test_flipped_bit_of_a_signature(data: bytes, bit: int) -> None:
    signature = bytearray(KEY.sign(data))
    keys.check_signature(KEY.public, bytes(signature), data)
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        keys.check_signature(KEY.public, bytes(signature), data)


@pytest.mark.parametrize("vector", VECTORS["exchange"], ids=case)
def test_exchange(vector: dict[str, str]) -> None:
    assert ExchangeKey.from_seed(unhex(vector["seed"])).shared(unhex(vector["public"])).hex() == vector["shared"]


@pytest.mark.parametrize("point", VECTORS["refused_exchange"])
def test_refused_exchange(point: str) -> None:
    with pytest.raises(BadMessage):
        ExchangeKey.from_seed(bytes(range(32))).shared(unhex(point))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_both_sides_agree(one: bytes, two: bytes) -> None:
    a, b = ExchangeKey.from_seed(one), ExchangeKey.from_seed(two)
    assert a.shared(b.public) == b.shared(a.public)


# Names


@pytest.mark.parametrize("vector", VECTORS["names"], ids=lambda v: v["fingerprint"])
def test_names(vector: dict[str, str]) -> None:
    public = SigningKey.from_seed(unhex(vector["seed"])).public
    assert public.hex() == vector["public"]
    assert keys.did_key(public) == vector["did"]
    assert keys.parse_did_key(vector["did"]) == public
    assert keys.fingerprint(public) == vector["fingerprint"]


@pytest.mark.parametrize("vector", VECTORS["ids"], ids=lambda v: v["id"])
def test_ids(vector: dict[str, str]) -> None:
    assert keys.document_id(vector["letter"], keys.digest(unhex(vector["payload"]))) == vector["id"]


@given(st.binary(min_size=32, max_size=32).filter(lambda key: key not in keys._REFUSED_POINTS))
def test_did_round_trip(public: bytes) -> None:
    did = keys.did_key(public)
    assert did.startswith("did:key:z6Mk")
    assert keys.parse_did_key(did) == public


GOOD_DID = keys.did_key(KEY.public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:z",
        GOOD_DID[:-1],
        GOOD_DID + "1",
        GOOD_DID.upper(),
        " " + GOOD_DID[1:],
        GOOD_DID.replace("did:key:z", "did:web:z"),
        GOOD_DID[:-1] + "0",
        GOOD_DID[:-1] + "é",
        "did:key:z" + "z" * 47,
        "did:key:z" + "1" * 47,
        "did:key:z6LS" + GOOD_DID[12:],
    ],
)
def test_bad_did(text: str) -> None:
    with pytest.raises(BadInput):
        keys.parse_did_key(text)


@given(st.text(max_size=60) | st.text(keys._BASE58, min_size=47, max_size=47).map(lambda t: "did:key:z" + t))
def test_any_did(text: str) -> None:
    try:
        public = keys.parse_did_key(text)
    except BadInput:
        return
    assert keys.did_key(public) == text


# Envelopes


@pytest.mark.parametrize("vector", COSE["structure"], ids=case)
def test_published_structure(vector: dict[str, str]) -> None:
    """The RFC's example is signed with ES256: it shows what is covered, by bytes and by its signature."""
    covered = keys.sig_structure(*(unhex(vector[part]) for part in ("protected", "external_aad", "payload")))
    assert covered.hex() == vector["covers"]
    signature = unhex(vector["signature"])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    public = ec.EllipticCurvePublicNumbers(int(vector["x"], 16), int(vector["y"], 16), ec.SECP256R1()).public_key()
    public.verify(utils.encode_dss_signature(r, s), covered, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("vector", COSE["envelopes"], ids=lambda v: f"{v['network']}-{v['kind']}")
def test_envelopes(vector: dict[str, str]) -> None:
    key, network = SigningKey.from_seed(unhex(vector["seed"])), network_named(vector["network"])
    payload, kind, recipient = unhex(vector["payload"]), int(vector["kind"]), unhex(vector["recipient"])
    assert keys.external_aad(network, kind, recipient).hex() == vector["external_aad"]
    assert keys.seal(key, payload, network, kind, recipient).hex() == vector["envelope"]
    signed = keys.open_untrusted(unhex(vector["envelope"]), network, kind, recipient)
    assert signed == keys.Signed(key.public, payload, unhex(vector["hash"]))


@pytest.mark.parametrize("vector", COSE["refused"]["envelopes"], ids=case)
def test_refused_envelopes(vector: dict[str, str]) -> None:
    context = COSE["refused"]
    with pytest.raises(BadMessage):
        keys.open_untrusted(
            unhex(vector["hex"]), network_named(context["network"]), context["kind"], unhex(context["recipient"])
        )


def test_an_envelope_is_bound_to_its_context() -> None:
    envelope = keys.seal(KEY, b"payload", MAIN, 4, PEER)
    assert keys.open_untrusted(envelope, MAIN, 4, PEER).signer == KEY.public
    for network, kind, recipient in [(TEST, 4, PEER), (DEV, 4, PEER), (MAIN, 5, PEER), (MAIN, 4, KEY.public)]:
        with pytest.raises(BadSignature):
            keys.open_untrusted(envelope, network, kind, recipient)
    with pytest.raises(BadSignature):
        keys.open_untrusted(envelope, MAIN, 4)


def test_every_flipped_bit_of_an_envelope() -> None:
    envelope = keys.seal(KEY, b"payload", MAIN, 4, PEER)
    for bit in range(len(envelope) * 8):
        changed = bytearray(envelope)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadMessage):
            keys.open_untrusted(bytes(changed), MAIN, 4, PEER)


@given(st.binary(max_size=200))
def test_any_envelope(data: bytes) -> None:
    with pytest.raises(BadMessage):
        keys.open_untrusted(data, MAIN, 4)


@given(st.binary(max_size=400), st.integers(0, 255))
def test_envelope_round_trip(payload: bytes, kind: int) -> None:
    signed = keys.open_untrusted(keys.seal(KEY, payload, TEST, kind), TEST, kind)
    assert signed == keys.Signed(KEY.public, payload, keys.digest(payload))


def test_what_was_checked_once_proves_nothing_else() -> None:
    """A signature that holds is remembered, for these very bytes alone."""
    data, other = b"these words", b"other words"
    signature = KEY.sign(data)
    for _ in range(2):
        keys.check_signature(KEY.public, signature, data)
        for public, told, said in (
            (PEER, signature, data),
            (KEY.public, signature, other),
            (KEY.public, KEY.sign(other), data),
        ):
            with pytest.raises(BadSignature):
                keys.check_signature(public, told, said)


def test_what_is_signed_again_is_remembered_once() -> None:
    key = keys.SigningKey.from_seed(bytes(32))
    for _ in range(3):
        signature = key.sign(b"the same")
    assert keys._holding(key.public + signature + keys.digest(b"the same")) == [True]
