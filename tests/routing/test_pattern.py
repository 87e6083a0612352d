"""Templates: what they are parsed into, what they match, and which are refused at startup."""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya.exceptions import ImproperlyConfigured
from lilya.routing._pattern import Pattern, compile_path, parse_pattern
from lilya.routing._shape import Shape
from lilya.transformers import TRANSFORMER_TYPES, StringTransformer, Transformer, register_path_transformer


class Letters(StringTransformer):
    """Lower-case letters, possibly none."""

    regex = "[a-z]*"


class Deep(StringTransformer):
    """Letters and slashes: spans segments, but is not `path`."""

    regex = "[a-z/]+"


class Code(StringTransformer):
    """Two characters of any kind but the slash."""

    regex = "[^/]{2}"


class Angry(Transformer[str]):
    """Takes anything and then raises what nobody expects."""

    regex = "[a-z]+"

    def transform(self, value: str) -> str:
        raise KeyError(value)

    def normalise(self, value: str) -> str:
        return value


@pytest.fixture(autouse=True, scope="module")
def custom_types() -> Iterator[None]:
    """The types above, for the tests of this module only."""
    before = dict(TRANSFORMER_TYPES)
    for kind in (Letters, Deep, Code, Angry):
        register_path_transformer(kind.__name__.lower(), kind)
    yield
    TRANSFORMER_TYPES.clear()
    TRANSFORMER_TYPES.update(before)


def only_shape(template: str) -> Shape:
    """The shape that is the template's single segment."""
    (segment,) = parse_pattern(template).segments
    assert isinstance(segment, Shape)
    return segment


# Parsing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "cleaned", "names"),
    [
        ("/", "/", ()),
        ("///", "/", ()),
        ("/ws/", "/ws", ()),
        ("//a//b//", "/a/b", ()),
        ("/{a}/<b>/{c:int}/<d:path>", "/{a}/<b>/{c:int}/<d:path>", ("a", "b", "c", "d")),
        ("/{a>/<b}", "/{a>/<b}", ("a", "b")),
        ("/img-{a}.{b:int}x", "/img-{a}.{b:int}x", ("a", "b")),
        ("/a b/é", "/a b/é", ()),
    ],
)
def test_parse_pattern_cleans_and_names(template: str, cleaned: str, names: tuple[str, ...]) -> None:
    """Doubled and trailing slashes go; both bracket styles declare parameters."""
    pattern = parse_pattern(template)
    assert (pattern.template, pattern.names) == (cleaned, names)
    assert repr(pattern) == f"Pattern({cleaned!r})"
    assert len(pattern.transformers) == len(names)


def test_parse_pattern_splits_into_segments() -> None:
    """A segment is a literal or a shape, which says what kind of parameters it has."""
    literal, anything, typed, mixed, everything = parse_pattern("/a/{b}/{c:int}/d-{d}.e/{f:path}").segments
    assert literal == "a"
    kinds = [
        (shape.literals, shape.whole, shape.anything, shape.everything, shape.multi, shape.nullable)
        for shape in (anything, typed, mixed, everything)
        if isinstance(shape, Shape)
    ]
    assert kinds == [
        (("", ""), True, True, False, 0, False),
        (("", ""), True, False, False, 0, False),
        (("d-", ".e"), False, False, False, 0, False),
        (("", ""), True, False, True, 1, True),
    ]


def test_parse_pattern_counts_segments() -> None:
    """Depth is the number of slashes; a tail is any parameter that may contain slashes."""
    patterns = [parse_pattern(template) for template in ("/", "/a/{b}", "/a/x{b:path}/c", "/{b:deep}")]
    assert [(pattern.depth, pattern.has_tail) for pattern in patterns] == [(1, False), (2, False), (3, True), (1, True)]


def test_parse_pattern_takes_empty_prefix_on_request() -> None:
    """An include may add nothing; a route may not."""
    assert parse_pattern("", allow_empty=True).segments == ()
    assert parse_pattern("/a", allow_empty=True).segments == ("a",)


@pytest.mark.parametrize("template", ["", "a", "{a}", " /a"])
def test_parse_pattern_wants_a_slash(template: str) -> None:
    """A path that does not start with a slash is an AssertionError that names it."""
    with pytest.raises(AssertionError, match=re.escape(f"Paths must start with '/', got {template!r}")):
        parse_pattern(template)


