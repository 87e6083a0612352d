"""The values a connection is read through."""

import copy
import io
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lilya._cookies import parse_cookies
from lilya.datastructures import (
    URL,
    Address,
    Cookie,
    DataUpload,
    FormData,
    Header,
    ImmutableMultiDict,
    MultiDict,
    QueryParam,
    Secret,
    State,
    URLPath,
)

latin1_text = st.text(st.characters(max_codepoint=0xFF))
host_names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
header_names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True)


def http_scope(**changes: Any) -> dict[str, Any]:
    """A scope as a server makes it for http://example.com/chat."""
    return {
        "type": "http",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "path": "/chat",
        "query_string": b"",
        "headers": [(b"host", b"example.com")],
        **changes,
    }


# -- URL: text and components ------------------------------------------------------------------------------------------


def test_url_is_text_that_knows_its_components() -> None:
    """A URL is a real `str`, and every component can be read from it."""
    text = "https://ada:pw@Example.com:8443/chat/room?search=a&b=#end"
    url = URL(text)
    assert isinstance(url, str)
    assert url == text
    assert hash(url) == hash(text)
    assert type(url.url) is str
    assert url.url == text
    assert (url.scheme, url.netloc, url.path) == ("https", "ada:pw@Example.com:8443", "/chat/room")
    assert (url.query, url.fragment) == ("search=a&b=", "end")
    assert (url.username, url.password, url.hostname, url.port) == ("ada", "pw", "example.com", 8443)
    assert url.is_secure
    assert url.parsed_url == urlsplit(text)
    assert url.base_url == "https://ada:pw@Example.com:8443"


@pytest.mark.parametrize(
    ("scheme", "secure"), [("http", False), ("https", True), ("ws", False), ("wss", True), ("", False)]
)
def test_url_is_secure_over_tls_only(scheme: str, secure: bool) -> None:
    """`is_secure` is true for https and wss."""
    assert URL(scheme=scheme, netloc="example.com").is_secure is secure


def test_url_is_made_of_components_or_of_a_split_result() -> None:
    """Components by name, a `SplitResult`, and text with changes give the same URL."""
    text = "ws://example.com:9/chat?a=1#x"
    assert URL(scheme="ws", netloc="example.com:9", path="/chat", query="a=1", fragment="x") == text
    assert URL(scheme="ws", hostname="example.com", port=9, path="/chat", query="a=1", fragment="x") == text
    assert URL(urlsplit(text)) == text
    assert URL("http://example.com:9/chat?a=1#x", scheme="ws") == text
    assert URL() == ""


@pytest.mark.parametrize(
    "text", ["http://example.com/?", "/a b", "//example.com", "http://[::1]/", "?a=1", "mailto:a@b"]
)
def test_url_keeps_its_text_as_it_is(text: str) -> None:
    """Text that is parsed is not normalised."""
    assert URL(text) == text


def test_url_refuses_what_is_none() -> None:
    """An unclosed bracket is no URL."""
    with pytest.raises(ValueError, match="IPv6"):
        URL("http://[::1/")


def test_url_port_out_of_range_is_an_error_when_read() -> None:
    """A port above 65535 is found when it is asked for, and does not disturb `repr`."""
    url = URL("http://u:p@example.com:99999/")
    assert repr(url) == "URL('http://u:********@example.com:99999/')"
    with pytest.raises(ValueError, match="range"):
        _ = url.port


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://example.com/a", "URL('http://example.com/a')"),
        ("http://ada@example.com/", "URL('http://ada@example.com/')"),
        ("http://ada:s3cret@example.com:80/?a", "URL('http://ada:********@example.com:80/?a')"),
        ("http://ada:s3:@cret@example.com", "URL('http://ada:********@example.com')"),
    ],
)
def test_url_repr_hides_the_password(text: str, shown: str) -> None:
    """The representation has no password."""
    assert repr(URL(text)) == shown


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda url: pickle.loads(pickle.dumps(url)), URL])
def test_url_copies_keep_all_components(duplicate: Any) -> None:
    """Copies, pickles and `URL(url)` keep text and components, the decoded path too."""
    url = URL.build_from_scope(http_scope(path="/a?b"))
    twin = duplicate(url)
    assert (type(twin), twin, twin.path, twin.parsed_url) == (URL, url, "/a?b", url.parsed_url)


