"""
How values that JSON does not know become values that it does, and the other way round.

An `Encoder` answers for a type. Those that an application registers are asked first, the newest before the older ones,
then the built-in ones: a pydantic model or any object with `model_dump`, an enum (by its value), a dataclass or
namedtuple (an object of its fields), datetime, date and time (ISO 8601), UUID, path and Decimal (text), bytes (base64,
RFC 4648 §4), timedelta (seconds), a mapping, any other iterable (an array).

Whatever the `json` module writes by itself (`str`, `int`, `float`, `list`, `tuple`, `dict` and their subclasses) never
reaches an encoder while text is written; `json_encode` looks at these too.
"""

from __future__ import annotations

import os
from binascii import a2b_base64, b2a_base64
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from lilya.exceptions import ImproperlyConfigured

__all__ = ["Encoder", "apply_structure", "default_for_json", "json_encode", "register_encoder"]

T = TypeVar("T")

TOO_DEEP = "The value contains itself, or is nested too deeply for JSON."
_SCALARS = (str, int, float, bool, type(None))


class Encoder:
    """
    Says how the values of `__type__` (a type or a tuple of types) look in JSON.

    A subclass sets `__type__` and defines `serialize`, and `encode` where calling the type does not undo it.
    """

    __type__: Any = None

    def is_type(self, value: Any) -> bool:
        """Whether this encoder answers for `value`."""
        return isinstance(value, self.__type__)

    def is_type_structure(self, structure: Any) -> bool:
        """Whether `encode` can make a `structure`."""
        return self.__type__ is not None and isinstance(structure, type) and issubclass(structure, self.__type__)

    def serialize(self, value: Any) -> Any:
        """What to write for `value`; it may hold values that need encoders themselves."""
        raise NotImplementedError(f"{type(self).__name__} answers for {self.__type__!r} and has to define serialize().")

    def encode(self, structure: type[Any], value: Any) -> Any:
        """The `structure` that `value` (decoded JSON) stands for."""
        return structure(value)


_registered: list[Encoder] = []


def register_encoder(encoder: T) -> T:
    """
    Ask `encoder`, an `Encoder` or a class of it, before all others; returned, so that it decorates a class.

    Encoders belong to the process: register at import time or at startup.

    Raises:
        ImproperlyConfigured: It is no encoder, or says neither by `__type__` nor by `is_type` what it answers for.
    """
    made: Any = encoder() if isinstance(encoder, type) else encoder
    if not isinstance(made, Encoder):
        raise ImproperlyConfigured(f"{encoder!r} is not an encoder: subclass lilya.encoders.Encoder.")
    if made.__type__ is None and type(made).is_type is Encoder.is_type:
        raise ImproperlyConfigured(f"{type(made).__name__}: set __type__ to the type that it encodes.")
    _registered.insert(0, made)
    return encoder


def default_for_json(value: Any) -> Any:
    """One step towards JSON for a value that the `json` module cannot write; a `TypeError` if no encoder answers."""
    for encoder in _registered:
        if encoder.is_type(value):
            return encoder.serialize(value)
    kind = type(value)
    for writes, write in _WRITERS:
        if writes(kind):
            return write(value)
    raise TypeError(
        f"{kind.__qualname__!r} cannot be written as JSON: register an encoder for it"
        " (lilya.encoders.register_encoder), or turn it into something that can."
    )


def json_encode(value: Any, encoders: Sequence[Encoder] = ()) -> Any:
    """
    The same value in words of JSON: `dict`, `list`, `str`, `int`, `float`, `bool` and None, at every depth.

    Args:
        encoders: Asked before the registered ones.

    Raises:
        TypeError: No encoder answers for a value, or a key is neither text nor a number.
        ValueError: The value contains itself, or is nested too deeply.
    """
    try:
        return _plain(value, [*encoders, *_registered])
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def apply_structure(structure: Any, value: Any, encoders: Sequence[Encoder] = ()) -> Any:
    """
    Decoded JSON as the type that it stands for, such as text as a `datetime` or an object as a dataclass.

    A value that is one already, or for whose type there is no encoder, comes back unchanged. What the type says about
    a value that does not fit (mostly `TypeError` or `ValueError`) is passed on. Only the outermost value is looked at.
    """
    if isinstance(structure, type) and isinstance(value, structure):
        return value
    for encoder in (*encoders, *_registered):
        if encoder.is_type_structure(structure):
            return encoder.encode(structure, value)
    if isinstance(structure, type):
        for makes, make in _MAKERS:
            if makes(structure):
                return make(structure, value)
    return value