def test_parse_pattern_wants_a_slash_from_includes_too() -> None:
    """`allow_empty` allows the empty prefix and nothing else."""
    with pytest.raises(AssertionError, match="Paths must start with '/', got 'a'"):
        parse_pattern("a", allow_empty=True)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("/{a}/{a}", "Duplicated param name a in the path /{a}/{a}"),
        ("/{a}-{a}", "Duplicated param name a in the path "),
        ("/{b}/{a}/<b>/<a>/{c}", "Duplicated param names a, b in the path "),
        ("/{a", "Unbalanced brackets in '{a' of the path '/{a'"),
        ("/a}", "Unbalanced brackets"),
        ("/{a/b}", "Unbalanced brackets"),
        ("/{{a}}", "Unbalanced brackets"),
        ("/<", "Unbalanced brackets"),
        ("/{}", "'' in the path '/{}' is no name"),
        ("/{1a}", "'1a' in the path '/{1a}' is no name"),
        ("/{a b}", "is no name"),
        ("/{:int}", "is no name"),
        ("/{a}{b}", "Segment '{a}{b}' of the path '/{a}{b}': two parameters touch"),
        ("/x/{a}-{b:int}-{c}", "both parameters around '-' may contain it"),
        ("/{a:float}.{b}", "both parameters around '.' may contain it"),
        ("/{a}-{b:path}-{c}", "both parameters around '-' may contain it"),
        ("/{a:path}-{b:path}", "both parameters around '-' may contain it"),
        ("/{a:deep}x{b}", "both parameters around 'x' may contain it"),
        ("/{a}-{b:code}-{c}-{d:code}-{e}", "both parameters around '-' may contain it"),
        ("/{a:path}/{b:path}", "2 parameters in the path '/{a:path}/{b:path}' may contain slashes"),
        ("/{a:deep}/x/{b:path}", "may contain slashes; at most one may"),
        ("/{a:deep}-{b:path}", "may contain slashes; at most one may"),
    ],
)
def test_parse_pattern_refuses(template: str, message: str) -> None:
    """A template that cannot mean anything, or would need backtracking, is an error that names it."""
    with pytest.raises(ImproperlyConfigured, match=re.escape(message)) as caught:
        parse_pattern(template)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("template", "kind"), [("/{a:uid}", "uid"), ("/{a:}", ""), ("/x-{a:int:int}", "int:int")])
def test_parse_pattern_names_the_known_types(template: str, kind: str) -> None:
    """An unknown type is an AssertionError that names type and path and lists the types there are."""
    message = (
        f"Unknown path transformer {kind!r} in the path {template!r}. Known: str, path, int, float, uuid, datetime"
    )
    with pytest.raises(AssertionError, match=re.escape(message)):
        parse_pattern(template)


def test_parse_pattern_checks_types_that_were_not_registered() -> None:
    """A transformer that was put into the table by hand is checked when a path uses it."""
    TRANSFORMER_TYPES["slow"] = type("Slow", (StringTransformer,), {"regex": "(a+)+"})()
    with pytest.raises(ImproperlyConfigured, match=r"of the path '/\{a:slow\}': Path transformer 'slow'.*in two ways"):
        parse_pattern("/{a:slow}")


# Matching ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        ("/{a}", "x", ["x"]),
        ("/{a}", "", None),
        ("/img-{a}.png", "img-1.png", ["1"]),
        ("/img-{a}.png", "img-.png", None),
        ("/aba{a:letters}aba", "aba", None),
        ("/aba{a:letters}aba", "abaaba", [""]),
        ("/{a}-{b}", "x-y-z", ["x-y", "z"]),
        ("/{a}-{b}", "x--", ["x", "-"]),
        ("/{a}-{b}", "-x", None),
        ("/{a}-{b}-{c}", "1-2-3-4", ["1-2", "3", "4"]),
        ("/{a}--{b}", "x---y", ["x-", "y"]),
        ("/v{a:int}.{b:int}", "v1.22", ["1", "22"]),
        ("/v{a:int}.{b:int}", "v1.", None),
        (
            "/{a}-{b:uuid}",
            f"x-y-{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}",
            ["x-y", "0" * 8 + "-0000" * 3 + "-" + "0" * 12],
        ),
        ("/{a:code}-{b}", "---x-", ["--", "x-"]),
        ("/{a:code}-{b}", "-x", None),
        ("/{a:int}-{b}-{c}-{d:int}", "1-2-3-4-5", ["1", "2-3", "4", "5"]),
        ("/{a:float}-{b:float}", "1.5-2.5", ["1.5", "2.5"]),
        ("/dl-{a:path}.zip", "dl-a/b.zip.zip", ["a/b.zip"]),
        ("/{a}-{b:path}", "x-y/z-w", ["x", "y/z-w"]),
        ("/{a}-{b:path}", "x-y-", ["x-y", ""]),
        ("/{a}-{b:path}", "x/y-z", None),
        ("/{a}-{b:path}", "x-y\n", None),
        ("/{a}-{b:path}", "x\n-y", ["x\n", "y"]),
        ("/{a:path}.{b}", "x/y.z.w", ["x/y.z", "w"]),
        ("/{a:path}.{b}", "x.y/z", None),
        ("/{a:path}.{b}", "x.y\n.z", ["x", "y\n.z"]),
        ("/{a:path}.{b}", "x\n.z", None),
        ("/{a:int}-{b:path}-{c:int}", "1-a/b-2-3", ["1", "a/b-2", "3"]),
        ("/{a:deep}-{b}", "a/b-c-d", ["a/b", "c-d"]),
        ("/{a:deep}-{b}", "a/b-c/d", None),
    ],
)
def test_shape_matches_greedily(template: str, text: str, values: list[str] | None) -> None:
    """The first parameter is as long as possible, as in the regex."""
    assert only_shape(template).match(text) == values
    pattern = parse_pattern(template)
    found = pattern.regex.fullmatch("/" + text)
    assert (None if found is None else [found[name] for name in pattern.names]) == values