# -- URL: replacing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "components", "result"),
    [
        ("http://example.com/a?b#c", {"scheme": "wss"}, "wss://example.com/a?b#c"),
        ("http://example.com/a", {"netloc": "example.org:81"}, "http://example.org:81/a"),
        ("http://example.com/a", {"path": "/x?y#z"}, "http://example.com/x%3Fy%23z"),
        ("http://example.com/a", {"path": "x"}, "http://example.com/x"),
        ("http://example.com/a", {"path": "/100%25"}, "http://example.com/100%25"),
        ("http://example.com/a", {"path": ""}, "http://example.com"),
        ("http://example.com/a", {"query": "b=1#x", "fragment": "y\n"}, "http://example.com/a?b=1%23x#y%0A"),
        ("http://example.com/a", {"port": 81}, "http://example.com:81/a"),
        ("http://example.com:81/a", {"port": None}, "http://example.com/a"),
        ("http://u:p@example.com:81/a", {"hostname": "::1"}, "http://u:p@[::1]:81/a"),
        ("http://u:p@example.com:81/a", {"hostname": "[::1]"}, "http://u:p@[::1]:81/a"),
        ("http://[::1]:81/a", {"port": 82}, "http://[::1]:82/a"),
        ("http://u:p@example.com/", {"username": None, "password": None}, "http://example.com/"),
        ("http://u:p@example.com/", {"password": None}, "http://u@example.com/"),
        ("http://example.com/", {"username": "a@b", "password": "c:/d"}, "http://a%40b:c%3A%2Fd@example.com/"),
        ("http://example.com/", {"password": "x"}, "http://:x@example.com/"),
        ("/a", {"port": 81}, "//:81/a"),
        ("mailto:a@b", {"path": "c:d@e"}, "mailto:c:d@e"),
    ],
)
def test_url_replace_changes_the_named_components_only(text: str, components: Any, result: str) -> None:
    """The other components stay, and no new value can reach into its neighbours."""
    url = URL(text).replace(**components)
    assert type(url) is URL
    assert url == result
    assert url.parsed_url == urlsplit(result)


def test_url_replace_of_text_is_that_of_str() -> None:
    """With positional arguments `replace` is the method of `str`."""
    assert URL("http://example.com/a/a").replace("a/", "b/", 1) == "http://example.com/b/a"


@pytest.mark.parametrize(
    "components",
    [
        {"netloc": "example.com/?"},
        {"netloc": "example.com#"},
        {"netloc": "exa mple.com"},
        {"netloc": "example.com\n"},
        {"hostname": "example.com\\x"},
        {"hostname": "user@example.com"},
        {"scheme": "http://evil.example/"},
        {"scheme": "ht:tp"},
    ],
)
def test_url_replace_refuses_what_would_end_scheme_or_host(components: Any) -> None:
    """A scheme or host that holds a border is an error that names it."""
    (value,) = components.values()
    with pytest.raises(ValueError, match="make") as caught:
        URL("http://example.com/").replace(**components)
    assert repr(value) in str(caught.value)


def test_url_replace_refuses_an_unknown_component() -> None:
    """A misspelt component is an error that lists the right ones."""
    with pytest.raises(TypeError, match=r"no component 'host'. It has: scheme, netloc"):
        URL("http://example.com/").replace(host="x")  # type: ignore[call-overload]  # the mistake under test


def test_url_query_params_are_included_sorted_by_name() -> None:
    """New parameters take the place of those of the same name; the query is sorted, and values keep their order."""
    url = URL("http://example.com/?c=2&c=1&b=&a=1#f")
    assert url.include_query_params(a=2, d="x y") == "http://example.com/?a=2&b=&c=2&c=1&d=x+y#f"


