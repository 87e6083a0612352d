"""
What the regex of a path parameter can match, and whether matching it takes time linear in the text.

Python's `re` tries alternatives one after the other, so `(a+)+` can take for ever on what a stranger sends. A regex in
which each character can be read in one way only has no alternatives to try, and only such a one is accepted.

The regex is read into *positions* (Glushkov's construction), each one occurrence of a character set. It is
deterministic in the strong sense if no two positions that begin it, or follow the same one, overlap, *and* no position
follows another in two ways: `(a+)+` has a single position, which follows itself through either plus. The empty text,
too, must be read in one way only, unlike in `(a|a)*`, which `re` reads as `(a(|))*`. Then at every character at most
one way goes on, all others fail at once, and backtracking stays linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, reduce
from operator import or_
from re import _parser  # type: ignore[attr-defined]  # untyped, but the one parser that agrees with `re` on every regex
from typing import Any, TypeAlias

from lilya.exceptions import ImproperlyConfigured

__all__ = ["Language", "language_of"]

# Positions a regex may have after its counted repeats are written out; far beyond any sensible path parameter.
MAX_POSITIONS = 1_000

# A set of characters: bit n stands for code point n.
Characters: TypeAlias = int
# A piece of a regex: whether it matches the empty text, and the positions it may begin and end with.
Piece: TypeAlias = "tuple[bool, list[int], list[int]]"


def _span(low: int, high: int) -> Characters:
    return (1 << high + 1) - (1 << low)


_ALL = _span(0, 0x10FFFF)
_ASCII = _span(0, 127)
# Inside ASCII; what these categories hold beyond it is never relied upon, in either direction.
_CATEGORIES = {
    "CATEGORY_DIGIT": _span(48, 57),
    "CATEGORY_SPACE": _span(9, 13) | _span(28, 32),
    "CATEGORY_WORD": _span(48, 57) | _span(65, 90) | _span(95, 95) | _span(97, 122),
}


class Language:
    """
    The texts that a regex matches, as far as the router has to know them.

    `characters` holds at least every character that can occur, never fewer; `width` is the length of all texts if
    they have the same one, else None; `nullable` says whether the empty text is among them.
    """

    __slots__ = ("characters", "fullmatch", "nullable", "width")

    def __init__(self, regex: str, characters: Characters, width: int | None, nullable: bool) -> None:
        self.fullmatch = re.compile(regex).fullmatch
        self.characters = characters
        self.width = width
        self.nullable = nullable

    def may_contain(self, character: str) -> bool:
        return bool(self.characters >> ord(character) & 1)


def language_of(name: str, transformer: Any) -> Language:
    """
    What the regex of a transformer can match; `name` is that of its type.

    Raises:
        ImproperlyConfigured: The regex is missing or invalid, uses what a path cannot use, or is not deterministic;
            the text names the type, the regex and the remedy.
    """
    regex = transformer.regex
    try:
        return _read(regex)
    except (ValueError, OverflowError, re.error) as error:
        reason = f"Path transformer {name!r} ({type(transformer).__name__}), regex {regex!r}: {error}"
        raise ImproperlyConfigured(reason) from None


@cache
def _read(regex: str) -> Language:
    if not isinstance(regex, str) or not regex:
        raise ValueError("is no text or empty; set `regex` to what the text in the path must match")
    parsed = _parser.parse(regex)
    if parsed.state.flags & ~re.UNICODE:
        raise ValueError("sets flags; write out what they stand for, such as [aA] for (?i)a")
    if parsed.state.groupdict:
        raise ValueError("has named groups; write (?:…) instead of (?P<name>…)")
    reader = _Reader()
    nullable, first, _ = reader.sequence(parsed)
    reader.check(first)
    shortest, longest = parsed.getwidth()
    return Language(regex, reduce(or_, reader.positions, 0), shortest if shortest == longest else None, nullable)


class _Reader:
    """Reads a regex into positions, and refuses it if two ways to go on begin alike; `a{2,3}` is read as `aaa?`."""

    def __init__(self) -> None:
        self.positions: list[Characters] = []
        self.sets: dict[Characters, Characters] = {}
        # By position: those that may come after it.
        self.following: list[list[int]] = []

    def sequence(self, items: Iterable[tuple[Any, Any]]) -> Piece:
        piece: Piece = (True, [], [])
        for code, argument in items:
            piece = self.then(piece, self.item(code.name, argument))
        return piece

    def item(self, code: str, argument: Any) -> Piece:
        match code:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return self.position(_characters(code, argument))
            case "SUBPATTERN":
                _, added, removed, body = argument
                if added or removed:
                    raise ValueError("sets flags; write out what they stand for, such as [aA] for (?i:a)")
                return self.sequence(body)
            case "BRANCH":
                nullables, firsts, lasts = zip(*(self.sequence(branch) for branch in argument[1]), strict=True)
                if sum(nullables) > 1:
                    raise ValueError("has two alternatives that can be empty; write (a|b)? for (a?|b?) and a for a|a")
                return any(nullables), [p for first in firsts for p in first], [p for last in lasts for p in last]
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self.repeat(*argument)
            case _:
                raise ValueError(
                    f"uses {code.lower().replace('_', ' ')}, which is not for path parameters; anchors are not needed, "
                    "the whole text must match, and conditions beyond the regex belong in `transform`"
                )

    def position(self, characters: Characters) -> Piece:
        number = len(self.positions)
        if number == MAX_POSITIONS:
            raise ValueError(
                f"is longer than {MAX_POSITIONS} characters written out; use + and check the length in `transform`"
            )
        # Sets up to the last code point take 140 kB: one object for all copies of a repeat.
        self.positions.append(self.sets.setdefault(characters, characters))
        self.following.append([])
        return False, [number], [number]

    def then(self, left: Piece, right: Piece) -> Piece:
        self.link(left[2], right[1])
        first = left[1] + right[1] if left[0] else left[1]
        last = right[2] + left[2] if right[0] else right[2]
        return left[0] and right[0], first, last

    def repeat(self, least: int, most: int, body: Sequence[tuple[Any, Any]]) -> Piece:
        endless = most == _parser.MAXREPEAT
        copies = [self.sequence(body) for _ in range(max(least, 1) if endless else most)]
        if copies and copies[0][0] and not least == most == 1:
            raise ValueError("repeats something that can be empty, or makes it optional once more; write a* for (a*)?")
        if endless:
            self.link(copies[-1][2], copies[-1][1])
        piece: Piece = (True, [], [])
        for number in reversed(range(len(copies))):
            nullable, first, last = self.then(copies[number], piece)
            piece = (nullable or number >= least, first, last)
        return piece

    def link(self, lasts: list[int], firsts: list[int]) -> None:
        for last in lasts:
            self.following[last] += firsts
            self.check(self.following[last])

    def check(self, choices: list[int]) -> None:
        seen = 0
        for position in choices:
            if seen & self.positions[position]:
                raise ValueError(
                    "can read the same character in two ways, so that matching could take more than linear time; "
                    "make every choice clear from the next character: a+ for (a+)+, a*b for a*a*b, a(b|c) for ab|ac"
                )
            seen |= self.positions[position]


def _characters(code: str, argument: Any) -> Characters:
    match code:
        case "LITERAL":
            return _span(argument, argument)
        case "NOT_LITERAL":
            return _ALL ^ _span(argument, argument)
        case "ANY":
            return _ALL ^ _span(10, 10)
    negated = argument[0][0].name == "NEGATE"
    characters = 0
    for item, detail in argument[negated:]:
        if item.name == "CATEGORY":
            category = _CATEGORIES[detail.name.replace("NOT_", "")]
            characters |= _ASCII ^ category if "NOT_" in detail.name else category
            characters |= 0 if negated else _ALL ^ _ASCII
        else:
            characters |= _span(detail, detail) if item.name == "LITERAL" else _span(*detail)
    return _ALL ^ characters if negated else characters
