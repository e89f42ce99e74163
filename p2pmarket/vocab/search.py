"""Finding a category by words: CPV labels, everyday words in English and Korean, and paths announced by others.

Rules: nothing is indexed; 350 KB of labels are scanned, which takes milliseconds and keeps a daemon small. Order: what
is announced (somebody sells it), the everyday words (made by hand), the labels. All words must fit; if nothing does,
any word; if still nothing, the word most like it. `why` tells the person how each line was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from p2pmarket.limits import SEARCH_CHARS, SEARCH_WORDS
from p2pmarket.vocab.categories import CPV, ancestors, label_of
from p2pmarket.vocab.tables import rows, table
from p2pmarket.vocab.texts import close_words, fold

_WORDS: Final = re.compile(r"[^\W_]+")
_NOISE: Final = frozenset({"a", "an", "and", "for", "in", "of", "on", "or", "the", "to", "with", "products", "related"})
ANNOUNCED, ALIAS, LABEL = 300, 200, 100  # what kind of find it is, before how well it fits (0 to 99)


@dataclass(frozen=True, slots=True)
class Match:
    """One category found; a higher score is a better fit, `why` says in words what fitted."""

    code: str
    label: str | None
    score: int
    why: str


def search(words: str, limit: int = 10, announced: Iterable[str] = ()) -> list[Match]:
    """Categories that fit the words (any language the tables have), best first.

    `announced` are codes of categories that others announce now, in their written form.
    """
    folded = fold(words[:SEARCH_CHARS])[:SEARCH_CHARS]  # one character may fold to 18
    stems = tuple(dict.fromkeys(_stems(folded)))[:SEARCH_WORDS]
    if not stems:
        return []
    known = tuple(announced)
    return (
        _best(_matches(stems, known, every=True), limit)
        or _best(_matches(stems, known, every=False), limit)
        or _best(_matches(_corrected(stems), known, every=False), limit)
    )


def near(code: str, limit: int = 10, announced: Iterable[str] = ()) -> list[Match]:
    """What lies near a category nobody announces: its family announced or in CPV, and what its words find."""
    known = [other for other in announced if other != code]
    family = [
        Match(other, label_of(other), ANNOUNCED + 99, "announced, same family") for other in known if _kin(code, other)
    ]
    if code.startswith(CPV):
        words = label_of(code) or ""
        family += [
            Match(other, label, LABEL + 99 - n, "same family") for n, (other, label) in enumerate(_siblings(code))
        ]
    else:
        words = code.replace("/", " ")
    found = [match for part in (words, code.partition("/")[0]) for match in search(part, 4 * limit, known)]
    return _best([*family, *(match for match in found if match.code != code)], limit)


def meant(path: str, announced: Iterable[str] = ()) -> list[Match]:
    """Of which known categories a free path may be a misspelling: some word of it is unknown, and like a known one."""
    known = tuple(announced)
    stems = _stems(path)
    tokens = {word for code in known for word in _tokens(label_of(code) or code)} | set(_known_words())
    familiar = {stem(word) for word in tokens}
    if path in known or familiar.issuperset(stems):
        return []
    listed = sorted(tokens)
    corrected = [word if word in familiar else next(iter(close_words(word, listed, 1)), "") for word in stems]
    return _best(_matches([stem(word) for word in corrected], known, every=True), 3) if all(corrected) else []


def stem(word: str) -> str:
    """The word without an English plural ending, so that chairs finds chair."""
    if not word.isascii() or len(word) < 4 or word.endswith("ss"):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word.removesuffix("s")


def _best(found: Iterable[Match], limit: int) -> list[Match]:
    """The best find of each code, best first; equal ones in order of the code, so that the answer is stable."""
    best: dict[str, Match] = {}
    for match in found:
        if match.code not in best or best[match.code].score < match.score:
            best[match.code] = match
    return sorted(best.values(), key=lambda match: (-match.score, match.code))[:limit]


def _matches(stems: Sequence[str], announced: Sequence[str], *, every: bool) -> Iterator[Match]:
    if not stems:
        return
    yield from _announced(stems, announced, every=every)
    yield from _aliases(stems, every=every)
    yield from _labels(stems, every=every)


def _announced(stems: Sequence[str], announced: Sequence[str], *, every: bool) -> Iterator[Match]:
    meanings = [stems, *_synonyms(tuple(stems))] if announced else []
    for code in announced:
        label = label_of(code)
        words = _stems(label or code)
        fit = max(_fit(meaning, words, every=every) for meaning in meanings)
        if fit:
            yield Match(code, label, ANNOUNCED + fit, "announced")


def _aliases(stems: Sequence[str], *, every: bool) -> Iterator[Match]:
    for row in _alias_rows():
        fit, name = max((_fit(stems, words, every=every), name) for name, words in row.names)
        if fit:
            for place, digits in enumerate(row.codes):
                yield Match(CPV + digits, label_of(CPV + digits), ALIAS + max(1, fit - place), f"word: {name}")


def _labels(stems: Sequence[str], *, every: bool) -> Iterator[Match]:
    combine = all if every else any
    for line in table("cpv.tsv").splitlines():
        label = line[11:]
        folded = label.lower()
        if combine(word in folded for word in stems):
            fit = _fit(stems, _stems(label), every=every)
            if fit:
                depth = len(line[:8].rstrip("0"))
                yield Match(CPV + line[:8], label, LABEL + max(1, fit - depth), "label")


def _fit(stems: Sequence[str], words: Sequence[str], *, every: bool) -> int:
    """0 to 99: how well the wanted stems are met by the words, less for words beyond them."""
    points = [max((_word_fit(wanted, word) for word in words), default=0) for wanted in stems]
    if not any(points) or (every and not all(points)):
        return 0
    covered = sum(points) / (3 * len(stems))
    return max(1, int(99 * covered * (0.6 + 0.4 * min(1.0, len(stems) / len(words)))))


def _word_fit(wanted: str, word: str) -> int:
    """3 the same word, 2 its beginning, 1 a part of it; parts count from 4 letters on, in Korean from 2."""
    if wanted == word:
        return 3
    enough = 2 if not wanted.isascii() else 4
    if word.startswith(wanted) and (len(wanted) >= enough or len(word) - len(wanted) == 1):
        return 2
    if len(wanted) >= enough and wanted in word:
        return 1
    return 1 if not word.isascii() and len(word) >= enough and word in wanted else 0


def _synonyms(stems: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Stems of the other names of what the stems name exactly."""
    rows_named = [row for row in _alias_rows() if any(words == stems for _, words in row.names)]
    return [words for row in rows_named for _, words in row.names]


