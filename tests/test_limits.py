"""`Limits` as users write them: defaults, what was given, copies, and mistakes."""

import contextlib
import copy
import dataclasses
import inspect
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya._policy import Policy
from lilya.exceptions import ImproperlyConfigured
from lilya.limits import Limits

DEFAULTS = {
    "max_message_bytes": 1024 * 1024,
    "accept_timeout": 30.0,
    "inbox_messages": 64,
    "inbox_bytes": 1024 * 1024,
    "inbox_timeout": 10.0,
    "write_timeout": 30.0,
    "abandon_grace": 10.0,
    "rate": None,
    "burst": None,
    "connections": 10_000,
    "connections_per_client": None,
    "connections_per_user": None,
    "idle_timeout": None,
    "lifetime": None,
    "client_key": None,
    "user_key": None,
}
WHOLE_NUMBERS = [name for name in DEFAULTS if name.startswith(("max", "connections"))] + [
    "inbox_messages",
    "inbox_bytes",
    "burst",
]
SECONDS = ["accept_timeout", "inbox_timeout", "write_timeout", "abandon_grace", "idle_timeout", "lifetime"]
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.none() | st.integers(1, 10**9) for name in WHOLE_NUMBERS if name != "burst"},
    **{name: st.none() | st.floats(0.001, 1e6) for name in SECONDS},
    "user_key": st.sampled_from([None, len]),
    "rate": st.sampled_from(["30/s", "100/min"]),
    "burst": st.none() | st.integers(1, 100),
}
SOME_FIELDS = st.fixed_dictionaries({}, optional=FIELDS).map(
    lambda given: given if "rate" in given else {name: value for name, value in given.items() if name != "burst"}
)


def key_of_user(scope: Mapping[str, Any]) -> str:
    """A key function with a name, so that it can be pickled."""
    return str(scope["user"]["id"])


def test_limits_have_the_documented_fields_and_defaults() -> None:
    """Nothing more and nothing less, and a policy has the same names."""
    assert dataclasses.asdict(Limits()) == DEFAULTS
    assert {name: getattr(Policy(), name) for name in DEFAULTS if name != "burst"} == {
        name: value for name, value in DEFAULTS.items() if name != "burst"
    }


