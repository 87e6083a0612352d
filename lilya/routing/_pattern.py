"""
Path templates: `/chat/{room}/img-{id:int}.png` as segments that are matched, filled in and joined.

A template is split at its slashes. A segment is either a literal (a `str`) or a `Shape`: parameters with literals
before, between and after them. A whole-segment parameter is the shape with two empty literals; a shape with a
parameter that may contain slashes (`path`) is *multi*: it spans one segment or more. A pattern has at most one such
parameter, so that counting segments from both ends tells which of them it spans.

The meaning of a template is that of its regular expression (`Pattern.regex`), greedy from left to right; how it is
matched instead is said in `_shape` and `_index`.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from lilya._languages import language_of
from lilya.exceptions import ImproperlyConfigured
from lilya.routing._shape import Shape, convert
from lilya.transformers import TRANSFORMER_TYPES, PathTransformer, StringTransformer, Transformer

__all__ = ["Pattern", "Segment", "compile_path", "parse_pattern"]

# Both bracket styles, and either bracket closes what either opened.
_PARAMETER = r"[{<]([^{}<>]*)[}>]"  # compiled when first used: the import of the library stays light
_BRACKETS = frozenset("{}<>")


Segment: TypeAlias = "str | Shape"
Converter: TypeAlias = "Callable[[Sequence[str]], dict[str, Any] | None]"


class Pattern:
    """
    A parsed template. Make one with `parse_pattern` or `joined`.

    Attributes:
        template: The template as cleaned: `/ws` for `//ws/`.
        segments: One for each slash: `""` for the root's single, empty segment; none for an empty prefix.
        names: Of the parameters, from left to right; a joined pattern may have the same one twice.
        transformers: Of the parameters, likewise.
        has_tail: Whether a parameter may contain slashes.
        convert: From the texts of the parameters, in order, to their values by name; the inner one wins where a name
            occurs twice. None if a transformer refuses its text by whatever exception: the path does not match, then.
    """

    __slots__ = ("convert", "has_tail", "names", "segments", "template", "transformers")

    def __init__(self, template: str, segments: Sequence[Segment], names: Sequence[str]) -> None:
        shapes = [segment for segment in segments if isinstance(segment, Shape)]
        multi = sum(shape.multi for shape in shapes)
        if multi > 1:
            raise ImproperlyConfigured(
                f"{multi} parameters in the path {template!r} may contain slashes; at most one may, since where one "
                "ends and the next begins would not be certain. Give the others the type str"
            )
        self.template: str = template
        self.segments: tuple[Segment, ...] = tuple(segments)
        self.names: tuple[str, ...] = tuple(names)
        self.transformers: tuple[Transformer[Any], ...] = tuple(t for shape in shapes for t in shape.transformers)
        self.has_tail: bool = multi > 0
        self.convert: Converter = _make_converter(self.names, self.transformers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.template!r})"

    @property
    def depth(self) -> int:
        """The number of segments."""
        return len(self.segments)

    @property
    def regex(self) -> re.Pattern[str]:
        """The equivalent regex, for `fullmatch`; of two parameters with the same name the inner one has the group."""
        inner = {name: number for number, name in enumerate(self.names)}

        def group(number: int) -> str:
            name = self.names[number]
            return f"({f'?P<{name}>' if inner[name] == number else ''}{self.transformers[number].regex})"

        return re.compile(self.filled(group, re.escape))

    def format(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """
        The path with these values, not percent-encoded, and the params that it had no place for.

        A value is put in once and not looked at again: `{b}` as a value stays `{b}`.

        Raises:
            KeyError: A parameter is missing.
            AssertionError: A value could not match, such as a slash in a `str`.
        """

        def text(number: int) -> str:
            name, transformer = self.names[number], self.transformers[number]
            value = transformer.normalise(params[name])
            if language_of(name, transformer).fullmatch(value) is None:
                raise AssertionError(
                    f"{params[name]!r} for the parameter {name!r} of the path {self.template!r} gives {value!r}, which "
                    f"does not match {transformer.regex!r}"
                )
            return value

        return self.filled(text), {name: value for name, value in params.items() if name not in self.names}

    def joined(self, other: Pattern) -> Pattern:
        """
        This pattern as the prefix of `other`, as an include is of its routes: `/api` and `/` give `/api/`.

        Raises:
            ImproperlyConfigured: Both have a parameter that may contain slashes.
        """
        prefix, template = self.segments, self.template
        if other.segments and prefix[-1:] == ("",):
            prefix, template = prefix[:-1], template[:-1]
        return Pattern(template + other.template, prefix + other.segments, self.names + other.names)

    def filled(self, fill: Callable[[int], str], literally: Callable[[str], str] = str) -> str:
        """The template with its parameters, by number, and its literals replaced."""
        text, numbers = "", itertools.count()
        for segment in self.segments:
            first, *others = (segment,) if isinstance(segment, str) else segment.literals
            text += "/" + literally(first) + "".join(fill(next(numbers)) + literally(other) for other in others)
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
    form = pattern.filled(lambda number: f"{{{pattern.names[number]}}}")
    transformers = dict(zip(pattern.names, pattern.transformers, strict=True))
    return re.compile(rf"^{pattern.regex.pattern}\Z"), form, transformers


def _parse_segment(text: str, template: str, names: list[str]) -> Segment:
    # Appends the names it finds to `names`.
    pieces = re.split(_PARAMETER, text)
    literals, declarations = pieces[::2], pieces[1::2]
    if not all(_BRACKETS.isdisjoint(literal) for literal in literals):
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


def _make_converter(names: tuple[str, ...], transformers: tuple[Transformer[Any], ...]) -> Converter:
    if not all(type(transformer) in (StringTransformer, PathTransformer) for transformer in transformers):

        def convert_by_name(texts: Sequence[str]) -> dict[str, Any] | None:
            values = convert(transformers, texts)
            return None if values is None else dict(zip(names, values, strict=True))

        return convert_by_name
    # These values are their texts. Most patterns have one parameter, and this runs for every connection.
    if len(names) == 1:
        (name,) = names
        return lambda texts: {name: texts[0]}
    return lambda texts: dict(zip(names, texts, strict=True))
