"""The segment trie against its oracle, the naive scan over the patterns' regexes."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya.exceptions import ImproperlyConfigured
from lilya.routing._index import Index
from lilya.routing._pattern import Pattern, parse_pattern
from lilya.transformers import TRANSFORMER_TYPES, StringTransformer, register_path_transformer


class Letters(StringTransformer):
    """The letters a and b, possibly none."""

    regex = "[ab]*"


class Deep(StringTransformer):
    """Spans segments, but is not `path`."""

    regex = "[ab/]+"


class Even(StringTransformer):
    """Takes any segment by its regex, and then only those of even length."""

    regex = "[^/]+"

    def transform(self, value: str) -> str:
        if len(value) % 2:
            raise ArithmeticError(value)
        return value


@pytest.fixture(autouse=True, scope="module")
def custom_types() -> Iterator[None]:
    """The types above, for the tests of this module only."""
    before = dict(TRANSFORMER_TYPES)
    for kind in (Letters, Deep, Even):
        register_path_transformer(kind.__name__.lower(), kind)
    yield
    TRANSFORMER_TYPES.clear()
    TRANSFORMER_TYPES.update(before)


def index_of(patterns: Iterable[Pattern]) -> Index:
    """An index with these patterns under the numbers 0, 1, …"""
    index = Index()
    for number, pattern in enumerate(patterns):
        index.add(pattern, number)
    return index


def parse_all(*templates: str) -> list[Pattern]:
    """The patterns of these templates; what Include allows is allowed."""
    return [parse_pattern(template, allow_empty=True) for template in templates]


def scan(patterns: list[Pattern], path: str) -> list[tuple[int, list[str]]]:
    """The oracle: what every regex says about the path, one after the other."""
    found = []
    for number, pattern in enumerate(patterns):
        match = pattern.regex.fullmatch(path)
        if match is not None:
            found.append((number, [match[name] for name in pattern.names]))
    return found


# Small alphabets, so that the patterns of a set and the paths run into each other all the time.
SEGMENTS = [
    "a",
    "b",
    "ab",
    "1",
    "a\n",
    "{x}",
    "{x}",
    "{x:int}",
    "{x:float}",
    "{x:letters}",
    "{x:even}",
    "{x:path}",
    "{x:path}",
    "{x:deep}",
    "a{x}",
    "a{x}b",
    "{x}b",
    "b{x:int}",
    "{x}-{y}",
    "a{x}-{y:int}",
    "a{x:path}",
    "{x:path}b",
    "a{x:deep}b",
    "{x:path}-{y}",
]
PARTS = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abb",
    "1",
    "1.1",
    "b1",
    "-",
    "a-1",
    "a-b-1",
    "a\n",
    "\n",
    "\x00",
    "\ud800",
    "\ufffd",
]


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    """A pattern of up to four segments, sometimes a joined one, with names of its own."""
    segments = draw(st.lists(st.sampled_from(SEGMENTS), max_size=4))
    # At most one parameter may contain slashes: later ones become literals.
    deep = [place for place, segment in enumerate(segments) if "path" in segment or "deep" in segment]
    for place in deep[1:]:
        segments[place] = "a"
    named = [
        segment.replace("{x", f"{{x{place}").replace("{y", f"{{y{place}") for place, segment in enumerate(segments)
    ]
    cut = draw(st.integers(0, len(named)))
    prefix, rest = "".join(f"/{segment}" for segment in named[:cut]), "".join(f"/{segment}" for segment in named[cut:])
    if draw(st.booleans()):
        rest = rest or "/"
    return parse_pattern(prefix, allow_empty=True).joined(parse_pattern(rest, allow_empty=True))


PATHS = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=5).map(lambda parts: "".join(f"/{part}" for part in parts)),
    st.text("ab1-/\n", max_size=8),
)


@given(st.lists(patterns(), max_size=8), st.lists(PATHS, min_size=1, max_size=8))
def test_index_agrees_with_the_naive_scan(patterns: list[Pattern], paths: list[str]) -> None:
    """All matches of a path, in the order of declaration and with the same texts, are those of the regexes."""
    index = index_of(patterns)
    for path in paths:
        assert index.match(path) == scan(patterns, path)


@given(st.lists(patterns(), min_size=1, max_size=6), st.lists(PATHS, min_size=1, max_size=8))
def test_index_covers_only_what_an_earlier_pattern_matches(patterns: list[Pattern], paths: list[str]) -> None:
    """If a pattern is covered, the earlier one matches, and converts, every path that it matches and converts."""
    index = Index()
    for number, pattern in enumerate(patterns):
        covering = index.covered(pattern)
        index.add(pattern, number)
        if covering is None:
            continue
        assert covering < number
        for path in paths:
            taken = dict(index.match(path.replace("\n", "")))
            if number in taken and pattern.convert(taken[number]) is not None:
                assert patterns[covering].convert(taken[covering]) is not None


@given(st.lists(patterns(), max_size=6), PATHS)
def test_index_nearest_is_a_pattern_that_matches_if_any_does(patterns: list[Pattern], path: str) -> None:
    """The hint exists whenever there is a pattern to hint at, and is one of those added."""
    nearest = index_of(patterns).nearest(path)
    if nearest is None:
        assert not path.startswith("/") or not patterns
    else:
        assert 0 <= nearest < len(patterns)


# Examples ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("templates", "path", "found"),
    [
        (["/"], "/", [(0, [])]),
        (["/"], "", []),
        ([""], "", [(0, [])]),
        ([""], "/", []),
        (["/ws/"], "/ws", [(0, [])]),
        (["/ws/"], "/ws/", []),
        (["/ws"], "ws", []),
        (["/ws"], "/ws\n", []),
        (["/ws"], "//ws", []),
        (["/{a}"], "/", []),
        (["/{a}", "/x", "/{b}"], "/x", [(0, ["x"]), (1, []), (2, ["x"])]),
        (["/{a}", "/x", "/{b}"], "/y", [(0, ["y"]), (2, ["y"])]),
        (["/x", "/{a:int}", "/{a}"], "/7", [(1, ["7"]), (2, ["7"])]),
        (["/x/{a:int}"], "/x/1\n", []),
        (["/x/{a:int}"], "/x/" + "9" * 5_000, [(0, ["9" * 5_000])]),
        (["/x/{a:letters}"], "/x/", [(0, [""])]),
        (["/{a}/b", "/a/{b}"], "/a/b", [(0, ["a"]), (1, ["b"])]),
        (["/{a}/b", "/a/{b}"], "/a/c", [(1, ["c"])]),
        (["/{p:path}"], "/", [(0, [""])]),
        (["/{p:path}"], "/a/b/", [(0, ["a/b/"])]),
        (["/{p:path}"], "/a\nb", []),
        (["/files/{p:path}"], "/files", []),
        (["/files/{p:path}"], "/files/", [(0, [""])]),
        (["/files/{p:path}/edit"], "/files/edit", []),
        (["/files/{p:path}/edit"], "/files//edit", [(0, [""])]),
        (["/files/{p:path}/edit"], "/files/a/edit/edit", [(0, ["a/edit"])]),
        (["/{a}/{p:path}/{b}/x-{c}"], "/1/2/3/4/x-5", [(0, ["1", "2/3", "4", "5"])]),
        (["/f/dl-{p:path}.zip"], "/f/dl-a/b.zip", [(0, ["a/b"])]),
        (["/f/dl-{p:path}.zip/{n:int}"], "/f/dl-a/b.zip/7", [(0, ["a/b", "7"])]),
        (["/a/{p:path}", "/{x}/b", "/a/b"], "/a/b", [(0, ["b"]), (1, ["a"]), (2, [])]),
    ],
)
def test_index_matches(templates: list[str], path: str, found: list[tuple[int, list[str]]]) -> None:
    """Slashes count, order is kept, and texts come from left to right."""
    assert index_of(parse_all(*templates)).match(path) == found


@pytest.mark.parametrize(
    ("templates", "path", "nearest"),
    [
        ([], "/", None),
        (["/ws"], "ws", None),
        (["/ws/{a}"], "/", 0),
        (["/a", "/ws/{a}", "/ws/{a}/b"], "/ws", 1),
        (["/a", "/ws/{a}", "/ws/{a}/b"], "/ws/x/c", 1),
        (["/a", "/ws/{a:int}/b", "/ws/x/c"], "/ws/x", 2),
        (["/a", "/ws/{a:int}/b", "/ws/x/c"], "/ws/y", 1),
        (["/a", "/files/{p:path}/edit"], "/files/x", 1),
        (["/a/b", "/{x}/c"], "/a/d", 0),
    ],
)
def test_index_nearest(templates: list[str], path: str, nearest: int | None) -> None:
    """The hint for a path that nothing matches shares as many segments with it as possible."""
    assert index_of(parse_all(*templates)).nearest(path) == nearest


@pytest.mark.parametrize(
    ("earlier", "template", "covered"),
    [
        ([], "/a", None),
        (["/a"], "/a", 0),
        (["/b", "/{x}"], "/a", 1),
        (["/{x}"], "/", None),
        (["/{x}"], "/a/b", None),
        (["/{x}"], "/{y}", 0),
        (["/{x}"], "/{y:int}", 0),
        (["/{x}"], "/a-{y}", 0),
        (["/{x}"], "/{y:letters}", None),
        (["/{x}"], "/{y:path}", None),
        (["/{x:int}"], "/{y}", None),
        (["/{x:int}"], "/{y:int}", 0),
        (["/{x:int}"], "/7", 0),
        (["/{x:int}"], "/a", None),
        (["/{x:datetime}"], "/2024-13-01T00:00:00", None),
        (["/{x:even}"], "/{y}", None),
        (["/{x:even}"], "/{y:even}", 0),
        (["/{x:even}"], "/abc", None),
        (["/a-{x}"], "/a-{y}", 0),
        (["/a-{x}"], "/a-b", 0),
        (["/a-{x}"], "/a-", None),
        (["/a/{x}", "/{x}/b"], "/a/b", 0),
        (["/{p:path}"], "/", 0),
        (["/{p:path}"], "/a/{x}/{q:path}", 0),
        (["/{p:path}"], "", None),
        (["/{p:path}/b"], "/a/{x}/b", 0),
        (["/{p:path}/b"], "/{q:path}/b", 0),
        (["/{p:path}/b"], "/b", None),
        (["/{p:path}/{x}"], "/{q:path}/b", 0),
        (["/a/{p:path}"], "/{q:path}", None),
        (["/{p:deep}"], "/{q:deep}", 0),
        (["/{p:deep}"], "/{q:path}", None),
        (["/{p:deep}"], "/a", 0),
        (["/{p:deep}"], "/c", None),
        (["/a{p:path}"], "/ab", 0),
        (["/a{p:path}"], "/a{q:path}", 0),
        (["/a{p:path}"], "/ab/c", None),  # it does, but that much the comparison by segments does not see
    ],
)
def test_index_covered(earlier: list[str], template: str, covered: int | None) -> None:
    """A pattern whose turn never comes is found; when in doubt it is not reported."""
    assert index_of(parse_all(*earlier)).covered(parse_pattern(template, allow_empty=True)) == covered


# Cost ----------------------------------------------------------------------------------------------------------------


def calls(index: Index, path: str, method: str = "match") -> int:
    """How many functions, Python's and C's, a lookup calls; the work inside one is linear in its argument."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    function = getattr(index, method)
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(path)
    finally:
        sys.setprofile(before)
    return count


