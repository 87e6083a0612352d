"""What each type of path parameter accepts, and which regexes are refused."""

import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from re import _parser  # type: ignore[attr-defined]  # untyped; the step counter below walks over its trees
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lilya._languages import language_of
from lilya.exceptions import ImproperlyConfigured
from lilya.transformers import (
    TRANSFORMER_TYPES,
    StringTransformer,
    Transformer,
    register_path_transformer,
)

ANY_TEXT = st.text(st.characters(codec=None))  # lone surrogates, too


@pytest.fixture(autouse=True)
def restore_types() -> Iterator[None]:
    """Types registered by a test are gone after it."""
    before = dict(TRANSFORMER_TYPES)
    yield
    TRANSFORMER_TYPES.clear()
    TRANSFORMER_TYPES.update(before)


def with_regex(regex: str) -> Transformer[str]:
    """A transformer for texts that match `regex`."""
    custom: Transformer[str] = type("Custom", (StringTransformer,), {"regex": regex})()
    return custom


def accepts(name: str, text: str) -> bool:
    """Whether a built-in type takes the text: its regex matches and it makes a value of it."""
    transformer = TRANSFORMER_TYPES[name]
    if re.fullmatch(transformer.regex, text) is None:
        return False
    try:
        transformer.transform(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("str", "a b", "a b"),
        ("str", "\x00", "\x00"),
        ("path", "", ""),
        ("path", "a/b/", "a/b/"),
        ("int", "007", 7),
        pytest.param("int", "9" * 4_300, int("9" * 4_300), id="int-longest"),
        ("float", "2", 2.0),
        ("float", "2.50", 2.5),
        ("uuid", "00000000-0000-0000-0000-00000000000a", UUID(int=10)),
        ("uuid", "00000000-0000-0000-0000-00000000000A", UUID(int=10)),
        ("datetime", "2024-02-29T23:59:59", datetime(2024, 2, 29, 23, 59, 59)),  # noqa: DTZ001 - a path has no zone
    ],
)
def test_transformer_accepts(name: str, text: str, value: object) -> None:
    """A text of the right form gives its value."""
    assert accepts(name, text)
    assert TRANSFORMER_TYPES[name].transform(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("str", ""),
        ("str", "a/b"),
        ("path", "a\nb"),
        ("int", ""),
        ("int", "-1"),
        ("int", "1\n"),
        ("int", "١"),
        ("int", "1_0"),
        ("int", "9" * 4_301),
        ("int", "9" * 5_000),
        ("float", "1."),
        ("float", ".5"),
        ("float", "1e5"),
        ("float", "nan"),
        ("float", "9" * 400),
        ("uuid", "0" * 32),
        ("datetime", "2024-13-01T00:00:00"),
        ("datetime", "2024-02-30T00:00:00"),
        ("datetime", "0000-01-01T00:00:00"),
        ("datetime", "2024-01-01T00:00:00.5"),
        ("datetime", "2024-01-01 00:00:00"),
    ],
)
def test_transformer_refuses(name: str, text: str) -> None:
    """A text that stands for no value is no match."""
    assert not accepts(name, text)


@given(name=st.sampled_from(sorted(TRANSFORMER_TYPES)), text=ANY_TEXT)
def test_transformer_raises_nothing_but_value_error(name: str, text: str) -> None:
    """Whatever the text, a built-in type either takes it or raises ValueError."""
    accepts(name, text)


@given(name=st.sampled_from(sorted(TRANSFORMER_TYPES)), draw=st.data())
def test_transformer_round_trips(name: str, draw: st.DataObject) -> None:
    """The text written for a value is accepted and gives that value again."""
    transformer = TRANSFORMER_TYPES[name]
    text = draw.draw(st.from_regex(transformer.regex, fullmatch=True))
    assume(accepts(name, text))
    value = transformer.transform(text)
    again = transformer.normalise(value)
    assert accepts(name, again)
    assert transformer.transform(again) == value