def test_url_query_params_are_replaced_in_the_given_order() -> None:
    """All old parameters go."""
    assert URL("http://example.com/?c=1&a=1").replace_query_params(z=1, b=True) == "http://example.com/?z=1&b=True"
    assert URL("http://example.com/?c=1").replace_query_params() == "http://example.com/"


@pytest.mark.parametrize(("names", "query"), [("a", "b=1&c=1"), (["a", "b"], "c=1"), ((), "a=1&a=2&b=1&c=1")])
def test_url_query_params_are_removed_by_name(names: Any, query: str) -> None:
    """One name or several; the rest is sorted by name."""
    assert URL("http://example.com/?c=1&a=1&a=2&b=1").remove_query_params(names).query == query


@pytest.mark.parametrize(
    ("text", "relative"),
    [
        ("http://example.com/a?b=1#c", "/a?b=1#c"),
        ("http://example.com//evil.example/a", "/%2Fevil.example/a"),
        ("http://example.com", ""),
    ],
)
def test_url_relative_stays_on_the_host(text: str, relative: str) -> None:
    """A relative URL has no scheme and no host, even if its path looks like one."""
    url = URL(text).relative_url()
    assert url == relative
    assert urlsplit(url).netloc == ""


# -- URL: from a scope -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "http://example.com/chat"),
        ({"scheme": "https", "query_string": b"a=1&b=%20"}, "https://example.com/chat?a=1&b=%20"),
        ({"headers": [(b"x", b"y"), (b"Host", b"EXAMPLE.com:81")]}, "http://EXAMPLE.com:81/chat"),
        ({"headers": [(b"host", b"[::1]:81")]}, "http://[::1]:81/chat"),
        ({"headers": [(b"host", b"example.com:")]}, "http://example.com:/chat"),
        ({"headers": []}, "http://127.0.0.1:8000/chat"),
        ({"headers": [], "server": ["127.0.0.1", 80]}, "http://127.0.0.1/chat"),
        ({"headers": [], "scheme": "https", "server": ("example.org", 443)}, "https://example.org/chat"),
        ({"headers": [], "scheme": "ws", "server": ("example.org", 80)}, "ws://example.org/chat"),
        ({"headers": [], "scheme": "wss", "server": ("example.org", 80)}, "wss://example.org:80/chat"),
        ({"headers": [], "scheme": "x", "server": ("example.org", 80)}, "x://example.org:80/chat"),
        ({"headers": [], "server": ("::1", 8000)}, "http://[::1]:8000/chat"),
        ({"headers": [], "server": ("/run/app.sock", None)}, "/chat"),
        ({"headers": [], "server": None}, "/chat"),
        ({"headers": [], "server": None, "query_string": b"a=1"}, "/chat?a=1"),
        ({"path": "/café/a b"}, "http://example.com/café/a b"),
        ({"path": "/a?b#c%", "query_string": b"c=1"}, "http://example.com/a%3Fb%23c%25?c=1"),
        ({"path": "/a\r\nb\\c"}, "http://example.com/a%0D%0Ab%5Cc"),
        ({"path": ""}, "http://example.com"),
        ({"query_string": b"a=caf\xe9#x"}, "http://example.com/chat?a=caf%E9%23x"),
    ],
)
def test_url_from_scope_is_scheme_host_path_and_query(changes: Any, text: str) -> None:
    """Host header, else server without the default port, else the path only."""
    scope = http_scope(**changes)
    url = URL.build_from_scope(scope)
    assert url == text
    assert url.path == scope["path"]


