"""
The types of path parameters: what `{id:int}` accepts, and what the handler gets.

A transformer is three things: a regular expression for the text in the path, the way from that text to a value, and
the way back for `path_for`. An application adds its own under a name of its choice:

    class HexTransformer(Transformer[int]):
        regex = "[0-9a-f]+"

        def transform(self, value: str) -> int:
            return int(value, 16)

        def normalise(self, value: int) -> str:
            return f"{value:x}"

    register_path_transformer("hex", HexTransformer())

The text always matches `regex` as a whole before `transform` sees it. If `transform` raises, the path does not match;
the error goes no further. A regex that can match a slash makes the parameter span several segments, as `path` does.

Matching a path must take time linear in its length, whatever a stranger sends. Python's `re` tries alternatives one
after the other, so `(a+)+` can take for ever; a regex in which each character can be read in one way only has no
alternatives to try. `language_of` checks that, and reads from the regex what the router has to know.
"""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from itertools import pairwise
from re import _parser  # type: ignore[attr-defined]  # untyped, but the one parser that agrees with `re` on every regex
from typing import Any, ClassVar, Generic, NoReturn, TypeVar
from uuid import UUID

from lilya.exceptions import ImproperlyConfigured

__all__ = [
    "TRANSFORMER_TYPES",
    "DatetimeTransformer",
    "FloatTransformer",
    "IntegerTransformer",
    "PathTransformer",
    "StringTransformer",
    "Transformer",
    "UUIDTransformer",
    "get_transformers",
    "register_path_transformer",
]

T = TypeVar("T")

# `int` takes time that grows with the square of the digits; this is also where Python's own default limit stands.
MAX_DIGITS = 4_300
# Positions a regex may have after its counted repeats are written out; far beyond any sensible path parameter.
MAX_POSITIONS = 1_000


class Transformer(Generic[T]):
    """
    One type of path parameter; subclasses set `regex` and define `transform` and `normalise`.

    `regex` has no anchors, look-around, back-references, named groups or flags: the whole text must match it anyway.
    """

    regex: ClassVar[str] = ""

    def transform(self, value: str) -> T:
        """The value that the handler gets for a text that matches `regex`; any exception means "no match"."""
        raise NotImplementedError(f"{type(self).__name__} must define transform(value)")

    def normalise(self, value: T) -> str:
        """
        The text that stands for `value` in a path, not percent-encoded.

        Raises:
            AssertionError: No path could carry that value.
        """
        raise NotImplementedError(f"{type(self).__name__} must define normalise(value)")


class StringTransformer(Transformer[str]):
    """`str`, the default: anything but a slash, at least one character."""

    regex = "[^/]+"

    def transform(self, value: str) -> str:
        return value

    def normalise(self, value: str) -> str:
        value = str(value)
        if not value:
            _refuse("A str path parameter must not be empty; use the type 'path' if it may be")
        if "/" in value:
            _refuse(f"A str path parameter must not contain '/', got {value!r}; use the type 'path' if it may")
        return value


class PathTransformer(Transformer[str]):
    """`path`: the rest of the path, slashes included, possibly empty; no line break."""

    regex = ".*"

    def transform(self, value: str) -> str:
        return value

    def normalise(self, value: str) -> str:
        value = str(value)
        if "\n" in value:
            _refuse(f"A path parameter must not contain a line break, got {value!r}")
        return value


class IntegerTransformer(Transformer[int]):
    """`int`: ASCII digits, at most 4,300 of them; no sign."""

    regex = "[0-9]+"

    def transform(self, value: str) -> int:
        if len(value) > MAX_DIGITS:
            raise ValueError(f"an int path parameter has at most {MAX_DIGITS} digits")
        return int(value)

    def normalise(self, value: int) -> str:
        try:
            number = int(value)
            text = str(number)
        except (TypeError, ValueError, OverflowError):
            _refuse("An int path parameter must be an integer of at most 4300 digits")
        if number < 0:
            _refuse(f"An int path parameter must not be negative, got {number}")
        return text


