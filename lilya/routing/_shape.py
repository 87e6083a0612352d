"""
Segments with parameters, such as `img-{id:int}.png`: which texts they match, with which values.

The meaning of a shape is that of its regular expression, greedy from left to right. That is never run on a request,
because a backtracking regex can take quadratic time and worse. The border between two parameters is found by rules
that cost one search each, and a shape they do not cover is refused at startup:

1. From the left: if a parameter cannot contain the first character of the literal after it, or all its texts have
   one length, then its end is certain. From the right: likewise with the last character of the literal before it.
2. What remains between is one parameter, whose two ends are now known; or only parameters that take anything: `str`,
   and a `path` at one end of them. Greedy means that the first one is as long as possible, hence each literal stands
   where it occurs last, found from right to left: `{a}-{b}` reads `x-y-z` as `x-y` and `z`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from lilya._languages import Language, language_of
from lilya.exceptions import ImproperlyConfigured
from lilya.transformers import PathTransformer, StringTransformer, Transformer

__all__ = ["Shape", "convert"]

# A literal between two parameters, and how it is found: the length of the parameter that it ends, None to search for
# it; and if that is from the right, how many characters at least are left to the parameter after it, and what the
# parameters before it cannot contain, so that it begins there at the latest.
_Border: TypeAlias = "tuple[str, int | None, int, str]"


class Shape:
    """
    A segment with parameters: `literals[0]`, first parameter, `literals[1]`, …, last parameter, `literals[-1]`.

    It knows no names: shapes with the same `key` match the same texts with the same values. `whole` means one parameter
    and no literal, so that `fullmatch` alone decides; `anything` a whole `str`, `everything` a whole `path`. `multi` is
    the number of parameters that may contain slashes; `nullable` says whether the empty segment matches.

    Raises:
        ImproperlyConfigured: Where one parameter ends and the next begins cannot be told in linear time.
    """

    def __init__(self, literals: Sequence[str], parameters: Sequence[tuple[str, Transformer[Any]]]) -> None:
        self.literals = tuple(literals)
        self.transformers = tuple(transformer for _, transformer in parameters)
        # By identity: a transformer need not be hashable, and only the very same one surely gives the same values.
        self.key = (self.literals, tuple(id(transformer) for transformer in self.transformers))
        self._languages = tuple(language_of(kind, transformer) for kind, transformer in parameters)
        self.multi = sum(language.may_contain("/") for language in self._languages)
        self.nullable = not any(self.literals) and self._languages[0].nullable
        self.whole = self.literals == ("", "")
        self.ends = (self.literals[0], self.literals[-1])
        self.lengths = (len(self.ends[0]), len(self.ends[1]))
        self.fullmatch = self._languages[0].fullmatch
        self.anything = self.whole and type(self.transformers[0]) is StringTransformer
        self.everything = self.whole and type(self.transformers[0]) is PathTransformer
        if not all(self.literals[1:-1]):
            raise ImproperlyConfigured("two parameters touch; put a literal or a slash between them")
        self._left, self._right = self._find_borders()

    def match(self, text: str) -> list[str] | None:
        """The texts of the parameters, or None; one search per literal and one regex per parameter."""
        first, last = self.literals[0], self.literals[-1]
        start, stop = len(first), len(text) - len(last)
        if start > stop or not text.startswith(first) or not text.endswith(last):
            return None
        if len(self._languages) == 1:
            value = text[start:stop]
            return None if self._languages[0].fullmatch(value) is None else [value]
        before: list[str] = []
        for literal, width, _, _ in self._left:
            border = text.find(literal, start, stop) if width is None else start + width
            if border < 0 or not text.startswith(literal, border, stop):
                return None
            before.append(text[start:border])
            start = border + len(literal)
        after: list[str] = []
        for literal, width, spare, wall in self._right:
            end = stop - (spare if width is None else width)
            if wall and (place := text.find(wall, start, end)) >= 0:
                end = min(end, place + len(literal))
            border = text.rfind(literal, start, end) if width is None else end - len(literal)
            if border < start or not text.startswith(literal, border):
                return None
            after.append(text[border + len(literal) : stop])
            stop = border
        values = [*before, text[start:stop], *reversed(after)]
        for language, value in zip(self._languages, values, strict=True):
            if language.fullmatch(value) is None:
                return None
        return values

    def covers(self, other: str | Shape | None) -> bool:
        """Whether this surely takes a text, or whatever another shape matches; None: any number of segments."""
        if isinstance(other, str):
            texts = self.match(other)
            return texts is not None and convert(self.transformers, texts) is not None
        if other is not None and self.key == other.key:
            return True
        return self.everything or (self.anything and other is not None and not (other.multi or other.nullable))

    def _find_borders(self) -> tuple[list[_Border], list[_Border]]:
        # Those found from the left, and those found from the right after them, each in the order of the search.
        languages, literals = self._languages, self.literals
        first, last = 0, len(languages) - 1
        left: list[_Border] = []
        while first < last and (border := _certain(literals[first + 1], languages[first], literals[first + 1][0])):
            left.append(border)
            first += 1
        right: list[_Border] = []
        while first < last and (border := _certain(literals[last], languages[last], literals[last][-1])):
            right.append(border)
            last -= 1
        if first == last:
            return left, right
        regexes = [transformer.regex for transformer in self.transformers[first : last + 1]]
        path_first, path_last = (regex == PathTransformer.regex for regex in (regexes[0], regexes[-1]))
        if regexes.count(StringTransformer.regex) + (path_first or path_last) < len(regexes):
            raise ImproperlyConfigured(
                f"both parameters around {literals[first + 1]!r} may contain it, so that the border between them is "
                "not certain; put a slash there, or a literal that one of them cannot contain, or make both of type str"
            )
        for number in range(last, first, -1):
            wall = "/" if path_last and number == last else "\n" if path_first and number == first + 1 else ""
            right.append((literals[number], None, 0 if path_last and number == last else 1, wall))
        return left, right


def convert(transformers: Sequence[Transformer[Any]], texts: Sequence[str]) -> list[Any] | None:
    """The values of the parameters, from their texts; None if a transformer refuses its text by whatever exception."""
    try:
        return [transformer.transform(text) for transformer, text in zip(transformers, texts, strict=True)]
    except Exception:
        return None


def _certain(literal: str, language: Language, edge: str) -> _Border | None:
    # Rule 1: the border beside a parameter, which the literal shows this edge of its own.
    searched = not language.may_contain(edge)
    return (literal, None if searched else language.width, 0, "") if searched or language.width is not None else None