PIECES = [
    "{a}",
    "{a:path}",
    "{a:int}",
    "{a:float}",
    "{a:letters}",
    "{a:deep}",
    "{a:code}",
]
LITERALS = ["", "-", "a", "0", "-a", ".", "aa", "--", "\n"]


@st.composite
def shapes(draw: st.DrawFn) -> str:
    """Templates of one segment with one to four parameters."""
    template = "/" + draw(st.sampled_from(LITERALS))
    for name in draw(st.sampled_from(["a", "ab", "abc", "abcd"])):
        piece = draw(st.sampled_from(PIECES)).replace("a", name, 1)
        template += piece + draw(st.sampled_from(LITERALS))
    return template


@given(template=shapes(), text=st.text("a-0./\n\x00\ud800\ufffd", max_size=12))
def test_shape_agrees_with_its_regex(template: str, text: str) -> None:
    """A template is either refused at startup or matches exactly what its regex matches, with the same groups."""
    try:
        pattern = parse_pattern(template)
    except ImproperlyConfigured:
        return
    (shape,) = pattern.segments
    assert isinstance(shape, Shape)
    if not shape.multi:
        text = text.replace("/", "")
    found = pattern.regex.fullmatch("/" + text)
    expected = None if found is None else [found[name] for name in pattern.names]
    assert shape.match(text) == expected


@pytest.mark.parametrize(
    "template",
    ["/{a}-{b}", "/{a}-{b}-{c}", "/a{a}", "/{a}.{b:path}", "/{b:path}.{a}", "/{a:int}-{b}-{c}-{d:int}", "/-{a:path}-"],
)
def test_shape_agrees_with_its_regex_on_all_short_texts(template: str) -> None:
    """The same, for every text of up to six characters from a small alphabet."""
    pattern = parse_pattern(template)
    shape = only_shape(template)
    alphabet = "-a./\n" if shape.multi else "-a1\n"
    for length in range(6):
        for letters in product(alphabet, repeat=length):
            text = "".join(letters)
            found = pattern.regex.fullmatch("/" + text)
            assert shape.match(text) == (None if found is None else [found[name] for name in pattern.names])


# Values --------------------------------------------------------------------------------------------------------------


def test_pattern_converts_by_name() -> None:
    """Texts become values, in the order of the parameters."""
    pattern = parse_pattern("/{a}/{b:int}/{c:datetime}")
    assert pattern.convert(["x", "7", "2024-01-02T03:04:05"]) == {
        "a": "x",
        "b": 7,
        "c": datetime(2024, 1, 2, 3, 4, 5),  # noqa: DTZ001 - a path has no zone
    }
    assert parse_pattern("/{a}/{b:path}").convert(["x", "y"]) == {"a": "x", "b": "y"}
    assert parse_pattern("/{a}").convert(["x"]) == {"a": "x"}
    assert parse_pattern("/a").convert([]) == {}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("/{a:int}", "9" * 5_000),
        ("/{a:float}", "9" * 400),
        ("/{a:datetime}", "2024-13-01T00:00:00"),
        ("/{a:angry}", "x"),
    ],
    ids=["int", "float", "datetime", "angry"],
)
def test_pattern_converts_what_a_transformer_refuses_to_no_match(template: str, text: str) -> None:
    """Whatever a transformer raises, the path does not match."""
    assert only_shape(template).match(text) == [text]
    assert parse_pattern(template).convert([text]) is None