@pytest.mark.parametrize(("kind", "scheme"), [("http", "http"), ("websocket", "ws")])
def test_url_from_scope_needs_no_optional_key(kind: str, scheme: str) -> None:
    """Without scheme and query string the ASGI defaults hold; without anything the URL is empty."""
    scope = {"type": kind, "path": "/x", "headers": [(b"host", b"h")]}
    assert URL.build_from_scope(scope) == f"{scheme}://h/x"
    assert URL.build_from_scope({}) == ""


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"example.com/?",
        b"example.com/x",
        b"example.com#",
        b"user@evil.example",
        b"evil.example\\",
        b"a b",
        b"example.com:80:90",
        b"example.com:x",
        b"example.com:65536",
        b"example.com\n",
        b"caf\xe9",
        b"::1",
        b"[::1",
        b"[:::1]",
        b"[::1]x",
        b"[v1.x]",
    ],
)
def test_url_from_scope_does_not_use_a_host_that_is_none(host: bytes) -> None:
    """A Host header that is no host[:port] is passed over for the server's own address."""
    url = URL.build_from_scope(http_scope(headers=[(b"host", host), (b"host", b"second.example")]))
    assert url == "http://127.0.0.1:8000/chat"
    assert (url.hostname, url.port, url.path) == ("127.0.0.1", 8000, "/chat")


@pytest.mark.parametrize("path", ["@evil.com/x", "//evil.com/x", "/\\evil.com", ":80/x", "http://evil.com/", "\t//e"])
def test_url_from_scope_path_is_only_a_path(path: str) -> None:
    """A path that looks like a host changes neither host nor path, and so does its text."""
    url = URL.build_from_scope(http_scope(path=path))
    assert (url.hostname, url.path) == ("example.com", path)
    assert urlsplit(url).hostname == "example.com"
    bare = URL.build_from_scope({"type": "http", "path": path})
    assert (bare.scheme, bare.netloc, bare.hostname, bare.path) == ("", "", None, path)
    assert (urlsplit(bare).scheme, urlsplit(bare).netloc, unquote(urlsplit(bare).path)) == ("", "", path)


@given(host=host_names, port=st.none() | st.integers(0, 65535), path=st.text(), query=st.binary())
@example(host="example.com", port=None, path="@evil.com/x", query=b"#")
def test_url_from_scope_text_says_the_same_as_its_components(
    host: str, port: int | None, path: str, query: bytes
) -> None:
    """For any path and query: the components are those of the scope, and whoever parses the text finds them again."""
    netloc = host if port is None else f"{host}:{port}"
    scope = http_scope(headers=[(b"host", netloc.encode())], path=path, query_string=query)
    url = URL.build_from_scope(scope)
    assert (url.scheme, url.netloc, url.hostname, url.port, url.path) == ("http", netloc, host, port, path)
    parsed = urlsplit(str(url))
    assert parsed == url.parsed_url
    assert (parsed.hostname, parsed.port, parsed.fragment) == (host, port, "")
    assert unquote(parsed.path) == (path if path.startswith("/") or not path else f"/{path}")
    assert url.replace(scheme="https").path == path
    assert url.replace(path=url.path) == url
    assert url.relative_url().hostname is None


def test_url_from_scope_replaces_its_path_by_a_decoded_one() -> None:
    """`replace` takes a path as `path` gives it, so that one can be made from the other."""
    url = URL.build_from_scope(http_scope(path="/100%/a?b")).replace(scheme="https")
    assert url.replace(path=url.path + "/").parsed_url.path == "/100%25/a%3Fb/"
    assert url.replace(path="/%20").path == "/%20"


@given(host=latin1_text, path=st.text())
def test_url_from_scope_host_header_cannot_move_borders(host: str, path: str) -> None:
    """For any Host header: it is the netloc as a whole, or not used."""
    url = URL.build_from_scope(http_scope(headers=[(b"host", host.encode("latin-1"))], path=path))
    assert url.netloc in (host, "127.0.0.1:8000")
    assert url.path == path
    assert urlsplit(str(url)).netloc == url.netloc


@given(path=st.text())
def test_url_from_scope_without_host_is_a_path_only(path: str) -> None:
    """For any path: without a host the text has neither scheme nor host."""
    url = URL.build_from_scope({"type": "http", "path": path})
    assert url.path == path
    parsed = urlsplit(str(url))
    assert (parsed.scheme, parsed.netloc, parsed.query, parsed.fragment) == ("", "", "", "")


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_url_query_params_round_trip(params: dict[str, str]) -> None:
    """Parameters come back from the query as they were put in."""
    url = URL("http://example.com/").replace(query=str(QueryParam(params)))
    assert dict(parse_qsl(url.query, keep_blank_values=True)) == params