def _plain(value: Any, first: Sequence[Encoder]) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    for encoder in first:
        if encoder.is_type(value):
            return _plain(encoder.serialize(value), first)
    if kind is dict:
        return {_plain_key(key, first): _plain(item, first) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item, first) for item in value]
    # A subclass of str or int is what the json module takes it for; only an enum says more, by its value.
    if isinstance(value, _SCALARS) and not isinstance(value, Enum):
        return value
    return _plain(default_for_json(value), first)


def _plain_key(key: Any, first: Sequence[Encoder]) -> Any:
    plain = _plain(key, first)
    if isinstance(plain, _SCALARS):
        return plain
    raise TypeError(f"A {type(key).__qualname__!r} cannot be a key in JSON: {key!r}")


# -- built in ----------------------------------------------------------------------------------------------------------


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda kind: issubclass(kind, types)


def _is_named(*names: str) -> Callable[[Any], bool]:
    # By name, as a model or a dataclass is told by what it has: importing the modules of all these types would cost
    # every application that does not use them.
    return lambda kind: any(f"{base.__module__}.{base.__qualname__}" in names for base in kind.__mro__)


def _has(method: str) -> Callable[[Any], bool]:
    return lambda kind: callable(getattr(kind, method, None))


def _is_dataclass(kind: Any) -> bool:
    return hasattr(kind, "__dataclass_fields__")


def _is_namedtuple(kind: Any) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _dump(model: Any) -> Any:
    # pydantic's own JSON mode knows the model's serializers; a look-alike need not know the argument.
    return model.model_dump(mode="json") if hasattr(type(model), "__pydantic_serializer__") else model.model_dump()


def _fields(value: Any) -> dict[str, Any]:
    import dataclasses  # noqa: PLC0415 - whoever has a dataclass has loaded it

    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


_WRITERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (_has("model_dump"), _dump),
    (_is(Enum), lambda value: value.value),
    (_is_dataclass, _fields),
    (_is_namedtuple, lambda value: value._asdict()),
    (_is_named("datetime.date", "datetime.time"), lambda value: value.isoformat()),  # a datetime is a date
    (_is_named("uuid.UUID", "decimal.Decimal"), str),
    (_is(os.PathLike), os.fsdecode),
    (_is(bytes, bytearray, memoryview), lambda value: b2a_base64(value, newline=False).decode()),
    (_is_named("datetime.timedelta"), lambda value: value.total_seconds()),
    (_is(Mapping), dict),
    (_is(Iterable), list),
)
# Not everything that can be iterated can be made from a list.
_MAKERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
    (_has("model_validate"), lambda model, value: model.model_validate(value)),
    (_is(Enum, os.PathLike), lambda kind, value: kind(value)),
    (_is_dataclass, lambda kind, value: kind(**value)),
    (_is_namedtuple, lambda kind, value: kind(**value) if isinstance(value, Mapping) else kind(*value)),
    (_is_named("datetime.date", "datetime.time"), lambda kind, text: kind.fromisoformat(text)),
    (_is_named("uuid.UUID", "decimal.Decimal"), lambda kind, value: kind(value)),
    (_is(bytes, bytearray, memoryview), lambda kind, text: kind(a2b_base64(text, strict_mode=True))),
    (_is_named("datetime.timedelta"), lambda kind, seconds: kind(seconds=seconds)),
    (_is(dict, list, tuple, set, frozenset, deque), lambda kind, value: kind(value)),
)