@pytest.mark.parametrize(
    ("template", "params", "path", "rest"),
    [
        ("/", {}, "/", {}),
        ("/a", {"b": 1}, "/a", {"b": 1}),
        ("/{a}/x-<b:int>.png", {"a": "{b}", "b": 7, "c": 8}, "/{b}/x-7.png", {"c": 8}),
        ("/{p:path}/edit", {"p": "a/b"}, "/a/b/edit", {}),
        ("/{a}", {"a": "é %"}, "/é %", {}),
    ],
)
def test_pattern_formats_in_one_pass(template: str, params: dict[str, Any], path: str, rest: dict[str, Any]) -> None:
    """Values are put in once, unquoted, and what was not needed comes back."""
    assert parse_pattern(template).format(params) == (path, rest)


def test_pattern_formats_refuses_what_could_not_match() -> None:
    """A missing parameter is a KeyError, an impossible value an AssertionError that says what was wrong."""
    with pytest.raises(KeyError, match="b"):
        parse_pattern("/{a}/{b}").format({"a": "x"})
    with pytest.raises(AssertionError, match="must not contain '/'"):
        parse_pattern("/{a}").format({"a": "x/y"})
    message = "'X' for the parameter 'a' of the path '/{a:angry}' gives 'X', which does not match '[a-z]+'"
    with pytest.raises(AssertionError, match=re.escape(message)):
        parse_pattern("/{a:angry}").format({"a": "X"})


# Joining -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "template", "joined"),
    [
        ("", "/", "/"),
        ("", "/a", "/a"),
        ("", "", ""),
        ("/", "", "/"),
        ("/", "/", "/"),
        ("/", "/a", "/a"),
        ("/api", "/", "/api/"),
        ("/api", "/a", "/api/a"),
        ("/api", "", "/api"),
        ("/{a}", "/{b}", "/{a}/{b}"),
    ],
)
def test_pattern_joins(prefix: str, template: str, joined: str) -> None:
    """A prefix and a path are one path; the root inside a prefix is the prefix with a slash."""
    pattern = parse_pattern(prefix, allow_empty=True).joined(parse_pattern(template, allow_empty=True))
    assert pattern.template == joined
    path, _ = pattern.format(dict.fromkeys(pattern.names, "x"))
    assert path == re.sub("{.}", "x", joined)
    assert pattern.regex.fullmatch(path) is not None


def test_pattern_joins_below_the_root_of_a_prefix() -> None:
    """An include at "/" within an include adds no empty segment."""
    outer = parse_pattern("/api").joined(parse_pattern("/"))
    assert outer.joined(parse_pattern("/a")).template == "/api/a"
    assert outer.joined(parse_pattern("/a")).segments == ("api", "a")


def test_pattern_joins_equal_names_so_that_the_inner_one_wins() -> None:
    """The same name twice is allowed across includes; the value is the inner one's."""
    pattern = parse_pattern("/{a:int}/{b}").joined(parse_pattern("/{a}"))
    assert pattern.names == ("a", "b", "a")
    assert pattern.convert(["1", "x", "y"]) == {"a": "y", "b": "x"}
    assert pattern.convert(["1" * 5_000, "x", "y"]) is None
    found = pattern.regex.fullmatch("/1/x/y")
    assert found is not None
    assert found.groupdict() == {"a": "y", "b": "x"}


def test_pattern_joins_at_most_one_tail() -> None:
    """Two parameters that may contain slashes are refused wherever they come from."""
    tail = parse_pattern("/{a:path}")
    assert tail.joined(parse_pattern("/b")).template == "/{a:path}/b"
    with pytest.raises(ImproperlyConfigured, match=re.escape("2 parameters in the path '/{a:path}/{b:deep}'")):
        tail.joined(parse_pattern("/{b:deep}"))


# For others ----------------------------------------------------------------------------------------------------------


def test_compile_path_gives_regex_format_and_types() -> None:
    """Code that wants a regex gets an anchored one, a format string and the transformers."""
    regex, form, transformers = compile_path("/a.b/<c:int>/{d}-{e}/")
    assert form == "/a.b/{c}/{d}-{e}"
    assert transformers == {
        name: TRANSFORMER_TYPES[kind] for name, kind in {"c": "int", "d": "str", "e": "str"}.items()
    }
    found = regex.match("/a.b/7/x-y-z")
    assert found is not None
    assert found.groupdict() == {"c": "7", "d": "x-y", "e": "z"}
    assert regex.match("/a.b/7/x-y\n/") is None
    assert regex.match("/a.b/7\n/x-y") is None
    assert regex.match("/aXb/7/x-y") is None
    assert compile_path("/ws")[0].match("/ws\n") is None


def test_pattern_is_the_sum_of_its_parts() -> None:
    """The parts of a pattern are enough to make it again."""
    pattern = parse_pattern("/a/{b:int}")
    again = Pattern(pattern.template, pattern.segments, pattern.names)
    assert again.convert(["7"]) == {"b": 7}