# -- URLPath -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "base", "result"),
    [
        ("http", "http://example.com/", "http://example.com/x"),
        ("http", "ws://example.com/", "http://example.com/x"),
        ("http", "wss://example.com/", "https://example.com/x"),
        ("websocket", "http://example.com/", "ws://example.com/x"),
        ("websocket", "https://example.com/", "wss://example.com/x"),
        ("websocket", "wss://example.com:81/app/?a=1", "wss://example.com:81/app/x"),
        ("", "https://example.com/app", "https://example.com/app/x"),
        ("websocket", "/app/", "/app/x"),
    ],
)
def test_url_path_becomes_absolute_with_the_scheme_of_its_protocol(protocol: Any, base: str, result: str) -> None:
    """http goes with ws, https with wss; the base's path comes first, its query goes."""
    path = URLPath("/x", protocol)
    assert (path, path.protocol, path.host) == ("/x", protocol, "")
    for base_url in (base, URL(base)):
        url = path.make_absolute_url(base_url)
        assert type(url) is URL
        assert url == result


def test_url_path_brings_its_own_host() -> None:
    """A path of a host route is on that host."""
    path = URLPath("/x", protocol="http", host="api.example.com:81")
    assert path.make_absolute_url("wss://u:p@example.com/") == "https://api.example.com:81/x"
    with pytest.raises(ValueError, match=r"evil\.example/"):
        URLPath("/x", host="evil.example/").make_absolute_url("http://example.com/")


def test_url_path_is_decoded_text() -> None:
    """Like the path of a scope: what it holds stays in the path of the URL, below a base that is quoted or not."""
    url = URLPath("/a?b/100%/é").make_absolute_url(URL.build_from_scope(http_scope(path="/#/")))
    assert (url.path, url) == ("/#/a?b/100%/é", "http://example.com/%23/a%3Fb/100%25/é")


def test_url_path_refuses_an_unknown_protocol() -> None:
    """A protocol is "http", "websocket" or nothing."""
    with pytest.raises(ValueError, match="'ws' is unknown"):
        URLPath("/x", "ws")  # type: ignore[arg-type]  # the mistake under test


# -- Header ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        [("X-A", "1"), ("x-a", "2"), ("B", "3")],
        [(b"X-A", b"1"), (b"x-a", b"2"), (b"B", b"3")],
        {"X-A": ["1", "2"], "B": 3},
        {b"X-A": (b"1", b"2"), b"B": b"3"},
        Header([("X-A", "1"), ("x-a", "2"), ("B", "3")]),
        MultiDict([("X-A", "1"), ("X-A", "2"), ("B", "3")]),
    ],
)
def test_header_is_made_of_pairs_or_mappings(source: Any) -> None:
    """Text or bytes, several values as a list or as several pairs: all give the same headers."""
    headers = Header(source)
    assert headers.encoded_multi_items() == [(b"x-a", b"1"), (b"x-a", b"2"), (b"b", b"3")]
    assert headers.get_encoded_multi_items() == headers.encoded_multi_items()
    assert headers["x-A"] == "1"
    assert headers.getall("X-a") == headers.getlist("X-a") == headers.get_all("X-a") == ["1", "2"]
    assert len(headers) == 3


def test_header_missing_value() -> None:
    """Every way to read has its own answer for a header that is not there."""
    headers = Header()
    assert headers.get("a") is None
    assert headers.getlist("a") == []
    assert headers.get_all("a") == []
    with pytest.raises(KeyError):
        headers["a"]
    with pytest.raises(KeyError):
        headers.getall("a")
    with pytest.raises(AttributeError, match="no header 'x-a'"):
        _ = headers.x_a


