"""
How values that JSON does not know become values that it does, and the other way round.

An `Encoder` answers for a type. Those that an application registers are asked first, the newest before the older
ones, then the built-in ones:

    pydantic model, or any object with `model_dump`   what `model_dump` gives
    enum                                              its value
    dataclass, namedtuple                             an object of its fields
    datetime, date, time                              ISO 8601 text
    UUID, path, Decimal                               text
    bytes, bytearray, memoryview                      base64 text (RFC 4648 §4)
    timedelta                                         seconds, a float
    mapping; set, generator or other iterable         an object; an array

Whatever the `json` module writes by itself (`str`, `int`, `float`, `list`, `tuple`, `dict` and their subclasses) never
reaches an encoder while text is written; `json_encode` looks at these too.
"""

import dataclasses
import os
import sys
from binascii import a2b_base64, b2a_base64
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from lilya.exceptions import ImproperlyConfigured

__all__ = ["Encoder", "apply_structure", "default_for_json", "json_encode", "register_encoder"]

T = TypeVar("T")


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


class _ModelEncoder(Encoder):
    # Told by its method: importing pydantic to ask `isinstance` would cost every application that does not use it.
    def is_type(self, value: Any) -> bool:
        return callable(getattr(type(value), "model_dump", None))

    def is_type_structure(self, structure: Any) -> bool:
        return isinstance(structure, type) and callable(getattr(structure, "model_validate", None))

    def serialize(self, value: Any) -> Any:
        # pydantic's own JSON mode knows the model's serializers; a look-alike need not know the argument.
        if getattr(type(value), "__pydantic_serializer__", None) is not None:
            return value.model_dump(mode="json")
        return value.model_dump()

    def encode(self, structure: Any, value: Any) -> Any:
        return structure.model_validate(value)


class _DataclassEncoder(Encoder):
    def is_type(self, value: Any) -> bool:
        return dataclasses.is_dataclass(type(value))

    def is_type_structure(self, structure: Any) -> bool:
        return isinstance(structure, type) and dataclasses.is_dataclass(structure)

    def serialize(self, value: Any) -> dict[str, Any]:
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}

    def encode(self, structure: type[Any], value: Mapping[str, Any]) -> Any:
        return structure(**value)


class _NamedTupleEncoder(Encoder):
    def is_type(self, value: Any) -> bool:
        return self.is_type_structure(type(value))

    def is_type_structure(self, structure: Any) -> bool:
        return isinstance(structure, type) and issubclass(structure, tuple) and hasattr(structure, "_fields")

    def serialize(self, value: Any) -> dict[str, Any]:
        return dict(zip(value._fields, value, strict=True))

    def encode(self, structure: type[Any], value: Any) -> Any:
        return structure(**value) if isinstance(value, Mapping) else structure(*value)


class _DecimalEncoder(Encoder):
    # No value can be a Decimal before somebody imported the module, which is a large one.
    def is_type(self, value: Any) -> bool:
        return self.is_type_structure(type(value))

    def is_type_structure(self, structure: Any) -> bool:
        decimal = sys.modules.get("decimal")
        return decimal is not None and isinstance(structure, type) and issubclass(structure, decimal.Decimal)

    def serialize(self, value: Any) -> str:
        return str(value)


class _TypeEncoder(Encoder):
    """A row of the table below: which types, how to write them, how to make them (by calling them, if not said)."""

    def __init__(
        self,
        types: type[Any] | tuple[type[Any], ...],
        write: Callable[[Any], Any],
        make: Callable[[Any, Any], Any] = lambda structure, value: structure(value),
        makes: type[Any] | tuple[type[Any], ...] | None = None,
    ) -> None:
        self.__type__ = types
        self.write, self.make, self.makes = write, make, makes or types

    def is_type_structure(self, structure: Any) -> bool:
        return isinstance(structure, type) and issubclass(structure, self.makes)

    def serialize(self, value: Any) -> Any:
        return self.write(value)

    def encode(self, structure: type[Any], value: Any) -> Any:
        return self.make(structure, value)


_BUILT_IN: tuple[Encoder, ...] = (
    _ModelEncoder(),
    _TypeEncoder(Enum, lambda value: value.value),
    _DataclassEncoder(),
    _NamedTupleEncoder(),
    # A datetime is a date.
    _TypeEncoder((date, time), lambda value: value.isoformat(), lambda kind, text: kind.fromisoformat(text)),
    _TypeEncoder(UUID, str),
    _TypeEncoder(os.PathLike, os.fsdecode),
    _TypeEncoder(
        (bytes, bytearray, memoryview),
        lambda value: b2a_base64(value, newline=False).decode("ascii"),
        lambda kind, text: kind(a2b_base64(text, strict_mode=True)),
    ),
    _TypeEncoder(timedelta, timedelta.total_seconds, lambda kind, seconds: kind(seconds=seconds)),
    _DecimalEncoder(),
    _TypeEncoder(Mapping, dict, makes=dict),
    # Not everything that can be iterated can be made from a list.
    _TypeEncoder(Iterable, list, makes=(list, tuple, set, frozenset, deque)),
)
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
    """
    One step towards JSON for a value that the `json` module cannot write: its `default` hook.

    Raises:
        TypeError: No encoder answers for the value.
    """
    for encoder in _registered:
        if encoder.is_type(value):
            return encoder.serialize(value)
    for encoder in _BUILT_IN:
        if encoder.is_type(value):
            return encoder.serialize(value)
    raise _unknown(value)


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
        raise ValueError("The value contains itself, or is nested too deeply for JSON.") from None


def apply_structure(structure: Any, value: Any, encoders: Sequence[Encoder] = ()) -> Any:
    """
    Decoded JSON as the type that it stands for, such as text as a `datetime` or an object as a dataclass.

    A value that is one already, or for whose type there is no encoder, comes back unchanged. What the type says about
    a value that does not fit (mostly `TypeError` or `ValueError`) is passed on. Only the outermost value is looked at.
    """
    if isinstance(structure, type) and isinstance(value, structure):
        return value
    for encoder in (*encoders, *_registered, *_BUILT_IN):
        if encoder.is_type_structure(structure):
            return encoder.encode(structure, value)
    return value


_SCALARS = (str, int, float, bool, type(None))


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
    for encoder in _BUILT_IN:
        if encoder.is_type(value):
            return _plain(encoder.serialize(value), first)
    raise _unknown(value)


def _plain_key(key: Any, first: Sequence[Encoder]) -> Any:
    plain = _plain(key, first)
    if isinstance(plain, _SCALARS):
        return plain
    raise TypeError(f"A {type(key).__qualname__!r} cannot be a key in JSON: {key!r}")


def _unknown(value: Any) -> TypeError:
    return TypeError(
        f"{type(value).__qualname__!r} cannot be written as JSON: register an encoder for it"
        " (lilya.encoders.register_encoder), or turn it into something that can."
    )