class FloatTransformer(Transformer[float]):
    """`float`: digits, optionally a point and more digits; no sign, no exponent, nothing too large for a float."""

    regex = r"[0-9]+(\.[0-9]+)?"

    def transform(self, value: str) -> float:
        number = float(value)
        if math.isinf(number):
            raise ValueError("too large for a float")
        return number

    def normalise(self, value: float) -> str:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            _refuse(f"A float path parameter must be a number, got a {type(value).__name__} that is none")
        if not (math.isfinite(number) and number >= 0):
            _refuse(f"A float path parameter must be finite and not negative, got {number}")
        text = repr(abs(number))
        if "e" in text:
            # Every float has a finite decimal expansion; 1,074 digits are enough for the smallest one.
            text = f"{number:.1074f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


class UUIDTransformer(Transformer[UUID]):
    """`uuid`: 8-4-4-4-12 hexadecimal digits, in either case."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

    def transform(self, value: str) -> UUID:
        return UUID(value)

    def normalise(self, value: UUID) -> str:
        return str(value)


class DatetimeTransformer(Transformer[datetime]):
    """`datetime`: `YYYY-MM-DDTHH:MM:SS`, a moment that exists; a fraction or a zone is neither read nor written."""

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"

    def transform(self, value: str) -> datetime:
        return datetime.fromisoformat(value)

    def normalise(self, value: datetime) -> str:
        return value.replace(microsecond=0, tzinfo=None).isoformat()


# By type name, as in `{name:type}`. Public because applications look into it; add with `register_path_transformer`.
TRANSFORMER_TYPES: dict[str, Transformer[Any]] = {
    "str": StringTransformer(),
    "path": PathTransformer(),
    "int": IntegerTransformer(),
    "float": FloatTransformer(),
    "uuid": UUIDTransformer(),
    "datetime": DatetimeTransformer(),
}


def register_path_transformer(name: str, transformer: Transformer[Any] | type[Transformer[Any]]) -> None:
    """
    Make `{parameter:name}` available to every path parsed from now on; an earlier type of that name is replaced.

    Args:
        name: Any text without brackets, slashes and colons.
        transformer: An instance, or a class that takes no arguments.

    Raises:
        ImproperlyConfigured: The name cannot stand in a path, or the regex could need more than linear time.
    """
    if not name or any(character in name for character in "{}<>:/"):
        raise ImproperlyConfigured(
            f"Path transformer {name!r}: a name has no brackets, slashes or colons; choose another"
        )
    instance = transformer() if isinstance(transformer, type) else transformer
    if not isinstance(instance, Transformer):
        raise ImproperlyConfigured(
            f"Path transformer {name!r}: {instance!r} is not a Transformer; subclass lilya.transformers.Transformer"
        )
    language_of(name, instance)
    TRANSFORMER_TYPES[name] = instance


def get_transformers() -> dict[str, Transformer[Any]]:
    """The known types by name: a copy, so that changing it changes nothing."""
    return dict(TRANSFORMER_TYPES)


def _refuse(reason: str) -> NoReturn:
    # Not the statement `assert`: the error is part of the contract and must survive `python -O`.
    raise AssertionError(reason)


# What the router knows about a regex ---------------------------------------------------------------------------------

# Code points as sorted, disjoint, inclusive ranges.
Ranges = tuple[tuple[int, int], ...]
# A piece of a regex: whether it matches the empty text, and the positions it may begin and end with.
Piece = tuple[bool, list[int], list[int]]

_LAST = 0x10FFFF
_NEWLINE: Ranges = ((10, 10),)
# Inside ASCII; what these categories hold beyond it is never relied upon, in either direction.
_CATEGORIES: dict[str, Ranges] = {
    "CATEGORY_DIGIT": ((48, 57),),
    "CATEGORY_SPACE": ((9, 13), (28, 32)),
    "CATEGORY_WORD": ((48, 57), (65, 90), (95, 95), (97, 122)),
}


class Language:
    """
    The texts that a transformer's regex matches, as far as the router has to know them.

    `characters` holds at least every character that can occur, never fewer; `width` is the length of all texts if
    they have the same one, else None; `nullable` says whether the empty text is among them.
    """

    __slots__ = ("characters", "fullmatch", "nullable", "width")

    def __init__(self, regex: str, characters: Ranges, width: int | None, nullable: bool) -> None:
        self.fullmatch = re.compile(regex).fullmatch
        self.characters = characters
        self.width = width
        self.nullable = nullable

    def may_contain(self, character: str) -> bool:
        return any(low <= ord(character) <= high for low, high in self.characters)


def language_of(name: str, transformer: Transformer[Any]) -> Language:
    """
    What the regex of a transformer can match.

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
    reader.together(first)
    shortest, longest = parsed.getwidth()
    characters = _union(pair for ranges in reader.positions for pair in ranges)
    return Language(regex, characters, shortest if shortest == longest else None, nullable)