@given(st.floats(min_value=0, allow_infinity=False))
def test_float_writes_every_finite_value(value: float) -> None:
    """No finite float is written with an exponent or loses precision."""
    text = TRANSFORMER_TYPES["float"].normalise(value)
    assert accepts("float", text)
    assert float(text) == value


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("str", 5, "5"),
        ("path", "", ""),
        ("int", "5", "5"),
        ("int", True, "1"),
        ("float", 25.0, "25"),
        ("float", 25.5, "25.5"),
        ("float", -0.0, "0"),
        ("float", 100, "100"),
        ("float", 1e22, "10000000000000000000000"),
        ("uuid", UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
        (
            "datetime",
            datetime(1, 2, 3, 4, 5, 6, 7, timezone(timedelta(hours=1))),
            "0001-02-03T04:05:06",
        ),
    ],
)
def test_transformer_normalises(name: str, value: object, text: str) -> None:
    """A value is written the way the path wants it."""
    assert TRANSFORMER_TYPES[name].normalise(value) == text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("str", "", "must not be empty"),
        ("str", "a/b", "must not contain '/'"),
        ("path", "a\nb", "line break"),
        ("int", -1, "must not be negative"),
        ("int", "x", "must be an integer"),
        ("int", None, "must be an integer"),
        ("int", math.inf, "must be an integer"),
        pytest.param("int", 10**5_000, "must be an integer of at most 4300 digits", id="int-long"),
        ("float", -0.5, "finite and not negative"),
        ("float", math.nan, "finite and not negative"),
        ("float", math.inf, "finite and not negative"),
        ("float", "x", "must be a number"),
        ("float", 10**400, "must be a number"),
        ("datetime", "2024-01-01", "must be a datetime, got '2024-01-01'"),
    ],
)
def test_transformer_refuses_to_write(name: str, value: object, message: str) -> None:
    """A value that no path could carry is an AssertionError."""
    with pytest.raises(AssertionError, match=re.escape(message)):
        TRANSFORMER_TYPES[name].normalise(value)


@pytest.mark.parametrize("method", ["transform", "normalise"])
def test_transformer_says_what_is_missing(method: str) -> None:
    """A subclass that forgot a method is told which one."""
    call: Callable[[str], Any] = getattr(type("Half", (Transformer,), {"regex": "x"})(), method)
    with pytest.raises(NotImplementedError, match=rf"Half must define {method}\(value\)"):
        call("x")


class Slug(Transformer[str]):
    """The example that most applications begin with."""

    regex = "[a-z0-9]+(?:-[a-z0-9]+)*"

    def transform(self, value: str) -> str:
        return value

    def normalise(self, value: str) -> str:
        return value


@pytest.mark.parametrize("transformer", [Slug, Slug()])
def test_register_takes_class_and_instance(transformer: Transformer[str] | type[Transformer[str]]) -> None:
    """Either is registered as an instance."""
    register_path_transformer("slug", transformer)
    assert isinstance(TRANSFORMER_TYPES["slug"], Slug)


@pytest.mark.parametrize("name", ["", "a:b", "{a", "a>", "a/b"])
def test_register_refuses_name(name: str) -> None:
    """A name that cannot stand in a template is refused."""
    with pytest.raises(ImproperlyConfigured, match=re.escape(f"Path transformer {name!r}: a name has no brackets")):
        register_path_transformer(name, Slug)


