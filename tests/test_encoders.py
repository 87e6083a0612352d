"""Values that JSON does not know."""

import dataclasses
import enum
import uuid
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import pydantic
import pytest

from lilya import encoders
from lilya.encoders import Encoder, apply_structure, default_for_json, json_encode, register_encoder
from lilya.exceptions import ImproperlyConfigured


@dataclasses.dataclass
class Point:
    unit: ClassVar[str] = "m"
    x: int
    when: date | None = None


class Pair(NamedTuple):
    left: int
    right: Any


class Model(pydantic.BaseModel):
    id: uuid.UUID


class LookAlike:
    def model_dump(self) -> dict[str, Any]:
        return {"at": date(2024, 1, 2)}


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    pass


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


class MoneyEncoder(Encoder):
    __type__ = Money

    def serialize(self, value: Money) -> int:
        return value.cents


ID = uuid.UUID("12345678-1234-5678-1234-567812345678")

VALUES: list[tuple[Any, Any]] = [
    (Point(1, date(2024, 1, 2)), {"x": 1, "when": "2024-01-02"}),
    (Pair(1, ID), {"left": 1, "right": str(ID)}),
    (Model(id=ID), {"id": str(ID)}),
    (LookAlike(), {"at": "2024-01-02"}),
    (Color.RED, "red"),
    (Level.HIGH, 3),
    (Name("n"), "n"),
    (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00"),
    (time(3, 4), "03:04:00"),
    (timedelta(minutes=1, milliseconds=500), 60.5),
    (Decimal("1.10"), "1.10"),
    (PurePosixPath("/tmp/x"), "/tmp/x"),
    (b"\xff\x00", "/wA="),
    (bytearray(b"a"), "YQ=="),
    (memoryview(b"a"), "YQ=="),
    ({1}, [1]),
    (frozenset({"a"}), ["a"]),
    (deque([1, 2]), [1, 2]),
    ((item for item in (1, ID)), [1, str(ID)]),
    (MappingProxyType({"a": ID}), {"a": str(ID)}),
    ((1, [2.5, None, True]), [1, [2.5, None, True]]),
    ({ID: {Color.RED: {"deep": ID}}, 1: 1, None: 2}, {str(ID): {"red": {"deep": str(ID)}}, 1: 1, None: 2}),
]


@pytest.fixture(autouse=True)
def _own_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_registered", [])


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda value: type(value).__name__)
def test_json_encode_gives_plain_values(value: Any, expected: Any) -> None:
    """Every built-in encoder's type becomes words of JSON, at every depth."""
    assert json_encode(value) == expected


def test_json_encode_refuses_what_nobody_encodes() -> None:
    """The error names the type and the remedy."""
    with pytest.raises(TypeError, match=r"'Money' cannot be written as JSON: register an encoder"):
        json_encode([Money(1)])


def test_json_encode_refuses_keys_that_are_no_text() -> None:
    """A key must become text or a number."""
    with pytest.raises(TypeError, match="'tuple' cannot be a key in JSON"):
        json_encode({(1, 2): 3})