def test_header_iterates_as_byte_pairs_and_is_a_mapping_all_the_same() -> None:
    """Iteration gives what ASGI wants; `dict()` and unpacking, which ask `keys()`, give text."""
    headers: Any = Header({"X-A": "1", "b": "é"})
    assert list(headers) == [(b"x-a", b"1"), (b"b", b"\xe9")]
    assert list(headers.keys()) == ["X-A", "b"]
    assert list(headers.items()) == [("X-A", "1"), ("b", "é")]
    assert dict(headers) == {**headers} == {"X-A": "1", "b": "é"}
    assert Header(headers) == headers
    assert Header(list(headers)) == headers


def test_header_contains_names_and_pairs() -> None:
    """`in` takes a name as text or bytes, or a pair of name and value."""
    headers: Any = Header([("X-A", "1"), ("X-A", "2")])
    assert "x-a" in headers
    assert b"x-A" in headers
    assert (b"x-a", b"2") in headers
    assert ("X-a", "1") in headers
    assert "b" not in headers
    assert b"b" not in headers
    assert ("x-a", "3") not in headers
    assert ("b", "1") not in headers
    assert ("x-a",) not in headers
    assert 1 not in headers


def test_header_reads_as_attributes() -> None:
    """Underscores stand for hyphens; several values are joined."""
    headers = Header([("X-A", "1"), ("x-a", "2"), ("Host", "h")])
    assert headers.x_a == "1,2"
    assert headers.host == "h"
    assert not hasattr(headers, "__html__")


def test_header_can_be_changed_and_copied() -> None:
    """A change of a copy does not reach the original."""
    headers: Any = Header({"a": "1"})
    twin = headers.copy()
    twin["A"] = "2"
    twin.add("b", "3")
    assert (type(twin), list(twin)) == (Header, [(b"a", b"2"), (b"b", b"3")])
    assert list(headers) == list(copy.deepcopy(headers)) == [(b"a", b"1")]


def test_header_outside_latin1_cannot_be_encoded() -> None:
    """A character beyond latin-1 is a ValueError when the header is encoded."""
    with pytest.raises(ValueError, match="latin-1"):
        Header({"a": "€"}).encoded_multi_items()


def test_header_from_scope_leaves_the_scope_alone() -> None:
    """The scope's own list stays as it is, whatever happens to the headers; a missing one means none."""
    raw = [(b"a", b"1"), [b"b", b"caf\xe9"]]
    scope = {"headers": raw}
    headers = Header.from_scope(scope)
    assert headers["B"] == "café"
    headers["c"] = "3"
    assert scope["headers"] is raw
    assert raw == [(b"a", b"1"), [b"b", b"caf\xe9"]]
    assert list(Header.from_scope({})) == []