def crowd(size: int) -> list[Pattern]:
    """Many routes of every kind, most of them beside each other at the same node."""
    kinds = [
        "/api/r{n}/<item>/events",
        "/files/<p:path>/edit{n}",
        "/img/img{n}-<x>.png",
        "/n/<x:int>/{n}",
        "/t/<x>.e{n}",
    ]
    templates = [kind.replace("{n}", str(number)) for number in range(size) for kind in kinds]
    return parse_all("/ws/{name}", *templates, "/last/{name}")


@pytest.mark.parametrize(
    "path",
    [
        "/ws/alice",
        "/last/alice",
        "/api/r0/7/events",
        "/api/r{last}/7/events",
        "/api/none/7/events",
        "/none",
        "/files/a/b/c/edit{last}",
        "/files/a/b/c/none",
        "/img/img{last}-a.png",
        "/img/none-a.png",
        "/n/7/{last}",
        "/t/x.e{last}",
    ],
)
@pytest.mark.parametrize("method", ["match", "nearest"])
def test_index_costs_the_same_among_many_patterns(path: str, method: str) -> None:
    """A lookup calls exactly as many functions among 2,000 patterns as among 50."""
    few, many = (calls(index_of(crowd(size)), path.replace("{last}", str(size - 1)), method) for size in (10, 400))
    # One more pair of lengths among the literals ("img9-" and "img399-") is one more look into a dictionary.
    assert many <= few + 4