def test_json_encode_refuses_circles() -> None:
    """A value that contains itself is a ValueError, not a RecursionError."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="contains itself"):
        json_encode(circle)


def test_default_for_json_takes_one_step() -> None:
    """Values inside are left for the next call."""
    assert default_for_json(Pair(1, ID)) == {"left": 1, "right": ID}
    with pytest.raises(TypeError, match="'Money' cannot be written"):
        default_for_json(Money(1))


def test_registered_encoders_win() -> None:
    """The newest registered encoder is asked first, then older ones, then the built-in ones."""

    class Reds(Encoder):
        __type__ = Color

        def serialize(self, value: Color) -> str:
            return value.name

    assert register_encoder(MoneyEncoder) is MoneyEncoder
    assert json_encode([Color.RED, Money(5)]) == ["red", 5]
    reds = Reds()
    assert register_encoder(reds) is reds
    assert json_encode([Color.RED, Money(5)]) == ["RED", 5]
    assert (default_for_json(Color.RED), default_for_json(Money(5))) == ("RED", 5)


def test_json_encode_asks_the_given_encoders_first() -> None:
    """Encoders of one call win over registered ones."""

    class Dollars(Encoder):
        __type__ = Money

        def serialize(self, value: Money) -> str:
            return f"${value.cents / 100:.2f}"

    register_encoder(MoneyEncoder)
    assert json_encode({"price": Money(250)}, [Dollars()]) == {"price": "$2.50"}


def test_register_encoder_refuses_what_is_none() -> None:
    """Mistakes are found when the encoder is registered."""
    not_an_encoder: Any = int
    with pytest.raises(ImproperlyConfigured, match=r"subclass lilya\.encoders\.Encoder"):
        register_encoder(not_an_encoder)
    with pytest.raises(ImproperlyConfigured, match="Encoder: set __type__"):
        register_encoder(Encoder)


def test_encoder_without_serialize_says_so() -> None:
    """A forgotten `serialize` is named."""

    class Forgetful(Encoder):
        __type__ = Money

    with pytest.raises(NotImplementedError, match=r"Forgetful .* has to define serialize"):
        json_encode(Money(1), [Forgetful()])


@pytest.mark.parametrize(
    ("structure", "value", "expected"),
    [
        (Point, {"x": 1}, Point(1)),
        (Pair, {"left": 1, "right": 2}, Pair(1, 2)),
        (Pair, [1, 2], Pair(1, 2)),
        (Model, {"id": str(ID)}, Model(id=ID)),
        (Color, "red", Color.RED),
        (date, "2024-01-02", date(2024, 1, 2)),
        (datetime, "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (time, "03:04", time(3, 4)),
        (timedelta, 60.5, timedelta(seconds=60.5)),
        (uuid.UUID, str(ID), ID),
        (Decimal, "1.10", Decimal("1.10")),
        (Path, "a/b", Path("a/b")),
        (bytes, "/wA=", b"\xff\x00"),
        (set, [1, 1], {1}),
        (dict, [["a", 1]], {"a": 1}),
        (int, 5, 5),
        (int, "5", "5"),
        (list[int], [1], [1]),
    ],
)
def test_apply_structure_undoes_the_encoding(structure: Any, value: Any, expected: Any) -> None:
    """Decoded JSON becomes what it stands for; types that no encoder knows leave it alone."""
    assert apply_structure(structure, value) == expected


def test_apply_structure_asks_registered_encoders() -> None:
    """An encoder's `encode` makes its type; one that only says `is_type` makes none."""

    class Anything(Encoder):
        def is_type(self, value: Any) -> bool:
            return isinstance(value, Money)

        def serialize(self, value: Money) -> int:
            return -value.cents

    register_encoder(MoneyEncoder)
    register_encoder(Anything())
    assert apply_structure(Money, 5).cents == 5
    assert json_encode(Money(5)) == -5


def test_json_encode_consumes_a_generator_once() -> None:
    """Every item is asked for one time."""
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(3):
            asked.append(item)
            yield item

    assert json_encode(items()) == [0, 1, 2]
    assert asked == [0, 1, 2]


@pytest.mark.parametrize(
    ("base", "plain"),
    [
        (date, "2024-01-02"),
        (datetime, "2024-01-02T03:04:05+00:00"),
        (time, "03:04:00"),
        (timedelta, 60.5),
        (uuid.UUID, str(ID)),
        (Decimal, "1.10"),
    ],
)
def test_types_that_are_known_by_name_have_subclasses(base: type[Any], plain: Any) -> None:
    """A subclass is written and made like its base; another class that has only the name is not."""
    made = apply_structure(type("Own", (base,), {}), plain)
    assert (type(made).__name__, json_encode(made)) == ("Own", plain)
    stranger = type(base.__name__, (), {})
    assert apply_structure(stranger, plain) == plain
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        json_encode(stranger())
