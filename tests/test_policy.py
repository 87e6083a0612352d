"""What is demanded at each level, and what comes of it inside."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import BaseUser, SimpleUser, UnauthenticatedUser

from lilya._gates import Gate, enter_gates
from lilya._origins import Origins
from lilya._policy import KEPT_POLICIES, Demands, Policy, client_of, is_too_long, user_of
from lilya.exceptions import ImproperlyConfigured
from lilya.limits import Limits


def values_of(policy: Policy) -> dict[str, Any]:
    """The fields of a policy that are also those of `Limits`."""
    return {field.name: getattr(policy, field.name) for field in fields(Limits)}


def gates_of(policy: Policy) -> list[tuple[str, int, int]]:
    """Setting, limit and status of all gates."""
    return [(gate.setting, gate.limit, gate.status) for gate in policy.gates + policy.user_gates]


def test_policy_of_an_application_that_declares_nothing_has_the_defaults() -> None:
    """Same origin, and 10,000 connections, which are counted where they are kept and pass no gate."""
    policy = Demands().applied_to(None)
    assert values_of(policy) == values_of(Policy())
    assert policy.origins is not None
    assert policy.origins.setting == "same"
    assert (policy.connections, gates_of(policy)) == (10_000, [])
    assert Policy().gates == Policy().user_gates == ()


def test_policy_changed_is_a_copy() -> None:
    """The rest stays, and `max_chars` follows the size."""
    policy = Demands(Limits(lifetime=5)).applied_to(None)
    copied = policy.changed(max_message_bytes=None, origins=None)
    assert values_of(copied) == {**values_of(policy), "max_message_bytes": None}
    assert (copied.origins, copied.gates, copied.max_chars) == (None, policy.gates, sys.maxsize)
    assert policy.max_chars == 262_144


@pytest.mark.parametrize("limits", [None, Limits(), Limits(burst=None)])
def test_demands_that_declare_nothing_leave_the_policy_as_it_is(limits: Limits | None) -> None:
    """The very same object, so that a level costs nothing."""
    outer = Demands(Limits(connections=5)).applied_to(None)
    assert Demands(limits).applied_to(outer) is outer


def test_demands_override_field_by_field() -> None:
    """What is named inside wins, a default that is written out and None too; the rest stays."""
    outer = Demands(Limits(max_message_bytes=10, idle_timeout=60, inbox_messages=8, lifetime=3600)).applied_to(None)
    inside = Demands(Limits(max_message_bytes=1024 * 1024, idle_timeout=None)).applied_to(outer)
    assert values_of(inside) == {**values_of(Policy()), "inbox_messages": 8, "lifetime": 3600}
    assert (outer.max_chars, inside.max_chars) == (2, 262_144)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_message_bytes": st.none() | st.integers(1, 2**40),
    "inbox_messages": st.none() | st.integers(1, 100),
    "idle_timeout": st.none() | st.floats(1, 100),
    "connections": st.none() | st.integers(1, 100),
    "connections_per_client": st.none() | st.integers(1, 100),
    "connections_per_user": st.none() | st.integers(1, 100),
}
LEVELS = st.lists(st.fixed_dictionaries({}, optional=FIELDS), min_size=1, max_size=5)


@given(LEVELS)
def test_demands_of_many_levels_are_the_innermost_of_each_field(levels: list[dict[str, Any]]) -> None:
    """Values are overridden, gates add up from the outside to the inside; all connections pass no gate of their own."""
    policy = None
    for level in levels:
        policy = Demands(Limits(**level)).applied_to(policy)
    assert policy is not None
    expected = values_of(Policy())
    for level in levels:
        expected |= level
    assert values_of(policy) == expected
    counted = [{**levels[0], "connections": None}, *levels[1:]]
    assert [(gate.setting, gate.limit) for gate in policy.gates] == [
        (setting, level[setting])
        for level in counted
        for setting in ("connections", "connections_per_client")
        if level.get(setting) is not None
    ]
    assert [gate.limit for gate in policy.user_gates] == [
        level["connections_per_user"] for level in counted if level.get("connections_per_user") is not None
    ]


def test_demands_give_a_rate_its_burst() -> None:
    """A rate inside does not take the burst of the one outside."""
    outer = Demands(Limits(rate="10/s", burst=500)).applied_to(None)
    inside = Demands(Limits(rate="5/s")).applied_to(outer)
    off = Demands(Limits(rate=None)).applied_to(inside)
    assert [(policy.rate, policy.burst) for policy in (outer, inside)] == [(10.0, 500), (5.0, 5)]
    assert off.rate is None


def test_demands_override_origins() -> None:
    """Also alone, without limits."""
    pages = Origins(["https://app.example.com"])
    outer = Demands(None, pages).applied_to(None)
    everybody = Origins("*")
    inside = Demands(None, everybody).applied_to(outer)
    assert (outer.origins, inside.origins) == (pages, everybody)
    assert Demands(Limits(connections=1)).applied_to(outer).origins is pages
    assert inside.gates == outer.gates


def test_demands_switch_off_the_default_number_of_connections() -> None:
    """An application may leave it to the server."""
    assert Demands(Limits(connections=None)).applied_to(None).connections is None


def test_demands_keep_the_policy_for_the_next_connection() -> None:
    """One for each way that leads here, told apart by identity."""
    level = Demands(Limits(connections_per_client=2))
    one, other = Policy(), Policy()
    assert level.applied_to(one) is level.applied_to(one)
    assert level.applied_to(one) is not level.applied_to(other)
    assert level.applied_to(None) is level.applied_to(None)


def test_demands_count_all_who_come_through_on_whatever_way() -> None:
    """The gates of a level are the same ones for every outer policy, also when more came than are kept."""
    level = Demands(Limits(connections=3, connections_per_client=2, connections_per_user=1))
    inside = [level.applied_to(Policy()) for _ in range(3 * KEPT_POLICIES)]
    assert len({(policy.gates, policy.user_gates) for policy in inside}) == 1
    assert len(level._inside) <= KEPT_POLICIES


def test_demands_of_two_levels_count_apart() -> None:
    """Two routes with equal limits have their own counts."""
    limits = Limits(connections=3)
    one, other = Demands(limits).applied_to(Policy()), Demands(limits).applied_to(Policy())
    assert one.gates[0] is not other.gates[0]


def api_key(scope: Mapping[str, Any]) -> str | None:
    """Another way to tell clients apart."""
    key: str | None = scope["key"]
    return key


def test_demands_count_with_the_key_that_is_in_force_where_they_stand() -> None:
    """An inner level inherits the key; changing it there does not change what is counted outside."""
    outer = Demands(Limits(connections_per_client=9)).applied_to(None)
    keyed = Demands(Limits(client_key=api_key, user_key=api_key)).applied_to(outer)
    inner = Demands(Limits(connections_per_client=8, connections_per_user=7)).applied_to(keyed)
    back = Demands(Limits(client_key=None, connections_per_client=6)).applied_to(inner)
    assert [gate.key_of for gate in back.gates] == [client_of, api_key, client_of]
    assert [gate.key_of for gate in back.user_gates] == [api_key]
    entered: list[tuple[Gate, Any]] = []
    assert enter_gates(back.gates, {"client": ("192.0.2.1", 5), "key": None}, entered) is None
    assert [key for _, key in entered] == ["192.0.2.1", "192.0.2.1"]


def test_demands_refuse_what_are_no_limits() -> None:
    """With the way to write them."""
    with pytest.raises(ImproperlyConfigured, match=r"^limits=\{'rate': '5/s'\}: not a `lilya.limits.Limits`"):
        Demands({"rate": "5/s"})


@pytest.mark.parametrize(
    ("client", "key"),
    [(("192.0.2.1", 5000), "192.0.2.1"), (["::1", 5000], "::1"), (None, None), (("", 0), None), ((), None)],
)
def test_client_is_the_host_of_the_scope(client: Any, key: str | None) -> None:
    """The port belongs to the connection, not to the client; a Unix socket has none."""
    assert client_of({"client": client}) == key
    assert client_of({}) is None


@dataclass(frozen=True)
class Tenant:
    name: str


class HalfUser(BaseUser):
    """Leaves out all that `BaseUser` only declares."""


@pytest.mark.parametrize(
    ("user", "key"),
    [
        (None, None),
        ("", None),
        ("ana", "ana"),
        (7, 7),
        (0, 0),
        (("acme", 7), ("acme", 7)),
        (Tenant("acme"), Tenant("acme")),
        (SimpleNamespace(id=7, username="ana"), 7),
        (SimpleNamespace(id=0), 0),
        (SimpleNamespace(id=None, identity="", username="ana", display_name="Ana"), "ana"),
        (SimpleNamespace(identity="ana@example.com", display_name="Ana"), "ana@example.com"),
        (SimpleNamespace(id=None, is_authenticated=False, username=""), None),
        (SimpleNamespace(id=7, is_authenticated=True), 7),
        (SimpleUser("ana"), "ana"),
        (UnauthenticatedUser(), None),
    ],
    ids=repr,
)
def test_user_is_told_by_what_users_have(user: Any, key: Any) -> None:
    """Whatever the middleware puts into the scope; nobody is not counted."""
    assert user_of({"user": user}) == key
    assert user_of({}) is None


@pytest.mark.parametrize(
    "user",
    [{"id": "s3cr3t"}, ["s3cr3t"], object(), HalfUser(), SimpleNamespace(secret="s3cr3t")],
    ids=lambda user: type(user).__name__,
)
def test_user_who_cannot_be_told_apart_is_an_error(user: Any) -> None:
    """Not a limit that silently never holds; the error does not show who it is."""
    with pytest.raises(ImproperlyConfigured) as refused:
        user_of({"user": user})
    text = str(refused.value)
    assert f"is of type {type(user).__qualname__}," in text
    assert "Limits(user_key=" in text
    assert "s3cr3t" not in text


TEXTS = st.text() | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010)) | st.text("aé€😀\ud83d\ude00")


@given(TEXTS, st.integers(1, 60))
def test_text_is_too_long_if_its_utf_8_form_is(text: str, limit: int) -> None:
    """Exactly, for all characters; a lone surrogate has three bytes."""
    size = sum(1 + (ord(char) > 0x7F) + (ord(char) > 0x7FF) + (ord(char) > 0xFFFF) for char in text)
    assert is_too_long(text, limit) is (size > limit)


@pytest.mark.parametrize("char", "aé€😀\ud83d")
def test_text_is_too_long_from_one_byte_more(char: str) -> None:
    """The limit itself is allowed."""
    size = len(char.encode("utf-8", "surrogatepass"))
    assert not is_too_long(char * 100, 100 * size)
    assert is_too_long(char * 100, 100 * size - 1)


@given(TEXTS, st.integers(1, 60))
def test_text_of_at_most_max_chars_need_not_be_measured(text: str, limit: int) -> None:
    """It is never too long."""
    assert not is_too_long(text[: Policy().changed(max_message_bytes=limit).max_chars], limit)