def test_limits_show_their_signature() -> None:
    """Editors and `help()` show every field with its default, by keyword only."""
    parameters = inspect.signature(Limits).parameters
    assert {name: parameters[name].default for name in DEFAULTS} == DEFAULTS
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_limits_are_frozen_and_keyword_only() -> None:
    """A limit cannot be changed when connections rely on it."""
    limits = Limits(connections=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.connections = 6  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[call-arg, arg-type]  # what is tested
    with pytest.raises(TypeError, match="max_conections"):
        Limits(max_conections=5)  # type: ignore[call-arg]  # what is tested


@given(SOME_FIELDS)
def test_limits_declare_what_was_given(given: dict[str, Any]) -> None:
    """A default that is written out counts as given; a rate comes with its burst."""
    declared = Limits(**given)._declared()
    rate, burst = given.pop("rate", None), given.pop("burst", None)
    if rate is not None:
        per_second, most = {"30/s": (30.0, 30), "100/min": (100 / 60, 2)}[rate]
        given |= {"rate": per_second, "burst": burst or most}
    assert declared == given


def test_limits_declare_that_a_rate_is_switched_off() -> None:
    """Without a burst, since that means nothing then."""
    assert Limits(rate=None, burst=None)._declared() == {"rate": None}


@given(SOME_FIELDS)
def test_limits_survive_copy_pickle_replace_and_repr(given: dict[str, Any]) -> None:
    """The copy is equal, has the same hash and declares the same."""
    limits = Limits(**given)
    copies = [
        copy.copy(limits),
        copy.deepcopy(limits),
        dataclasses.replace(limits),
        pickle.loads(pickle.dumps(limits)),
        Limits(**given),
    ]
    if "user_key" not in given:
        copies.append(eval(repr(limits)))  # noqa: S307 - what is printed can be written
    assert copies == [limits] * len(copies)
    assert {hash(copied) for copied in copies} == {hash(limits)}
    assert [copied._declared() for copied in copies] == [limits._declared()] * len(copies)


@given(SOME_FIELDS, SOME_FIELDS)
def test_limits_replaced_are_those_with_both_given(given: dict[str, Any], changed: dict[str, Any]) -> None:
    """What `replace` names is given, also where it names the value that was there already."""
    both = {**given, **changed}
    replaced = dataclasses.replace(Limits(**given), **changed)
    assert replaced == Limits(**both)
    assert replaced._declared() == Limits(**both)._declared()


@given(SOME_FIELDS, SOME_FIELDS)
def test_limits_are_equal_if_the_same_is_given(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two that are equal do the same wherever they stand."""
    assert (Limits(**one) == Limits(**other)) is (one == other)


def test_limits_equal_nothing_else() -> None:
    """Not even what holds the same values; and a default written out is not one left out."""
    assert Limits(connections=5) != {"connections": 5}
    assert Limits() != Limits(connections=10_000)


def test_limits_show_what_was_given() -> None:
    """In the order of the fields."""
    assert repr(Limits(burst=60, rate="30/s", connections=None)) == "Limits(rate='30/s', burst=60, connections=None)"


def test_limits_keep_a_key_function_in_a_pickle() -> None:
    """By its name, as pickle does."""
    limits = Limits(connections_per_user=5, user_key=key_of_user)
    assert pickle.loads(pickle.dumps(limits)) == limits


@pytest.mark.parametrize(
    ("rate", "per_second", "burst"),
    [
        ("30/s", 30.0, 30),
        ("30/sec", 30.0, 30),
        ("30/second", 30.0, 30),
        ("90/m", 1.5, 2),
        ("60/min", 1.0, 1),
        ("1/minute", 1 / 60, 1),
        ("5/h", 5 / 3600, 1),
        ("7200/hour", 2.0, 2),
        ("1/d", 1 / 86400, 1),
        ("1/day", 1 / 86400, 1),
        ("0.5/s", 0.5, 1),
        ("2.5/s", 2.5, 3),
        (" 30 / s ", 30.0, 30),
    ],
)
def test_limits_read_a_rate(rate: str, per_second: float, burst: int) -> None:
    """Per second, with what it allows in a second as its burst, rounded up."""
    assert Limits(rate=rate)._declared() == {"rate": per_second, "burst": burst}


@pytest.mark.parametrize(
    "rate",
    [
        *["", "30", "/s", "30/", "30/S", "30/2s", "30 per s", "-1/s", "0/s", "0.0/h", "1e3/s", "nan/s", "inf/s"],
        *[".5/s", "5./s", "٣/s", "30/s\n", "1/week", "9" * 400 + "/s", "0." + "0" * 330 + "1/s"],
        *[30, 30.0, True, b"30/s", object()],
    ],
    ids=lambda rate: repr(rate)[:12],
)
def test_limits_refuse_a_rate_that_cannot_be_read(rate: Any) -> None:
    """The error shows the value and how to write one."""
    with pytest.raises(ImproperlyConfigured) as refused:
        Limits(rate=rate)
    assert str(refused.value).startswith(f"Limits(rate={rate!r}): give a number above 0")
    assert 'such as "30/s"; None switches the limit off.' in str(refused.value)


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 1.0, float("nan"), "5", True, b"5", [5]], ids=repr)
def test_limits_refuse_what_is_no_whole_number(name: str, value: Any) -> None:
    """Zero would let nobody in, and is no way to switch a limit off."""
    off = "takes what the rate allows in a second" if name == "burst" else "switches the limit off"
    with pytest.raises(ImproperlyConfigured) as refused:
        Limits(**{"rate": "30/s", name: value})
    assert str(refused.value) == f"Limits({name}={value!r}): give a whole number from 1 on; None {off}."


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize(
    "value",
    [0, 0.0, -1, -0.5, float("nan"), float("inf"), -float("inf"), "5", True, 10**400, 1j],
    ids=lambda v: str(v)[:9],
)
def test_limits_refuse_what_is_no_time(name: str, value: Any) -> None:
    """None is the one way to say that a time is unlimited."""
    with pytest.raises(ImproperlyConfigured) as refused:
        Limits(**{name: value})
    expected = f"Limits({name}={value!r}): give a number of seconds above 0; None switches the limit off."
    assert str(refused.value) == expected


@pytest.mark.parametrize("name", ["client_key", "user_key"])
def test_limits_refuse_a_key_that_is_no_function(name: str) -> None:
    """Such as the name of a header."""
    with pytest.raises(ImproperlyConfigured) as refused:
        Limits(**{name: "x-api-key"})  # type: ignore[arg-type]  # what is tested
    expected = (
        f"Limits({name}='x-api-key'): give a function that takes the scope and returns a key; None takes the default."
    )
    assert str(refused.value) == expected


@pytest.mark.parametrize("given", [{"burst": 60}, {"rate": None, "burst": 60}])
def test_limits_refuse_a_burst_without_a_rate(given: dict[str, Any]) -> None:
    """It would limit nothing."""
    with pytest.raises(ImproperlyConfigured) as refused:
        Limits(**given)
    expected = 'Limits(burst=60): a burst needs a rate. Give one, such as rate="30/s", or leave it out.'
    assert str(refused.value) == expected


@given(
    st.fixed_dictionaries({}, optional={name: st.integers() | st.floats() | st.text() | st.none() for name in DEFAULTS})
)
def test_limits_are_made_or_refused_with_one_error(given: dict[str, Any]) -> None:
    """Whatever comes, there is no other error."""
    with contextlib.suppress(ImproperlyConfigured):
        Limits(**given)
