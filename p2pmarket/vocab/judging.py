"""The words by which people judge each other: why a dispute is opened, how it may end, and what of a deal is rated.

Rules. They are asked of who writes, so that all who read can count and translate them; what others have written is
shown as it is, for words may be added.
"""

from __future__ import annotations

from collections.abc import Collection

from p2pmarket.errors import BadInput
from p2pmarket.vocab.decimals import shown
from p2pmarket.vocab.texts import close_words

DISPUTE_REASONS = ("late", "lost", "short", "damaged", "wrong", "refused", "unpaid", "unrefunded", "other")
DISPUTE_OUTCOMES = ("refund", "price_cut", "deliver_again", "cancel", "none", "other")
ASPECTS = ("overall", "goods", "delivery", "payment", "talk")


def known_word(text: str, known: Collection[str], what: str) -> str:
    """The one of the known words that was typed. Raises BadInput, with all of them."""
    word = "_".join(text.lower().replace("-", " ").replace("_", " ").split())
    if word in known:
        return word
    near = close_words(word, list(known), 1)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise BadInput(f"{shown(text)} is no {what}", hint=f"{meant}Known: {', '.join(known)}")