def test_register_refuses_other_objects() -> None:
    """Only transformers can be registered."""
    with pytest.raises(ImproperlyConfigured, match="is not a Transformer; subclass"):
        register_path_transformer("slug", object())  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize(
    ("regex", "reason"),
    [
        ("", "no text or empty"),
        (None, "no text or empty"),
        (7, "no text or empty"),
        ("(", "missing )"),
        ("a{99999999999999999999}", "too large"),
        ("(?i)a", "sets flags"),
        ("(?a)a", "sets flags"),
        ("(?i:a)", "sets flags"),
        ("(?-i:a)", "sets flags"),
        ("(?P<x>a)", "named groups"),
        ("^a", "uses at"),
        ("a$", "uses at"),
        (r"a\b", "uses at"),
        ("(?=a)a", "uses assert"),
        ("a(?!b)", "uses assert not"),
        ("(?<=a)b", "uses assert"),
        (r"(a)\1", "uses groupref"),
        ("(?:a++)", "uses possessive repeat"),
        ("(?>a)", "uses atomic group"),
        ("(a+)+", "in two ways"),
        ("a*a*b", "in two ways"),
        ("(a|b)*a", "in two ways"),
        ("a?a", "in two ways"),
        ("a{1,2}a", "in two ways"),
        ("(a{1,2}){2}", "in two ways"),
        ("(a+?)+?", "in two ways"),
        (r"\w+\d", "in two ways"),
        (r"\d+é", "in two ways"),
        (r"\S+[^\d]", "in two ways"),
        ("[^a]+b", "in two ways"),
        (".+x", "in two ways"),
        ("ab|ac|x*a", "in two ways"),
        ("(a*)*", "can be empty"),
        ("(a*)?", "can be empty"),
        ("(?:a(?:b?)?)*", "can be empty"),
        ("(?:a|a)*", "two alternatives that can be empty"),
        ("a*|b*", "two alternatives that can be empty"),
        ("(a?){2}", "can be empty"),
        ("(|a)+", "can be empty"),
        ("[a-z]{1001}", "longer than 1000"),
    ],
)
def test_regex_is_refused(regex: Any, reason: str) -> None:
    """A regex that is not for paths is refused when it is registered, with type, regex and reason."""
    message = re.escape(f"Path transformer 'custom' (Custom), regex {regex!r}: ") + f".*{re.escape(reason)}"
    with pytest.raises(ImproperlyConfigured, match=message):
        register_path_transformer("custom", with_regex(regex))
    assert "custom" not in TRANSFORMER_TYPES


@pytest.mark.parametrize(
    ("regex", "width", "nullable", "inside", "outside"),
    [
        ("[0-9a-f]{4}", 4, False, "0f", "gF/"),
        ("a{2,4}", None, False, "a", "b"),
        ("a{2,}b", None, False, "ab", "c"),
        ("(?:a?){1}b|c", None, False, "abc", "d"),
        ("a{0}b", 1, False, "b", "a"),
        ("a*", None, True, "a", "b"),
        ("a*?b", None, False, "ab", "c"),
        ("foo|bar", 3, False, "fobar", "c"),
        ("(?:ab|ac)+x", None, False, "abcx", "d"),
        (r"-?\d+", None, False, "-0٣", "a/"),
        (r"\D", 1, False, "a/é", "0"),
        (r"\s", 1, False, " \t\x1c\u2003", "a"),
        (r"[\w.-]+@\w+", None, False, "aZ_9.-@é", " /"),
        (r"[^\W\d]+", None, False, "aZ_é", "/ 0"),
        (r"[^\S\x00]", 1, False, " \u2003", "a/"),
        ("[^a]", 1, False, "b/\n\U0010ffff", "a"),
        ("[^/\x00\U0010ffff]", 1, False, "a", "/\x00\U0010ffff"),
        (".+", None, False, "a/", "\n"),
        ("[a-cb-d]", 1, False, "abcd", "e"),
        ("[а-п]+[р-я]", None, False, "ая", "a"),
    ],
)
def test_language_of_regex(regex: str, width: int | None, nullable: bool, inside: str, outside: str) -> None:
    """The characters, the common width and the empty text are read from the regex."""
    language = language_of("custom", with_regex(regex))
    assert (language.width, language.nullable) == (width, nullable)
    assert all(language.may_contain(character) for character in inside)
    assert not any(language.may_contain(character) for character in outside)


def regexes(*leaves: str) -> st.SearchStrategy[str]:
    """Regexes built from these pieces with sequences, alternatives and repeats."""
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
        ),
        max_leaves=6,
    )


