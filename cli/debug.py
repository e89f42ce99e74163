"""`market debug decode`: one wire message to JSON, without a daemon.

Rules. The same decoder as the daemon's, no other; whatever is not a message ends with exit code 65 and the code of one
error, so that a fuzzer can tell refusal from failure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import click

from p2pmarket import limits

from .base import App, MarketCommand, NearestGroup, pass_app

_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}\s*)+")
HINT = "A wire message is a CBOR array, raw or as hex: market debug decode --help"
_SPACE = re.compile(rb"\s+")


@click.group(
    "debug",
    cls=NearestGroup,
    examples="""
        printf 8218230a | market debug decode
    """,
)
def debug() -> None:
    """Look at wire messages."""


@debug.command(
    "decode",
    cls=MarketCommand,
    examples="""
        market debug decode < message.bin
        printf 81 | market debug decode; echo $?
    """,
)
@click.option("--network", default="main", show_default=True, metavar="main|dev|test", help="Whose signatures.")
@pass_app
def decode(app: App, network: str) -> int:
    """One wire message on standard input, raw or as hex, as JSON; exit code 65 and an error code if it is none."""
    from p2pmarket.errors import BadMessage, PeerError
    from p2pmarket.messages import decode_untrusted
    from p2pmarket.network import network_named

    from . import output
    from .safe import safe

    profile = network_named(network)
    try:
        data = unhexed(sys.stdin.buffer.read(4 * limits.LINK_MESSAGE_BYTES))
        if len(data) > limits.LINK_MESSAGE_BYTES:
            raise BadMessage("longer than any message")
        message = decode_untrusted(data)
        document = opened(message, profile)
    except PeerError as error:
        if app.for_programs:
            output.report(error, as_json=True)
        else:
            output.talk(f"error: {error.code}: {safe(error.message)}", colour="red")
            output.talk(f"hint: {HINT}")
        return 65
    shown = {"type": type(message).__name__, "number": message.number, "bytes": len(data), "fields": named(message)}
    app.emit_json({**shown, "document": document})
    return 0


def unhexed(data: bytes) -> bytes:
    """The bytes meant: no message begins with a byte that is a hex digit, so text and raw cannot be confused."""
    text = data.strip()
    return bytes.fromhex(_SPACE.sub(b"", text).decode("ascii")) if _HEX.fullmatch(text) else data


def opened(message: Any, network: Any) -> dict[str, Any] | None:
    """The trade document in a Document message, its signature checked; None for other messages."""
    from p2pmarket.messages import Document
    from p2pmarket.trade.documents import document_untrusted

    if not isinstance(message, Document):
        return None
    found = document_untrusted(message.kind, message.envelope, network, message.recipient)
    return {
        "type": type(found.document).__name__,
        "signer": found.signer.hex(),
        "hash": found.hash.hex(),
        "fields": named(found.document),
    }


def named(value: Any) -> Any:
    """A struct of the wire as names and values, bytes as hex."""
    import msgspec

    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [named(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): named(item) for name, item in value.items()}
    return value