@given(st.lists(st.tuples(header_names, latin1_text)))
def test_header_round_trips_through_asgi(pairs: list[tuple[str, str]]) -> None:
    """What is encoded comes back from a scope, in order, each header once, and encodes to the same bytes."""
    encoded = Header(pairs).encoded_multi_items()
    assert encoded == [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    again: Any = Header.from_scope({"headers": encoded})
    assert list(again.items()) == [(name.lower(), value) for name, value in pairs]
    assert again.encoded_multi_items() == encoded
    assert all(pair in again for pair in encoded)


# -- multidicts --------------------------------------------------------------------------------------------------------


def test_immutable_multi_dict_cannot_be_changed() -> None:
    """It reads like a multidict, has nothing to change it with, and copies into one that can be changed."""
    values: ImmutableMultiDict[int] = ImmutableMultiDict({"a": [1, 2], "b": 3})
    assert (values["a"], values.getall("a"), dict(values)) == (1, [1, 2], {"a": 1, "b": 3})
    assert not hasattr(values, "__setitem__")
    assert not hasattr(values, "add")
    changed = values.copy()
    changed["a"] = 4
    assert changed == MultiDict([("a", 4), ("b", 3)])
    assert values["a"] == 1
    assert dict(ImmutableMultiDict[int]()) == {}


@pytest.mark.parametrize(
    "source",
    ["a=1&b=&a=x+%C3%A9", b"a=1&b=&a=x+\xc3\xa9", [("a", 1), ("b", ""), ("a", "x é")], {"a": [1, "x é"], "b": ""}],
)
def test_query_param_is_made_of_text_bytes_pairs_or_mappings(source: Any) -> None:
    """Blank values are kept, values of a name are in order, and the text is sorted by name."""
    params = QueryParam(source)
    assert (params["a"], params.getall("a"), params["b"]) == ("1", ["1", "x é"], "")
    assert sorted(params.items()) == [("a", "1"), ("a", "x é"), ("b", "")]
    assert dict(params) == {"a": "1", "b": ""}
    assert str(params) == "a=1&a=x+%C3%A9&b="
    assert repr(params) == "QueryParam('a=1&a=x+%C3%A9&b=')"


def test_query_param_may_be_empty() -> None:
    """No query string, no parameters."""
    sources: list[Any] = [None, "", b"", [], {}]
    assert [str(QueryParam(source)) for source in sources] == [""] * 5


@given(st.lists(st.tuples(st.text(), st.text())))
def test_query_param_round_trips_through_its_text(pairs: list[tuple[str, str]]) -> None:
    """The text gives the same values for each name, and the same text again."""
    params = QueryParam(pairs)
    again = QueryParam(str(params))
    assert sorted(again.items(), key=lambda pair: pair[0]) == sorted(pairs, key=lambda pair: pair[0])
    assert str(again) == str(params)


@given(st.binary())
def test_query_param_takes_any_bytes(query: bytes) -> None:
    """No query string raises."""
    assert isinstance(str(QueryParam(query)), str)


# -- State -------------------------------------------------------------------------------------------------------------


def test_state_reads_and_writes_attributes_and_items() -> None:
    """Both ways lead to the same values, which are those of the mapping it was made over."""
    values: dict[str, Any] = {"a": 1}
    state = State(values)
    state.b = 2
    state["c"] = 3
    assert (state.a, state["b"], state.c) == (1, 2, 3)
    assert values == {"a": 1, "b": 2, "c": 3}
    assert (len(state), list(state), dict(state)) == (3, ["a", "b", "c"], values)
    del state.a
    del state["b"]
    assert values == {"c": 3}
    assert "c" in state
    assert "a" not in state
    assert repr(state) == "State({'c': 3})"


def test_state_missing_values_are_named() -> None:
    """A missing attribute is an AttributeError that says what there is, a missing item a KeyError."""
    state = State({"a": 1, "b": 2})
    with pytest.raises(AttributeError, match=r"State has no value 'c'\. It has: a, b\."):
        _ = state.c
    with pytest.raises(AttributeError, match=r"It has: none\."):
        _ = State()._private
    with pytest.raises(AttributeError, match="no value 'c' to delete"):
        del state.c
    with pytest.raises(KeyError):
        state["c"]


def test_state_has_the_methods_of_its_mapping_unless_a_value_has_the_name() -> None:
    """A stored value called `items` is what `state.items` reads."""
    state = State({"a": 1})
    assert state.get("b", 2) == 2
    assert list(state.items()) == [("a", 1)]
    state.items = ["x"]
    assert state.items == ["x"]


def test_state_is_equal_by_value_and_shared_by_reference() -> None:
    """States and mappings with the same values are equal; a state of a state is over the same mapping."""
    state = State({"a": 1})
    assert state == {"a": 1}
    assert state == State({"a": 1})
    assert state != State()
    view = State(state)
    view.b = 2
    assert state.b == 2
    assert State()
    with pytest.raises(TypeError, match="unhashable"):
        hash(state)


def test_state_copies_have_values_of_their_own() -> None:
    """A change of a copy does not reach the original."""
    state = State({"a": [1]})
    for twin in (state.copy(), copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert type(twin) is State
        assert twin == state
        twin.b = 2
        assert "b" not in state


# -- Secret, Address ---------------------------------------------------------------------------------------------------


def test_secret_shows_only_when_asked() -> None:
    """`str` gives the text, `repr` does not."""
    secret = Secret("hunter2")
    assert (str(secret), repr(secret), bool(secret), bool(Secret(""))) == ("hunter2", "Secret('********')", True, False)


def test_address_is_a_pair_with_names() -> None:
    """Host and port, by name or in order."""
    address = Address("127.0.0.1", 80)
    assert (address.host, address.port) == address == ("127.0.0.1", 80)
    assert repr(address) == "Address(host='127.0.0.1', port=80)"


# -- Cookie ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "header"),
    [
        (Cookie("a"), "a=; Path=/; SameSite=lax"),
        (
            Cookie("a", "1", path="/x", domain="example.com", secure=True, httponly=True, samesite="none", max_age=0),
            "a=1; Domain=example.com; Max-Age=0; Path=/x; SameSite=none; HttpOnly; Secure",
        ),
        (Cookie("a", "1", path=None, samesite=None, expires="tomorrow"), "a=1; Expires=tomorrow"),
        (
            Cookie("a", "1", path=None, samesite=None, expires=datetime(2024, 2, 29, 1, 2, 3)),  # noqa: DTZ001 - no zone: UTC
            "a=1; Expires=Thu, 29 Feb 2024 01:02:03 GMT",
        ),
        (
            Cookie(
                "a", "1", path=None, samesite=None, expires=datetime(2023, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
            ),
            "a=1; Expires=Sat, 31 Dec 2022 23:00:00 GMT",
        ),
        (
            Cookie("a", "1", path=None, samesite=None, expires=datetime(987, 1, 5, tzinfo=UTC)),
            "a=1; Expires=Fri, 05 Jan 0987 00:00:00 GMT",
        ),
        (Cookie("a", 'x y;"é\\', path=None, samesite=None), 'a="x y\\073\\042\\351\\134"'),
    ],
)
def test_cookie_becomes_a_set_cookie_header(cookie: Cookie, header: str) -> None:
    """Only what was given is said, dates are HTTP dates, and values are quoted only where they must be."""
    assert cookie.to_header() == header


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": ""}, "Cookie name ''"),
        ({"key": "a b"}, "Cookie name 'a b'"),
        ({"key": "a=b"}, "Cookie name 'a=b'"),
        ({"key": "é"}, "Cookie name 'é'"),
        ({"key": "a", "value": "€"}, "cookie 'a' is not latin-1"),
        ({"key": "a", "path": "/;x"}, "path '/;x' of cookie 'a'"),
        ({"key": "a", "domain": "x\r\ny"}, "domain"),
        ({"key": "a", "expires": ";"}, "expires"),
    ],
)
def test_cookie_refuses_what_cannot_be_sent(arguments: Any, message: str) -> None:
    """A name, value or attribute that would break the header is an error that names it."""
    with pytest.raises(ValueError, match=message):
        Cookie(**arguments)


