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

Matching a path must take time linear in its length, whatever a stranger sends: a regex in which a character can be
read in more than one way, such as `(a+)+`, is refused (see `lilya._languages`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from lilya._languages import language_of
from lilya.exceptions import ImproperlyConfigured

if TYPE_CHECKING:  # loaded when the first such parameter is read: few applications have one
    from datetime import datetime
    from uuid import UUID

__all__ = [
    "TRANSFORMER_TYPES",
    "DatetimeTransformer",
    "FloatTransformer",
    "IntegerTransformer",
    "PathTransformer",
    "StringTransformer",
    "Transformer",
    "UUIDTransformer",
    "register_path_transformer",
]

T = TypeVar("T")

# `int` takes time that grows with the square of the digits; this is also where Python's own default limit stands.
MAX_DIGITS = 4_300


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
            text = str(int(value))
        except (TypeError, ValueError, OverflowError):
            _refuse(f"An int path parameter must be an integer of at most {MAX_DIGITS} digits")
        if text.startswith("-"):
            _refuse(f"An int path parameter must not be negative, got {text}")
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


class UUIDTransformer(Transformer["UUID"]):
    """`uuid`: 8-4-4-4-12 hexadecimal digits, in either case."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

    def transform(self, value: str) -> UUID:
        from uuid import UUID  # noqa: PLC0415 - see TYPE_CHECKING above

        return UUID(value)

    def normalise(self, value: UUID) -> str:
        return str(value)


class DatetimeTransformer(Transformer["datetime"]):
    """`datetime`: `YYYY-MM-DDTHH:MM:SS`, a moment that exists; a fraction or a zone is neither read nor written."""

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"

    def transform(self, value: str) -> datetime:
        from datetime import datetime  # noqa: PLC0415 - see TYPE_CHECKING above

        return datetime.fromisoformat(value)

    def normalise(self, value: datetime) -> str:
        from datetime import datetime  # noqa: PLC0415 - see TYPE_CHECKING above

        if not isinstance(value, datetime):
            _refuse(f"A datetime path parameter must be a datetime, got {value!r}")
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


def _refuse(reason: str) -> NoReturn:
    # Not the statement `assert`: the error is part of the contract and must survive `python -O`.
    raise AssertionError(reason)