@given(regex=regexes("a", "b", "c", "[ab]", "[^a]", ".", r"\d", r"\W"), draw=st.data())
def test_language_leaves_nothing_out(regex: str, draw: st.DataObject) -> None:
    """Every text that an accepted regex matches consists of the characters, and has the width, that were read."""
    try:
        language = language_of("custom", with_regex(regex))
    except ImproperlyConfigured:
        return
    text = draw.draw(st.from_regex(regex, fullmatch=True))
    assert all(language.may_contain(character) for character in text)
    assert language.width in (None, len(text))
    assert text or language.nullable


def steps(regex: str, text: str) -> int:
    """How often a backtracking matcher compares until it has tried every way to read `text` (at most 100,000)."""
    count = 0

    def run(items: list[tuple[Any, Any]], place: int, then: Callable[[int], None]) -> None:
        nonlocal count
        if not items or count > 100_000:
            then(place)
            return
        (code, argument), rest = items[0], items[1:]

        def go_on(end: int) -> None:
            run(rest, end, then)

        if code.name in ("MAX_REPEAT", "MIN_REPEAT"):
            repeat(list(argument[2]), argument[0], argument[1], place, go_on)
        elif code.name == "SUBPATTERN":
            run(list(argument[3]), place, go_on)
        elif code.name == "BRANCH":
            for branch in argument[1]:
                run(list(branch), place, go_on)
        else:
            count += 1
            literals = argument if code.name == "IN" else [(code, argument)]
            taken = set(b"abcd") if code.name == "ANY" else {letter for _, letter in literals}
            if place < len(text) and ord(text[place]) in taken:
                go_on(place + 1)

    def repeat(body: list[tuple[Any, Any]], least: int, most: int, place: int, then: Callable[[int], None]) -> None:
        if most:
            fewer = most if most == _parser.MAXREPEAT else most - 1
            run(body, place, lambda end: again(body, max(least - 1, 0), fewer, place, end, then))
        if not least:
            then(place)

    def again(body: Any, least: int, most: int, start: int, place: int, then: Callable[[int], None]) -> None:
        if place == start:  # like `re`, do not repeat what took nothing
            then(place)
        else:
            repeat(body, least, most, place, then)

    run(list(_parser.parse(regex)), 0, lambda end: None)
    return count


def grows_linearly(regex: str, unit: str) -> bool:
    """Whether twice the text takes about twice the comparisons, not four times as many."""
    few, more, most = (steps(regex, unit * times) for times in (5, 10, 20))
    return most - more <= 2 * (more - few) + len(regex) ** 2


@given(regex=regexes("a", "b", "c", "d", "[ab]", "[cd]", "."), unit=st.text("abcd", min_size=1, max_size=3))
def test_accepted_regex_needs_linear_time(regex: str, unit: str) -> None:
    """What the check accepts cannot be made to backtrack: a text that never matches is given up in linear time."""
    try:
        language_of("custom", with_regex(regex))
    except ImproperlyConfigured:
        return
    assert grows_linearly(regex, unit)


@pytest.mark.parametrize(
    "regex",
    [
        "a+",
        "(?:ab)+",
        "a*b?c*",
        "(?:a+b)*",
        "(?:ab*)+c",
        "(?:a|b)*c",
        "(?:a{1,2}b){2,}",
        "a+?b",
        "(?:(?:ab)+c)+d?",
        ".*",
    ],
)
@pytest.mark.parametrize("unit", ["a", "ab", "abc", "aab"])
def test_known_regex_needs_linear_time(regex: str, unit: str) -> None:
    """The same for regexes such as people write."""
    language_of("custom", with_regex(regex))
    assert grows_linearly(regex, unit)


@pytest.mark.parametrize("regex", ["(?:a+)+b", "(?:a*)*b", "a*a*b", "(?:a|a)*b"])
def test_step_counter_sees_backtracking(regex: str) -> None:
    """The counter of these tests would notice the regexes that are refused."""
    assert not grows_linearly(regex, "a")
