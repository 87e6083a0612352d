"""The JSON codec."""

import enum
import json
import math
import uuid
from datetime import date
from json import JSONDecodeError
from typing import Any

import orjson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya import serializers
from lilya.exceptions import ImproperlyConfigured
from lilya.serializers import Serializer, SerializerConfig, decode, encode_bytes, encode_text, serializer

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


def nested(depth: int) -> Any:
    """A list in a list in a list …"""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = CIRCLE


class Endless:
    """Every dump holds another one."""

    def model_dump(self) -> list["Endless"]:
        return [Endless()]


class Color(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    day: date


@given(JSON)
def test_codec_round_trip(value: Any) -> None:
    """Decoding undoes encoding, in text and in bytes, and the text is what the json module writes."""
    text = encode_text(value)
    assert text == json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert encode_bytes(value) == text.encode()
    assert repr(decode(text)) == repr(decode(text.encode())) == repr(value)


@given(st.text() | TEXT.map(json.dumps) | st.text('[]{},:"\\ 0123456789eE+-.truefalsn\n'))
def test_decode_accepts_what_the_json_module_accepts(text: str) -> None:
    """The standard library is the oracle, apart from numbers that are none."""
    try:
        expected = json.loads(text, parse_constant=int)
    except ValueError:
        with pytest.raises(JSONDecodeError):
            decode(text)
    else:
        if "inf" not in repr(expected):
            assert repr(decode(text)) == repr(expected)


def test_encode_text_is_compact_and_unescaped() -> None:
    """No spaces, no \\u escapes, and values with encoders at any depth."""
    identifier = uuid.UUID(int=1)
    value = {"a": [1, "é😀"], "b": Color.RED, "c": Model(day=date(2024, 1, 2)), "d": {identifier}}
    expected = '{"a":[1,"é😀"],"b":"red","c":{"day":"2024-01-02"},"d":["00000000-0000-0000-0000-000000000001"]}'
    assert encode_text(value) == expected
    assert encode_bytes(value) == expected.encode()


@pytest.mark.parametrize("encode", [encode_text, encode_bytes])
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf],
        {"a": -math.inf},
        {math.nan: 1},
        10**5000,
        nested(100_000),
        CIRCLE,
        Endless(),
        "\ud800",
        {"\udfff": 1},
    ],
    ids=["nan", "inf", "-inf", "nan key", "digits", "bomb", "circle", "endless", "surrogate", "surrogate key"],
)
def test_encode_refuses_what_has_no_json_form(encode: Any, value: Any) -> None:
    """One ValueError, raised at the call."""
    with pytest.raises(ValueError):
        encode(value)


