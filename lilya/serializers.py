"""
The JSON codec of messages, requests and responses, built once.

It writes compact JSON (RFC 8259) with text as it is rather than escaped, and is strict in both directions:

- NaN and the infinities, which JSON does not have, are refused, and so is `1e999`, which would become one;
- what contains itself, is nested too deeply (the interpreter's recursion limit) or holds an integer of thousands of
  digits (`sys.set_int_max_str_digits`) is a `ValueError` too, never a `RecursionError`;
- bytes are UTF-8 without a byte order mark, and a text with half of a surrogate pair, escaped or not, is refused here,
  where the handler sees it, rather than later in the server.

Values that the `json` module cannot write go through `lilya.encoders`.

Why the `json` module: an echo of a small object takes 41,300 instructions with `json.loads` and a prebuilt encoder,
25,900 here by leaving out what they do on every call, and 14,900 with `pydantic_core`; but the import of that costs as
much as some 14,000 messages save.
"""

from __future__ import annotations

import json
from json import JSONDecodeError
from json import encoder as _json_encoder
from typing import Any, NoReturn

from lilya.encoders import TOO_DEEP, default_for_json
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Serializer", "SerializerConfig", "decode", "encode_bytes", "encode_text", "serializer"]

_WHITESPACE = " \t\n\r"


def encode_text(value: Any) -> str:
    """
    `value` as compact JSON text.

    Raises:
        TypeError: A value that no encoder answers for, or a key that is neither text nor a number.
        ValueError: The value has no JSON form; see above.
    """
    try:
        text = "".join(_write(value, 0))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    # Almost free: most JSON is ASCII, which a str knows about itself.
    if not text.isascii():
        text.encode()
    return text


def encode_bytes(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8; raises what `encode_text` raises."""
    try:
        return "".join(_write(value, 0)).encode()
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def decode(data: str | bytes | bytearray | memoryview) -> Any:
    """The value that JSON text, or its UTF-8 bytes, stands for; else a `JSONDecodeError`, which is a `ValueError`."""
    text = data if type(data) is str else _text(data)
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        # The scanner starts at the first character and allows no whitespace there, which hardly any message has.
        stripped = text.lstrip(_WHITESPACE)
        if len(stripped) < len(text):
            return decode(stripped)
        raise JSONDecodeError("Expecting value", text, stop.value) from None
    except RecursionError:
        raise JSONDecodeError("Nested too deeply", text, 0) from None
    except JSONDecodeError:
        raise
    except ValueError as error:  # a number beyond the limits
        raise JSONDecodeError(str(error), text, 0) from None
    if end != len(text) and text[end:].strip(_WHITESPACE):
        raise JSONDecodeError("Extra data", text, end)
    # Almost free, and the escapes are rare: half of a surrogate pair is no character, and could not be written again.
    if "\\" in text and ("\\ud" in text or "\\uD" in text):
        try:
            encode_text(value)
        except ValueError:
            raise JSONDecodeError("Half of a surrogate pair", text, text.find("\\u")) from None
    return value


class Serializer:
    """
    The codec that an application uses; `dumps` and `loads` are all that a subclass has to define.

    `dumps` may return `str` or UTF-8 `bytes`; `loads` is handed either and raises `ValueError` for what is not JSON.
    """

    __slots__ = ()

    def dumps(self, value: Any) -> str | bytes:
        """`value` as JSON."""
        return encode_text(value)

    def loads(self, data: str | bytes) -> Any:
        """The value that `data` stands for."""
        return decode(data)

    def encode_text(self, value: Any) -> str:
        """What goes into a text frame."""
        written = self.dumps(value)
        return written if isinstance(written, str) else written.decode()

    def encode_bytes(self, value: Any) -> bytes:
        """What goes into a binary frame or an HTTP body."""
        written = self.dumps(value)
        return written.encode() if isinstance(written, str) else written

    def decode(self, data: str | bytes) -> Any:
        """What came in a frame or a body."""
        return self.loads(data)


class _StandardSerializer(Serializer):
    __slots__ = ()

    # The functions themselves: one call less for each message.
    encode_text = staticmethod(encode_text)
    encode_bytes = staticmethod(encode_bytes)
    decode = staticmethod(decode)


class _BorrowedSerializer(Serializer):
    __slots__ = ("_codec",)

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def dumps(self, value: Any) -> Any:
        return self._codec.dumps(value)

    def loads(self, data: str | bytes) -> Any:
        return self._codec.loads(data)


serializer: Serializer = _StandardSerializer()
"""The codec of an application that names none."""


class SerializerConfig:
    """
    Which codec the WebSockets of an application use: `Lilya(serializer_config=SerializerConfig(orjson))`.

    Args:
        codec: A `Serializer`, or anything with `dumps` and `loads`, such as the module `orjson`; None for the standard
            one. What it refuses, and whether it asks `lilya.encoders`, is its own affair.

    Raises:
        ImproperlyConfigured: `dumps` or `loads` is missing.
    """

    __slots__ = ("_serializer",)

    def __init__(self, codec: Any = None) -> None:
        codec = serializer if codec is None else codec
        for name in ("dumps", "loads"):
            if not callable(getattr(codec, name, None)):
                raise ImproperlyConfigured(f"SerializerConfig({codec!r}): a codec needs a callable {name!r}.")
        self._serializer = codec if isinstance(codec, Serializer) else _BorrowedSerializer(codec)

    def get_serializer(self) -> Serializer:
        """The codec, as the framework calls it."""
        return self._serializer


def _text(data: Any) -> str:
    if isinstance(data, str):
        return data
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"JSON is read from str or bytes, not from {type(data).__qualname__!r}.")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        text = bytes(data).decode("utf-8", "replace")
        raise JSONDecodeError(f"Invalid UTF-8 at byte {error.start}", text, 0) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if value - value != 0:
        raise ValueError(f"The number {digits[:20]} is out of range")
    return value


def _build_writer(make_encoder: Any) -> Any:
    """A function `(value, 0) -> pieces of text`: the C encoder, or the same in Python where there is none."""
    if make_encoder is None:
        return json.JSONEncoder(
            ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=default_for_json
        ).iterencode
    # markers, default, encoder, indent, key_separator, item_separator, sort_keys, skipkeys, allow_nan. Without markers
    # nobody looks for circles on every call; the recursion limit finds them.
    escape = _json_encoder.encode_basestring
    return make_encoder(None, default_for_json, escape, None, ":", ",", False, False, False)


_write = _build_writer(getattr(_json_encoder, "c_make_encoder", None))
_decoder: Any = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_scan = _decoder.scan_once