@given(latin1_text)
def test_cookie_value_round_trips(value: str) -> None:
    """What is set is what is read from the cookie that comes back."""
    assert parse_cookies(Cookie("a", value, path=None, samesite=None).to_header()) == {"a": value}


def test_cookie_does_not_show_its_value() -> None:
    """Cookies are often credentials: the representation has the name only."""
    assert repr(Cookie("sid", "s3cret")) == "Cookie('sid')"


# -- forms -------------------------------------------------------------------------------------------------------------


async def test_data_upload_reads_its_file() -> None:
    """Content, name and media type of an upload."""
    upload = DataUpload(io.BytesIO(b"abc"), filename="a.txt", headers=Header({"Content-Type": "text/plain"}), size=3)
    assert (upload.filename, upload.size, upload.content_type) == ("a.txt", 3, "text/plain")
    assert (await upload.read(1), await upload.read()) == (b"a", b"bc")
    await upload.seek(1)
    assert await upload.read() == b"bc"
    assert repr(upload) == "DataUpload('a.txt')"
    assert DataUpload(io.BytesIO()).content_type is None


async def test_form_data_closes_its_uploads() -> None:
    """Closing a form releases all files in it."""
    upload = DataUpload(io.BytesIO())
    form = FormData([("a", "1"), ("a", "2"), ("file", upload)])
    assert (form.getall("a"), form["file"]) == (["1", "2"], upload)
    await form.close()
    assert upload.file.closed