def test_index_finds_covering_patterns_at_the_same_cost_among_many() -> None:
    """Adding many routes is not quadratic: the question asks as many functions at the end as at the beginning."""

    class Question(Index):
        def ask(self, template: str) -> int | None:
            return self.covered(parse_pattern(template))

    counts = []
    for size in (10, 400):
        index = Question()
        for number, pattern in enumerate(crowd(size)):
            index.add(pattern, number)
        counts.append(
            [calls(index, path, "ask") for path in ("/api/new/{x}", "/files/{p:path}/new", "/img/img-new.png")]
        )
    assert all(many <= few + 6 for few, many in zip(*counts, strict=True))


@pytest.mark.parametrize("unit", ["/", "/a", "/-", "a-", "-", "/edit", "a", "1", "\n", "/\n", ".", "/a-1.zip"])
@pytest.mark.parametrize("start", ["/", "/x/", "/files/", "/img/"])
def test_index_needs_linear_time(start: str, unit: str) -> None:
    """A path ten times as long costs at most ten times the calls, however it is made to nearly match."""
    patterns = parse_all(
        "/{a}/{b}/{c}/{d}",
        "/x/{a}-{b}-{c}-{d}",
        "/x/{a:float}-{b:float}",
        "/x/{a:letters}",
        "/files/{p:path}/edit/edit",
        "/files/{p:path}/{a}-{b}/{c:int}",
        "/img/{a}-{p:path}",
        "/img/{p:path}.{b}.{c}",
        "/img/{p:deep}!",
        "/{p:path}/!",
    )
    index = index_of(patterns)
    short, long = (calls(index, start + unit * times) for times in (100, 1_000))
    assert long <= 10 * short + 100


@pytest.mark.parametrize("unit", ["/a", "a-", "1", "a", "/", "-."])
def test_index_answers_for_very_long_paths(unit: str) -> None:
    """A million characters are no problem for what is done in C, either: in quadratic time this would never end."""
    patterns = parse_all(
        "/{a}-{b}-{c}", "/{a:float}", "/{a:float}-{b:float}", "/{p:path}/{a}-{b}!", "/{p:path}.{b}.{c}!"
    )
    index = index_of(patterns)
    path = "/" + unit * (1_000_000 // len(unit))
    assert {number for number, _ in index.match(path)} <= {0, 1}
    assert index.nearest(path) in {0, 1}


def test_index_refuses_nothing_that_parses() -> None:
    """What cannot be indexed was already refused as a pattern."""
    with pytest.raises(ImproperlyConfigured):
        parse_all("/{a:path}/{b:path}")
