"""
Path templates: `/chat/{room}/img-{id:int}.png` as segments that are matched, filled in and joined.

A template is split at its slashes. A segment is either a literal (a `str`) or a `Shape`: parameters with literals
before, between and after them. A whole-segment parameter is the shape with two empty literals; a shape with a
parameter that may contain slashes (`path`) is *multi*: it spans one segment or more. A pattern has at most one such
parameter, so that counting segments from both ends tells which of them it spans.

The meaning of a template is that of its regular expression (`Pattern.regex`), greedy from left to right. It is never
run on a request, because a backtracking regex can take quadratic time and worse. `Shape` finds the border between two
parameters of one segment by rules that cost one search each, and a template they do not cover is refused at startup:

1. From the left: if a parameter cannot contain the first character of the literal after it, or all its texts have
   one length, then its end is certain. From the right: likewise with the last character of the literal before it.
2. What remains between is one parameter, whose two ends are now known; or only parameters that take anything: `str`,
   and a `path` at one end of them. Greedy means that the first one is as long as possible, hence each literal stands
   where it occurs last, found from right to left: `{a}-{b}` reads `x-y-z` as `x-y` and `z`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from lilya.exceptions import ImproperlyConfigured
from lilya.transformers import (
    TRANSFORMER_TYPES,
    Language,
    PathTransformer,
    StringTransformer,
    Transformer,
    language_of,
)

__all__ = ["Pattern", "Segment", "Shape", "compile_path", "parse_pattern"]

# Both bracket styles, and either bracket closes what either opened.
_PARAMETER = re.compile(r"[{<]([^{}<>]*)[}>]")
_BRACKET = re.compile(r"[{}<>]")


class Shape:
    """
    A segment with parameters: `literals[0]`, first parameter, `literals[1]`, …, last parameter, `literals[-1]`.

    It knows no names: shapes with the same `key` match the same texts with the same values. `whole` means one parameter
    and no literal, so that its `fullmatch` decides; `anything` a whole `str`, `everything` a whole `path`. `multi` is
    the number of parameters that may contain slashes.

    Raises:
        ImproperlyConfigured: Where one parameter ends and the next begins cannot be told in linear time.
    """

    __slots__ = (
        "_chain",
        "_languages",
        "_left",
        "_right",
        "anything",
        "everything",
        "fullmatch",
        "key",
        "literals",
        "multi",
        "transformers",
        "whole",
    )

    def __init__(self, literals: Sequence[str], parameters: Sequence[tuple[str, Transformer[Any]]]) -> None:
        self.literals = tuple(literals)
        self.transformers = tuple(transformer for _, transformer in parameters)
        # By identity: a transformer need not be hashable, and only the very same one surely gives the same values.
        self.key = (self.literals, tuple(id(transformer) for transformer in self.transformers))
        self._languages = tuple(language_of(kind, transformer) for kind, transformer in parameters)
        self.multi = sum(language.may_contain("/") for language in self._languages)
        self.whole = self.literals == ("", "")
        self.fullmatch = self._languages[0].fullmatch
        self.anything = self.whole and type(self.transformers[0]) is StringTransformer
        self.everything = self.whole and type(self.transformers[0]) is PathTransformer
        if not all(self.literals[1:-1]):
            raise ImproperlyConfigured("two parameters touch; put a literal or a slash between them")
        self._left, self._right, self._chain = self._plan()

    @property
    def nullable(self) -> bool:
        """Whether the empty segment matches."""
        return not any(self.literals) and self._languages[0].nullable

    def match(self, text: str) -> list[str] | None:
        """The texts of the parameters, or None; one search per literal and one regex per parameter."""
        literals = self.literals
        start, stop = len(literals[0]), len(text) - len(literals[-1])
        if start > stop or not text.startswith(literals[0]) or not text.endswith(literals[-1]):
            return None
        if len(self._languages) == 1:
            value = text[start:stop]
            return None if self._languages[0].fullmatch(value) is None else [value]
        before: list[str] = []
        for literal, width in self._left:
            border = text.find(literal[0], start, stop) if width is None else start + width
            if border < 0 or not text.startswith(literal, border, stop):
                return None
            before.append(text[start:border])
            start = border + len(literal)
        after: list[str] = []
        for literal, width in self._right:
            begin = text.rfind(literal[-1], start, stop) + 1 if width is None else stop - width
            border = begin - len(literal)
            if border < start or not text.startswith(literal, border):
                return None
            after.append(text[begin:stop])
            stop = border
        between = self._match_chain(text, start, stop) if self._chain else [text[start:stop]]
        values = before + between + after[::-1]
        # A chain that found no place for a literal comes back short.
        if len(values) < len(self._languages):
            return None
        for language, value in zip(self._languages, values, strict=True):
            if language.fullmatch(value) is None:
                return None
        return values

    def takes(self, text: str) -> bool:
        """Whether the text matches and the transformers take it, too."""
        texts = self.match(text)
        return texts is not None and _convert(self.transformers, texts) is not None

    def _plan(self) -> tuple[list[tuple[str, int | None]], list[tuple[str, int | None]], tuple[Transformer[Any], ...]]:
        # The literals to find from the left and from the right (with the width of the parameter that they end, where
        # that is what makes the border certain), and the parameters of the chain between, if they are several.
        languages, literals = self._languages, self.literals
        first, last = 0, len(languages) - 1
        left: list[tuple[str, int | None]] = []
        while first < last and _is_certain(languages[first], literals[first + 1][0]):
            left.append((literals[first + 1], _width(languages[first], literals[first + 1][0])))
            first += 1
        right: list[tuple[str, int | None]] = []
        while first < last and _is_certain(languages[last], literals[last][-1]):
            right.append((literals[last], _width(languages[last], literals[last][-1])))
            last -= 1
        chain = self.transformers[first : last + 1]
        if len(chain) == 1:
            return left, right, ()
        strings = [transformer for transformer in chain if transformer.regex == StringTransformer.regex]
        at_an_end = PathTransformer.regex in (chain[0].regex, chain[-1].regex)
        if len(strings) + at_an_end < len(chain):
            raise ImproperlyConfigured(
                f"both parameters around {literals[first + 1]!r} may contain it, so that the border between them is "
                "not certain; put a slash there, or a literal that one of them cannot contain, or make both of type str"
            )
        return left, right, chain

    def _match_chain(self, text: str, start: int, stop: int) -> list[str]:
        # Rule 2: every literal at its last possible place, from right to left. A `str` is not empty and holds no
        # slash, a `path` holds no line break; this bounds where the literals may be.
        chain = self._chain
        literals = self.literals[len(self._left) + 1 :]
        path_first = chain[0].regex == PathTransformer.regex
        path_last = chain[-1].regex == PathTransformer.regex
        lowest = max(start, text.rfind("/", start, stop) + 1) if path_first else start + 1
        values: list[str] = []
        for number in reversed(range(len(chain) - 1)):
            literal = literals[number]
            highest = stop - 1
            if path_last and not values:
                slash = text.find("/", start, stop)
                highest = stop if slash < 0 else slash
            if path_first and not number:
                line_break = text.find("\n", start, stop)
                highest = highest if line_break < 0 else min(highest, line_break + len(literal))
            border = text.rfind(literal, lowest, highest)
            if border < 0:
                return []
            values.append(text[border + len(literal) : stop])
            stop = border
        values.append(text[start:stop])
        return values[::-1]


Segment: TypeAlias = str | Shape


class Pattern:
    """
    A parsed template; immutable. Make one with `parse_pattern` or `joined`.

    Attributes:
        template: The template as cleaned: `/ws` for `//ws/`.
        segments: One for each slash: `""` for the root's single, empty segment; none for an empty prefix.
        names: Of the parameters, from left to right; a joined pattern may have the same one twice.
        transformers: Of the parameters, likewise.
        has_tail: Whether a parameter may contain slashes.
    """

    __slots__ = ("_plain", "has_tail", "names", "segments", "template", "transformers")

    template: str
    segments: tuple[Segment, ...]
    names: tuple[str, ...]
    transformers: tuple[Transformer[Any], ...]
    has_tail: bool
    _plain: bool

    def __init__(self, template: str, segments: Sequence[Segment], names: Sequence[str]) -> None:
        shapes = [segment for segment in segments if isinstance(segment, Shape)]
        multi = sum(shape.multi for shape in shapes)
        if multi > 1:
            raise ImproperlyConfigured(
                f"{multi} parameters in the path {template!r} may contain slashes; at most one may, since where one "
                "ends and the next begins would not be certain. Give the others the type str"
            )
        transformers = tuple(transformer for shape in shapes for transformer in shape.transformers)
        set_once = super().__setattr__
        set_once("template", template)
        set_once("segments", tuple(segments))
        set_once("names", tuple(names))
        set_once("transformers", transformers)
        set_once("has_tail", multi > 0)
        set_once(
            "_plain", all(type(transformer) in (StringTransformer, PathTransformer) for transformer in transformers)
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Pattern is immutable; cannot set {name!r}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.template!r})"

    @property
    def depth(self) -> int:
        """The number of segments."""
        return len(self.segments)

    @property
    def regex(self) -> re.Pattern[str]:
        """The equivalent regex, for `fullmatch`; of two parameters with the same name the inner one has the group."""
        named = {name: number for number, name in enumerate(self.names)}
        source = ""
        for piece in self._pieces():
            if isinstance(piece, str):
                source += re.escape(piece)
            else:
                name = self.names[piece]
                group = f"?P<{name}>" if named[name] == piece else ""
                source += f"({group}{self.transformers[piece].regex})"
        return re.compile(source)

    def convert(self, values: Sequence[str]) -> dict[str, Any] | None:
        """
        The parameters by name, from their texts in order; the inner one wins where a name occurs twice.

        None if a transformer refuses its text by whatever exception: the path does not match, then.
        """
        names = self.names
        if self._plain:
            return {names[0]: values[0]} if len(names) == 1 else dict(zip(names, values, strict=True))
        converted = _convert(self.transformers, values)
        return None if converted is None else dict(zip(names, converted, strict=True))

    def format(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """
        The path with these values, not percent-encoded, and the params that it had no place for.

        A value is put in once and not looked at again: `{b}` as a value stays `{b}`.

        Raises:
            KeyError: A parameter is missing.
            AssertionError: A value could not match, such as a slash in a `str`.
        """
        path = ""
        for piece in self._pieces():
            path += piece if isinstance(piece, str) else self._text(piece, params[self.names[piece]])
        return path, {name: value for name, value in params.items() if name not in self.names}

    def joined(self, other: "Pattern") -> "Pattern":
        """
        This pattern as the prefix of `other`, as an include is of its routes: `/api` and `/` give `/api/`.

        Raises:
            ImproperlyConfigured: Both have a parameter that may contain slashes.
        """
        prefix, template = self.segments, self.template
        if other.segments and prefix[-1:] == ("",):
            prefix, template = prefix[:-1], template[:-1]
        return Pattern(template + other.template, prefix + other.segments, self.names + other.names)

    def _pieces(self) -> Iterator[str | int]:
        # The template in order: literal texts, and the numbers of the parameters.
        number = 0
        for segment in self.segments:
            yield "/"
            if isinstance(segment, str):
                yield segment
            else:
                yield segment.literals[0]
                for literal in segment.literals[1:]:
                    yield number
                    yield literal
                    number += 1

    def _text(self, number: int, value: Any) -> str:
        name, transformer = self.names[number], self.transformers[number]
        text = transformer.normalise(value)
        if language_of(name, transformer).fullmatch(text) is None:
            raise AssertionError(
                f"{value!r} for the parameter {name!r} of the path {self.template!r} gives {text!r}, which does not "
                f"match {transformer.regex!r}"
            )
        return text


def parse_pattern(template: str, *, allow_empty: bool = False) -> Pattern:
    """
    Read a template such as `/chat/{room}/<page:int>`; trailing and doubled slashes are dropped.

    Args:
        allow_empty: Accept `""`, the prefix of an include that adds nothing.

    Raises:
        AssertionError: It does not start with a slash, or names an unknown type.
        ImproperlyConfigured: A name occurs twice or is not an identifier, brackets do not pair, or the path could
            not be matched in linear time; also a ValueError.
    """
    if not template.startswith("/") and (template or not allow_empty):
        raise AssertionError(f"Paths must start with '/', got {template!r}; write {'/' + template!r}")
    cleaned = re.sub("/{2,}", "/", template)
    if len(cleaned) > 1:
        cleaned = cleaned.rstrip("/")
    names: list[str] = []
    segments = [_parse_segment(text, cleaned, names) for text in cleaned.split("/")[1:]]
    if len(set(names)) < len(names):
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        plural = "s" if len(twice) > 1 else ""
        raise ImproperlyConfigured(
            f"Duplicated param name{plural} {', '.join(twice)} in the path {cleaned}; give each parameter its own name"
        )
    return Pattern(cleaned, segments, names)


def compile_path(template: str) -> tuple[re.Pattern[str], str, dict[str, Transformer[Any]]]:
    """
    A template as an anchored regex, a format string such as `/users/{id}`, and the transformers by name.

    For code that wants a regex; the router itself does not use it.
    """
    pattern = parse_pattern(template)
    form = "".join(piece if isinstance(piece, str) else f"{{{pattern.names[piece]}}}" for piece in pattern._pieces())
    transformers = dict(zip(pattern.names, pattern.transformers, strict=True))
    return re.compile(rf"^{pattern.regex.pattern}\Z"), form, transformers


def _parse_segment(text: str, template: str, names: list[str]) -> Segment:
    # Appends the names it finds to `names`.
    pieces = _PARAMETER.split(text)
    literals, declarations = pieces[::2], pieces[1::2]
    if any(_BRACKET.search(literal) for literal in literals):
        raise ImproperlyConfigured(
            f"Unbalanced brackets in {text!r} of the path {template!r}; write a parameter as {{name}} or {{name:type}}"
        )
    if not declarations:
        return text
    parameters: list[tuple[str, Transformer[Any]]] = []
    for declaration in declarations:
        name, colon, kind = declaration.partition(":")
        if not name.isidentifier():
            raise ImproperlyConfigured(
                f"{name!r} in the path {template!r} is no name for a parameter; it must be a Python identifier, since "
                "the handler takes it as an argument"
            )
        kind = kind if colon else "str"
        if kind not in TRANSFORMER_TYPES:
            raise AssertionError(
                f"Unknown path transformer {kind!r} in the path {template!r}. Known: {', '.join(TRANSFORMER_TYPES)}. "
                "Add others with lilya.transformers.register_path_transformer"
            )
        names.append(name)
        parameters.append((kind, TRANSFORMER_TYPES[kind]))
    try:
        return Shape(literals, parameters)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"Segment {text!r} of the path {template!r}: {error}") from None


def _convert(transformers: Sequence[Transformer[Any]], texts: Sequence[str]) -> list[Any] | None:
    try:
        return [transformer.transform(text) for transformer, text in zip(transformers, texts, strict=True)]
    except Exception:
        # Whatever a transformer raises about a text that a stranger sent, it means "no match".
        return None


def _is_certain(language: Language, neighbour: str) -> bool:
    return language.width is not None or not language.may_contain(neighbour)


def _width(language: Language, neighbour: str) -> int | None:
    # Rule 1 prefers the search for a character; the width is for languages that may contain it.
    return language.width if language.may_contain(neighbour) else None