def _corrected(stems: Sequence[str]) -> list[str]:
    """Each word that leads nowhere replaced by the known word most like it."""
    known = sorted(set(_known_words()))
    return [near for word in stems for near in close_words(word, known, 1)]


def _known_words() -> Iterator[str]:
    yield from (word for word in _tokens(table("cpv.tsv")) if len(word) > 3 and not word.isdigit())
    yield from _alias_words()


def _alias_words() -> Iterator[str]:
    for row in _alias_rows():
        for name, _ in row.names:
            yield from _tokens(name)


@dataclass(frozen=True, slots=True)
class _AliasRow:
    """CPV digits, best first, and the names people use for them, each with its stems."""

    codes: tuple[str, ...]
    names: tuple[tuple[str, tuple[str, ...]], ...]


@cache
def _alias_rows() -> tuple[_AliasRow, ...]:
    """All lines of the hand-made table: some 270 of them."""
    return tuple(
        _AliasRow(tuple(codes.split()), tuple((name, _stems(name)) for name in names.split("|")))
        for codes, names in rows("aliases.tsv")
    )


def _stems(text: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in _tokens(text))


def _tokens(text: str) -> list[str]:
    return [word for word in _WORDS.findall(fold(text)) if word not in _NOISE]


def _kin(code: str, other: str) -> bool:
    """Whether one is an ancestor of the other, or both have the same nearest ancestor."""
    mine, theirs = ancestors(code), ancestors(other)
    return code in theirs or other in mine or (bool(mine) and mine[:1] == theirs[:1])


def _siblings(code: str) -> Iterator[tuple[str, str]]:
    """Parent, children and siblings in the CPV table: the 20 nearest lines of the family."""
    wider = ancestors(code)
    family = (wider[0] if wider else code)[len(CPV) :].rstrip("0")
    lines = re.findall(rf"(?m)^{family}.*$", table("cpv.tsv"))
    ranked = sorted(lines, key=lambda line: (not line.startswith(code[len(CPV) :].rstrip("0")), line))
    for line in [line for line in ranked if CPV + line[:8] != code][:20]:
        yield CPV + line[:8], line[11:]