class _Reader:
    """
    Reads a regex into positions (Glushkov's construction), refusing it if two ways to go on begin alike.

    A position is one occurrence of a character set; `following[p]` are the positions that may come after `p`. The
    regex is deterministic in the strong sense if no two positions that begin it, or follow the same one, overlap,
    *and* no position follows another in two ways: `(a+)+` has a single position, which follows itself through either
    plus. The empty text, too, must be read in one way only, unlike in `(a|a)*`, which `re` reads as `(a(|))*`. Then at
    every character at most one way goes on, all others fail at once, and backtracking stays linear.

    Counted repeats are written out: `a{2,3}` is read as `aaa?`.
    """

    def __init__(self) -> None:
        self.positions: list[Ranges] = []
        self.following: list[list[int]] = []

    def sequence(self, items: Iterable[tuple[Any, Any]]) -> Piece:
        piece: Piece = (True, [], [])
        for code, argument in items:
            piece = self.then(piece, self.item(code.name, argument))
        return piece

    def item(self, code: str, argument: Any) -> Piece:
        match code:
            case "LITERAL":
                return self.position(((argument, argument),))
            case "NOT_LITERAL":
                return self.position(_complement(((argument, argument),)))
            case "ANY":
                return self.position(_complement(_NEWLINE))
            case "IN":
                return self.position(_character_class(argument))
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

    def position(self, characters: Ranges) -> Piece:
        if len(self.positions) == MAX_POSITIONS:
            raise ValueError(
                f"is longer than {MAX_POSITIONS} characters written out; use + and check the length in `transform`"
            )
        self.positions.append(characters)
        self.following.append([])
        number = len(self.positions) - 1
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
            self.together(self.following[last])

    def together(self, choices: list[int]) -> None:
        pairs = sorted(pair for number in choices for pair in self.positions[number])
        if any(left[1] >= right[0] for left, right in pairwise(pairs)):
            raise ValueError(
                "can read the same character in two ways, so that matching could take more than linear time; "
                "make every choice clear from the next character: a+ for (a+)+, a*b for a*a*b, a(b|c) for ab|ac"
            )


def _character_class(items: Sequence[tuple[Any, Any]]) -> Ranges:
    negated = items[0][0].name == "NEGATE"
    pairs: list[tuple[int, int]] = []
    for code, argument in items[negated:]:
        if code.name == "CATEGORY":
            ranges = _CATEGORIES[argument.name.replace("NOT_", "")]
            if "NOT_" in argument.name:
                ranges = tuple((low, min(high, 127)) for low, high in _complement(ranges) if low < 128)
            pairs += ranges
            if not negated:
                pairs.append((128, _LAST))
        else:
            pairs.append((argument, argument) if code.name == "LITERAL" else argument)
    ranges = _union(pairs)
    return _complement(ranges) if negated else ranges


def _union(pairs: Iterable[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(ranges: Ranges) -> Ranges:
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        gaps.append((start, low - 1))
        start = high + 1
    gaps.append((start, _LAST))
    return tuple((low, high) for low, high in gaps if low <= high)