@pytest.mark.parametrize("value", [object(), {"a": object()}, {(1, 2): 3}, {uuid.UUID(int=1): 1}])
def test_encode_refuses_what_nobody_encodes(value: Any) -> None:
    """A value without an encoder, or a key that is no text, is a TypeError."""
    with pytest.raises(TypeError):
        encode_text(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("   ", "Expecting value"),
        ("{", "Expecting property name"),
        ("[1,]", "Expecting value|Illegal trailing comma"),
        ("[1, x]", "Expecting value"),
        ('"\n"', "Invalid control character"),
        ("1 2", "Extra data"),
        ("{} x", "Extra data"),
        ("NaN", "NaN is no JSON value"),
        ("[Infinity]", "Infinity is no JSON value"),
        ("-Infinity", "-Infinity is no JSON value"),
        ("[1e999]", "1e999 is out of range"),
        ("-1e999", "-1e999 is out of range"),
        ("[" * 100_000, "Nested too deeply"),
        ('{"a":' * 100_000, "Nested too deeply"),
        ("9" * 5000, "Exceeds the limit"),
        (r'"\ud800"', "Half of a surrogate pair"),
        (r'["\n", {"\uDC00x": 1}]', "Half of a surrogate pair: line 1 column 10"),
        ("\ufeff{}", "Expecting value"),
        (b"\xef\xbb\xbf{}", "Expecting value"),
        (b'"\xff"', "Invalid UTF-8 at byte 1"),
        (memoryview(b'"\xed\xa0\x80"'), "Invalid UTF-8"),
        ("{}".encode("utf-16"), "Invalid UTF-8"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_decode_refuses_what_is_no_json(text: Any, reason: str) -> None:
    """Every refusal is a JSONDecodeError, which is a ValueError, and says why."""
    with pytest.raises(JSONDecodeError, match=reason):
        decode(text)


@pytest.mark.parametrize("text", ["{}", " {}", "{}\n", "\t\r\n {} ", b" {} ", bytearray(b"{}"), memoryview(b"{}\n")])
def test_decode_allows_whitespace_around(text: Any) -> None:
    """Whitespace of JSON before and after the value means nothing."""
    assert decode(text) == {}


def test_decode_reads_ordinary_numbers() -> None:
    """Exponents and fractions that fit are floats, also the smallest ones."""
    assert decode("[1e3,-0.5,1e-999,1.7976931348623157e308]") == [1000.0, -0.5, 0.0, 1.7976931348623157e308]


def test_decode_takes_a_subclass_of_str() -> None:
    """A str is read whatever its class; the value is the same."""

    class Line(str):
        pass

    assert decode(Line("[1]")) == [1]


@pytest.mark.parametrize("value", [None, 5, ["{}"]])
def test_decode_refuses_other_types(value: Any) -> None:
    """Neither text nor bytes is a mistake of the caller, named with the type."""
    with pytest.raises(TypeError, match=type(value).__qualname__):
        decode(value)


@given(JSON)
def test_codec_without_the_accelerator_writes_the_same(value: Any) -> None:
    """The encoder in Python is called the same way and gives the same text."""
    assert "".join(serializers._build_writer(None)(value, 0)) == encode_text(value)


def test_codec_without_the_accelerator_is_as_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN, bombs and values without an encoder are refused in the same way."""
    monkeypatch.setattr(serializers, "_write", serializers._build_writer(None))
    for value in (math.nan, nested(100_000), CIRCLE):
        with pytest.raises(ValueError):
            encode_text(value)
    with pytest.raises(TypeError):
        encode_text(object())


def test_standard_serializer_is_the_codec() -> None:
    """The names of the codec and of the json module do the same."""
    assert (serializer.encode_text, serializer.encode_bytes, serializer.decode) == (encode_text, encode_bytes, decode)
    assert serializer.dumps({"a": 1}) == '{"a":1}'
    assert serializer.loads(b'{"a":1}') == {"a": 1}
    assert SerializerConfig().get_serializer() is serializer


def test_serializer_subclass_needs_dumps_and_loads_only() -> None:
    """The rest of the codec follows from them, whether `dumps` writes text or bytes."""

    class Text(Serializer):
        def dumps(self, value: Any) -> str:
            return f"<{value}>"

    class Bytes(Serializer):
        def dumps(self, value: Any) -> bytes:
            return b"<b>"

        def loads(self, data: str | bytes) -> Any:
            return [data]

    text, bytes_ = Text(), Bytes()
    assert (text.encode_text("é"), text.encode_bytes("é"), text.decode("[1]")) == ("<é>", "<é>".encode(), [1])
    assert (bytes_.encode_text(1), bytes_.encode_bytes(1), bytes_.decode("x")) == ("<b>", b"<b>", ["x"])
    assert SerializerConfig(text).get_serializer() is text


def test_serializer_config_takes_a_module() -> None:
    """A module with `dumps` and `loads` is a codec."""
    codec = SerializerConfig(orjson).get_serializer()
    assert (codec.encode_text({"a": 1}), codec.encode_bytes([1]), codec.decode("[1]")) == ('{"a":1}', b"[1]", [1])
    with pytest.raises(JSONDecodeError):
        codec.decode("NaN")


def test_serializer_config_refuses_what_is_no_codec() -> None:
    """The missing function is named."""
    with pytest.raises(ImproperlyConfigured, match="needs a callable 'dumps'"):
        SerializerConfig(object())


@pytest.mark.parametrize("text", [r'"\ud83d\ude00"', r'"\uD83D\uDE00"', r'"\\ud800"', r'["\u00e9", "\n"]'])
def test_decode_takes_escapes_that_make_characters(text: str) -> None:
    """A whole pair is a character, and an escaped backslash before `ud800` is just that; all can be written."""
    assert decode(encode_text(decode(text))) == json.loads(text)
