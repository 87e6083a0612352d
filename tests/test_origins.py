"""Which web pages may open a WebSocket: attacks, oracles written differently, and mistakes in the setting."""

import ast
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lilya import _origins
from lilya._origins import Origins
from lilya.exceptions import ImproperlyConfigured

SAME = Origins()
LISTED = Origins(["https://app.example.com", "http://localhost:3000", "https://*.example.org", "http://*.local:8080"])


def handshake(origin: str | bytes | None, host: str | bytes | None = "example.com") -> list[tuple[bytes, bytes]]:
    """The headers of a handshake, as a server hands them over."""
    headers = [(b"upgrade", b"websocket"), (b"accept", b"*/*"), (b"cookie", b"session=s3cr3t")]
    for name, value in ((b"host", host), (b"origin", origin)):
        if value is not None:
            headers.append((name, value.encode("latin-1") if isinstance(value, str) else value))
    return headers


def allows(origins: Origins, origin: str | bytes | None, host: str | None = "example.com", scheme: str = "wss") -> bool:
    """Whether this page may open a WebSocket."""
    return origins.refusal(handshake(origin, host), scheme) is None


# --- Pages of the same host ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://example.com", "example.com", "wss"),
        ("http://example.com", "example.com", "ws"),
        ("https://example.com", "example.com", "ws"),  # TLS ends at a proxy
        ("HTTPS://Example.COM", "eXample.com", "wss"),
        ("https://example.com:443", "example.com", "wss"),
        ("https://example.com", "example.com:443", "wss"),
        ("http://example.com:80", "example.com", "ws"),
        ("http://example.com", "example.com:80", "ws"),
        ("https://example.com", "example.com:80", "ws"),  # the proxy names its own port
        ("https://example.com", "example.com:443", "ws"),  # the proxy names the port of the browser
        ("https://example.com:8443", "example.com:8443", "ws"),
        ("http://localhost:8000", "localhost:8000", "ws"),
        ("http://example.com:0", "example.com:0", "ws"),
        ("http://example.com:65535", "example.com:65535", "ws"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80", "ws"),
        ("https://[2001:DB8::1]", "[2001:db8::1]", "wss"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", "wss"),
        ("https://my_host.example~1", "my_host.example~1", "wss"),
        ("https://example.com.", "example.com.", "wss"),
    ],
)
def test_same_allows_pages_of_the_host(origin: str, host: str, scheme: str) -> None:
    """Letters have no case, default ports do not count, IPv6 addresses have many spellings."""
    assert SAME.refusal(handshake(origin, host), scheme) is None


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        # another site whose name looks like ours
        ("https://evil.example", "example.com", "wss"),
        ("https://example.com.evil.example", "example.com", "wss"),
        ("https://evilexample.com", "example.com", "wss"),
        ("https://example.com-evil.example", "example.com", "wss"),
        ("https://example.co", "example.com", "wss"),
        ("https://xample.com", "example.com", "wss"),
        ("https://examplexcom", "example.com", "wss"),
        ("https://sub.example.com", "example.com", "wss"),
        ("https://example.com", "sub.example.com", "wss"),
        ("https://.example.com", "example.com", "wss"),
        ("https://example.com.", "example.com", "wss"),
        ("https://example.com", "example.com.", "wss"),
        ("https://xn--exmple-cua.com", "example.com", "wss"),
        # another port
        ("https://example.com:8443", "example.com", "wss"),
        ("https://example.com", "example.com:8443", "wss"),
        ("https://example.com:80", "example.com", "wss"),
        ("https://example.com:80", "example.com", "ws"),
        ("https://example.com", "example.com:80", "wss"),
        ("http://example.com:443", "example.com", "ws"),
        ("http://example.com", "example.com:443", "ws"),
        ("http://example.com:8000", "example.com:8001", "ws"),
        # a page that came unencrypted, or no web page
        ("http://example.com", "example.com", "wss"),
        ("http://example.com:443", "example.com:443", "wss"),
        ("http://example.com", "example.com", "https"),
        ("ws://example.com", "example.com", "ws"),
        ("wss://example.com", "example.com", "wss"),
        ("ftp://example.com", "example.com", "ws"),
        ("chrome-extension://example.com", "example.com", "wss"),
        ("file://", "example.com", "ws"),
        ("file://", "", "ws"),
        ("null", "example.com", "ws"),
        ("NULL", "null", "ws"),
        # not an origin
        ("", "", "ws"),
        ("", "example.com", "ws"),
        ("*", "example.com", "ws"),
        ("example.com", "example.com", "ws"),
        ("//example.com", "example.com", "ws"),
        ("://example.com", "example.com", "ws"),
        ("https:example.com", "example.com", "wss"),
        ("https:/example.com", "example.com", "wss"),
        ("https:///example.com", "example.com", "wss"),
        ("https:\\\\example.com", "example.com", "wss"),
        ("https://", "", "wss"),
        ("https://example.com/", "example.com", "wss"),
        ("https://example.com/", "example.com/", "wss"),
        ("https://example.com/chat", "example.com", "wss"),
        ("https://example.com?", "example.com", "wss"),
        ("https://example.com#", "example.com", "wss"),
        ("https://evil.example#example.com", "example.com", "wss"),
        ("https://evil.example/example.com", "example.com", "wss"),
        ("https://evil.example\\.example.com", "example.com", "wss"),
        ("https://example.com@evil.example", "example.com", "wss"),
        ("https://evil@example.com", "example.com", "wss"),
        ("https://evil@example.com", "evil@example.com", "wss"),
        ("https://example.com:443@evil.example", "example.com", "wss"),
        ("https://example.com https://evil.example", "example.com", "wss"),
        ("https://example.com, https://evil.example", "example.com", "wss"),
        (" https://example.com", "example.com", "wss"),
        ("https://example.com\n", "example.com", "wss"),
        ("https://example.com\x00", "example.com", "wss"),
        ("https://example.com\x00.evil.example", "example.com", "wss"),
        ("https://ex%61mple.com", "example.com", "wss"),
        ("https://*.com", "*.com", "wss"),
        ("https://b\xfccher.example", "b\xfccher.example", "wss"),
        # no port
        ("https://example.com:", "example.com", "wss"),
        ("https://example.com:0443", "example.com", "wss"),
        ("https://example.com:00443", "example.com:00443", "wss"),
        ("https://example.com:65979", "example.com", "wss"),  # 443 modulo 65536
        ("https://example.com:65536", "example.com:65536", "wss"),
        ("https://example.com:4294967739", "example.com", "wss"),
        ("https://example.com:-1", "example.com:-1", "wss"),
        ("https://example.com:+443", "example.com", "wss"),
        ("https://example.com:4_43", "example.com:4_43", "wss"),
        ("https://example.com:\xb2", "example.com:\xb2", "wss"),  # a digit to str.isdigit
        ("https://example.com:443:443", "example.com", "wss"),
        # no IPv6 address
        ("http://::1", "::1", "ws"),
        ("http://[::1", "[::1", "ws"),
        ("http://[]", "[]", "ws"),
        ("http://[::1%25lo]", "[::1%25lo]", "ws"),
        ("http://[::g]", "[::g]", "ws"),
        ("http://[1:2:3]", "[1:2:3]", "ws"),
        ("http://[127.0.0.1]", "[127.0.0.1]", "ws"),
        ("http://[::1]evil.example", "[::1]", "ws"),
        ("http://[::1]", "[::2]", "ws"),
        # no Host that could be compared
        ("https://example.com", None, "wss"),
        ("https://example.com", "", "wss"),
        ("https://example.com", "example.com/", "wss"),
        ("https://example.com", "evil@example.com", "wss"),
        ("https://example.com", "example.com:", "wss"),
        ("https://example.com", "example.com:0443", "wss"),
        ("https://example.com", "https://example.com", "wss"),
        ("https://example.com", "example.com, evil.example", "wss"),
    ],
)
def test_same_refuses_everything_else(origin: str, host: str | None, scheme: str) -> None:
    """Each is refused, the second time as well, in one line that a log can take and that shows the header."""
    first = SAME.refusal(handshake(origin, host), scheme)
    assert first is not None
    assert first.isascii()
    assert first.isprintable()
    assert ascii(origin) in first
    assert SAME.refusal(handshake(origin, host), scheme) == first


@pytest.mark.parametrize("origins", [SAME, LISTED, Origins("*"), Origins([])])
def test_absent_origin_is_allowed(origins: Origins) -> None:
    """Who sends no `Origin` is no browser, and needs no host."""
    assert origins.refusal(handshake(None), "ws") is None
    assert origins.refusal(handshake(None, None), "wss") is None
    assert origins.refusal([], "ws") is None
    assert origins.refusal([(b"xorigin", b"null"), (b"origi", b"null"), (b"cookie", b"origin")], "ws") is None


@pytest.mark.parametrize("name", [b"origin", b"Origin", b"ORIGIN"])
def test_origin_header_is_found_in_any_case(name: bytes) -> None:
    """A server that keeps the case of header names does not switch the check off."""
    assert SAME.refusal([(name, b"https://evil.example"), (b"Host", b"example.com")], "wss") is not None
    assert SAME.refusal([(name, b"https://example.com"), (b"Host", b"example.com")], "wss") is None


@pytest.mark.parametrize("origins", [SAME, Origins(["https://example.com"])])
@pytest.mark.parametrize("second", ["https://example.com", "https://evil.example"])
def test_second_origin_header_is_refused(origins: Origins, second: str) -> None:
    """No browser sends two, and another reader of the headers may believe the other one."""
    headers = [*handshake("https://example.com"), (b"origin", second.encode())]
    assert origins.refusal(headers, "wss") == "there is more than one Origin header; only origins='*' allows it"


def test_host_headers_may_repeat_but_not_differ() -> None:
    """A server that adds HTTP/2's `:authority` to an equal `Host` is no attack; with two hosts none is the own one."""
    headers = handshake("https://example.com")
    assert SAME.refusal([*headers, (b"host", b"example.com")], "wss") is None
    assert SAME.refusal([*headers, (b"host", b"evil.example")], "wss") == (
        "origin 'https://example.com' came with Host headers that differ to compare it with; "
        "allow it with origins=['https://example.com']"
    )


# --- Lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "HTTPS://APP.example.com:443",
        "http://localhost:3000",
        "https://a.example.org",
        "https://a.b.example.org",
        "https://A.Example.Org:443",
        "http://printer.local:8080",
    ],
)
@pytest.mark.parametrize("host", ["example.com", "127.0.0.1:8000", "", None])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_list_allows_what_it_names(origin: str, host: str | None, scheme: str) -> None:
    """Whatever the host is, over `ws` and `wss`: an `http` origin that is named is wanted."""
    assert allows(LISTED, origin, host, scheme)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",  # the own one
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "https://x.app.example.com",
        "https://app.example.com.",
        "https://localhost:3000",
        "http://localhost",
        "https://example.org",
        "https://.example.org",
        "https://evilexample.org",
        "https://-example.org",
        "https://a.example.org.",
        "https://a.example.org:8443",
        "https://a.example.org.evil.example",
        "https://evil.example/.example.org",
        "https://evil.example?.example.org",
        "https://evil.example#.example.org",
        "https://evil.example\\.example.org",
        "https://evil.example:1.example.org",
        "https://u@a.example.org",
        "https://*.example.org",
        "http://a.example.org",
        "http://local:8080",
        "http://printer.local",
        "http://printer.local:18080",
        "https://printer.local:8080",
        "null",
        "",
    ],
)
def test_list_refuses_what_it_does_not_name(origin: str) -> None:
    """Not the own origin, no look-alike, and no name for its subdomains or the other way round."""
    assert not allows(LISTED, origin)
    assert not allows(LISTED, origin)


def test_list_may_name_other_schemes() -> None:
    """Extensions and applications that show pages have origins of their own."""
    named = ["chrome-extension://abcdefghijklmnop", "capacitor://localhost", "app://.", "file://", "http://[0::1]:8000"]
    origins = Origins(iter(named))
    assert [allows(origins, name) for name in named] == [True] * 5
    assert allows(origins, "http://[::1]:8000")
    others = ["chrome-extension://abcdefghijklmno", "capacitor://", "file://localhost", "http://[::1]", "https://file"]
    assert [allows(origins, name) for name in others] == [False] * 5


def test_empty_list_allows_no_page() -> None:
    """For a service that has no web page: programs connect, browsers do not."""
    assert not allows(Origins([]), "https://example.com")
    assert allows(Origins([]), None)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "\xff\n"])
def test_star_allows_everything(origin: str) -> None:
    """Also what is no origin, and two of them."""
    headers = [*handshake(origin, None), *handshake(origin, None)]
    assert Origins("*").refusal(headers, "wss") is None


# --- Oracles ---------------------------------------------------------------------------------------------------------

DEFAULTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

schemes = st.sampled_from(["http", "https", "HTTPS", "ws", "app"])
hosts = st.sampled_from(
    [
        "example.com",
        "Example.com",
        "example.com.",
        "a.example.com",
        "b.a.example.com",
        "xexample.com",
        "[::1]",
        "[0::1]",
    ]
)
ports = st.sampled_from(["", ":80", ":443", ":8000", ":0"])


def naive_host(text: str | None) -> str:
    """A host as the standard library understands it."""
    assert text is not None
    return str(ip_address(text)) if ":" in text else text


def naive_same(origin: str, host: str, scheme: str) -> bool:
    """The rule of "same", on numbers instead of text: a default port of the host is also the page's default port."""
    page, own = urlsplit(origin), urlsplit(f"//{host}")
    if page.scheme not in ("http", "https") or (page.scheme, scheme) == ("http", "wss"):
        return False
    default = DEFAULTS[page.scheme]
    page_port = default if page.port is None else page.port
    own_ports = {default if own.port is None else own.port}
    if own.port == DEFAULTS[scheme]:
        own_ports.add(default)
    return naive_host(page.hostname) == naive_host(own.hostname) and page_port in own_ports


@given(schemes, hosts, ports, hosts, ports, st.sampled_from(["ws", "wss"]))
def test_same_is_what_urllib_says(scheme: str, page: str, port: str, own: str, own_port: str, socket: str) -> None:
    """For every origin and host that is one, the decision is that of the oracle."""
    origin, host = f"{scheme}://{page}{port}", own + own_port
    assert allows(Origins(), origin, host, socket) == naive_same(origin, host, socket)


def naive_listed(origin: str, listed: Iterable[str]) -> bool:
    """The rule of a list, label by label."""
    page = urlsplit(origin)
    for item in listed:
        one = urlsplit(item)
        if page.scheme != one.scheme:
            continue
        default = DEFAULTS.get(page.scheme)
        if (default if page.port is None else page.port) != (default if one.port is None else one.port):
            continue
        labels, wanted = naive_host(page.hostname).split("."), naive_host(one.hostname).split(".")
        if labels == wanted or (wanted[0] == "*" and labels[1 - len(wanted) :] == wanted[1:] and "" not in labels[:1]):
            if len(labels) >= len(wanted):
                return True
    return False


@given(
    schemes,
    hosts,
    ports,
    st.lists(
        st.builds(
            "{}://{}{}".format,
            schemes,
            hosts | st.sampled_from(["*.example.com", "*.a.example.com", "*.com", "*.example.com."]),
            ports,
        )
    ),
)
def test_list_is_what_a_comparison_of_labels_says(scheme: str, page: str, port: str, listed: list[str]) -> None:
    """For every origin and list, the decision is that of the oracle."""
    origin = f"{scheme}://{page}{port}"
    assert allows(Origins(listed), origin) == naive_listed(origin, listed)


PIECES = (
    "https http ws :// / // : :80 :443 @ . * - _ # ? % \\ [ ] [::1] example com example.com evil.example null".split()
)
headers_of_any_kind = st.lists(
    st.sampled_from([*PIECES, " ", "\t", "\r\n", "\x00", "\x85", "\xa0", "\xb2", "'", '"', "0", "1"])
    | st.text(max_size=2)
).map(lambda pieces: "".join(pieces).encode("utf-8")) | st.binary(max_size=20)


@given(headers_of_any_kind, headers_of_any_kind, st.sampled_from(["ws", "wss"]))
@example(b"https://example.com", b"example.com", "wss")
def test_same_allows_only_what_every_reader_understands_alike(origin: bytes, host: bytes, scheme: str) -> None:
    """Whatever the bytes: no exception, one line for the log, and what is allowed is a plain origin of that host."""
    refusal = Origins().refusal(handshake(origin, host), scheme)
    if refusal is None:
        page, own = urlsplit(origin.decode("ascii")), urlsplit(f"//{host.decode('ascii')}")
        assert (page.username, page.path, page.query, page.fragment) == (None, "", "", "")
        assert page.hostname
        assert naive_host(page.hostname) == naive_host(own.hostname)
        assert (page.scheme, scheme) in {("http", "ws"), ("https", "ws"), ("https", "wss")}
    else:
        assert refusal.isascii()
        assert refusal.isprintable()
        assert len(refusal) < 1500


@given(headers_of_any_kind | st.builds("{}://{}{}".format, schemes, hosts, ports).map(str.encode), st.booleans())
def test_remedy_in_the_log_is_one(origin: bytes, listed: bool) -> None:
    """The setting that a refusal names allows what was refused."""
    refusal = Origins(["https://app.example.com"] if listed else "same").refusal(handshake(origin, "a.example"), "wss")
    assume(refusal is not None)
    assert refusal is not None
    if refusal.endswith("; only origins='*' allows it"):
        remedy: str | list[str] = "*"
    else:
        found = re.search(r"; allow it with origins=(\[.*\])$", refusal)
        assert found is not None
        remedy = [item for item in ast.literal_eval(found[1]) if item is not ...]
    assert allows(Origins(remedy), origin, "a.example")


@given(st.lists(st.tuples(st.builds("{}://{}{}".format, schemes, hosts, ports), hosts, st.sampled_from(["ws", "wss"]))))
def test_decisions_do_not_depend_on_those_before(handshakes: list[tuple[str, str, str]]) -> None:
    """What is remembered changes no answer."""
    once = Origins()
    for origin, host, scheme in handshakes * 2:
        headers = handshake(origin, host)
        assert once.refusal(headers, scheme) == Origins().refusal(headers, scheme)


# --- What it says, and what it costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origins", "origin", "host", "told"),
    [
        (
            SAME,
            "https://evil.example",
            "example.com",
            (
                "origin 'https://evil.example' is not the host 'example.com'; "
                "allow it with origins=['https://evil.example']"
            ),
        ),
        (
            SAME,
            "HTTP://Example.com:80",
            "example.com",
            (
                "origin 'HTTP://Example.com:80' is not encrypted, but the connection is; "
                "allow it with origins=['http://example.com']"
            ),
        ),
        (
            SAME,
            "app://example.com",
            "example.com",
            "origin 'app://example.com' is neither http nor https; allow it with origins=['app://example.com']",
        ),
        (
            SAME,
            "https://example.com",
            None,
            (
                "origin 'https://example.com' came with no Host header to compare it with; "
                "allow it with origins=['https://example.com']"
            ),
        ),
        (SAME, "null", "example.com", "origin 'null' is opaque; only origins='*' allows it"),
        (
            LISTED,
            "https://evil.example",
            "example.com",
            (
                "origin 'https://evil.example' is not in the list of origins; "
                "allow it with origins=[..., 'https://evil.example']"
            ),
        ),
        (
            LISTED,
            "a\r\nINFO: b\xe9\x1b[2J",
            "example.com",
            r"origin 'a\r\nINFO: b\xe9\x1b[2J' is not of the form scheme://host[:port]; only origins='*' allows it",
        ),
    ],
)
def test_refusal_says_why_and_what_would_allow_it(origins: Origins, origin: str, host: str | None, told: str) -> None:
    """Cause and remedy, in one line."""
    assert origins.refusal(handshake(origin, host), "wss") == told


@pytest.mark.parametrize("piece", ["a", "a.", "[", ":", "[:", "1", "://", "https://", "*.", "\x00", "\xff"])
def test_long_headers_are_refused_and_cut(piece: str) -> None:
    """64 KiB cost no more than what a log line holds."""
    long = (piece * 65536)[:65536]
    for origin, host in ((long, "example.com"), (f"https://{long}", long), ("https://example.com", long)):
        for origins in (SAME, LISTED):
            refusal = origins.refusal(handshake(origin, host), "wss")
            assert refusal is not None
            assert len(refusal) < 1500


def test_longest_host_name_is_no_longer_than_allowed() -> None:
    """253 characters are a host name, with any scheme and port; the log has all of it where it names the remedy."""
    longest = f"chrome-extension://{'a.' * 126}a:65535"
    assert allows(Origins([longest]), longest)
    refusal = SAME.refusal(handshake(longest), "wss")
    assert refusal is not None
    assert f"{longest[:100]}...'" in refusal
    assert refusal.endswith(f"allow it with origins=[{longest!r}]")


def test_repeated_handshake_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second handshake of a page is a look-up, for "same" and for a list."""
    same, listed = Origins(), Origins(["https://*.example.com"])
    for _ in range(2):
        assert allows(same, "https://example.com")
        assert allows(listed, "https://a.example.com")
        monkeypatch.setattr(_origins, "_parse", None)


def test_memory_is_bounded() -> None:
    """However many hosts a client makes up, and whoever was allowed in between still is."""
    origins = Origins()
    sizes = set()
    for number in range(1000):
        assert allows(origins, f"https://{number}.example", f"{number}.example")
        assert allows(origins, "https://example.com")
        assert not allows(origins, f"https://{number}.evil.example")
        sizes.add(len(origins._remembered))
    assert max(sizes) == 256


def test_remembered_permission_is_for_one_scheme_and_host() -> None:
    """What was allowed over `ws`, or by another host, is asked again."""
    origins = Origins()
    assert allows(origins, "http://example.com", scheme="ws")
    assert not allows(origins, "http://example.com", scheme="wss")
    assert not allows(origins, "http://example.com", "evil.example", scheme="ws")


# --- The setting -----------------------------------------------------------------------------------------------------


def test_setting_is_kept_and_shown() -> None:
    """The default is "same"; a list is kept as a tuple, whatever iterable it was."""
    assert (Origins().setting, Origins("*").setting) == ("same", "*")
    assert Origins(item for item in ["https://a.example"]).setting == ("https://a.example",)
    assert repr(Origins(["https://a.example"])) == "Origins(('https://a.example',))"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "https://app.example.com",
            (
                "origins='https://app.example.com': a string is 'same' or '*'. "
                "Origins come in a list, a single one too: origins=['https://app.example.com']."
            ),
        ),
        ("https://*.example.org", "a single one too: origins=['https://*.example.org']."),
        ("Same", "origins='Same': a string is 'same' or '*'."),
        ("", "origins=['https://app.example.com']."),
        ("https://a.example, https://b.example", "origins=['https://app.example.com']."),
        (None, "origins=None: give 'same', '*' or a list of strings: ['https://app.example.com']."),
        (True, "origins=True: give 'same', '*' or a list of strings"),
        (b"same", "origins=b'same': give 'same', '*' or a list of strings"),
        ([b"https://a.example"], "origins=[b'https://a.example']: give 'same', '*' or a list of strings"),
        (
            ["same", "https://a.example"],
            (
                "origins=['same', 'https://a.example']: 'same' does not go into a list: "
                "name the app's own origin, such as 'https://app.example.com'."
            ),
        ),
        (["*"], "'*' does not go into a list: write origins='*'."),
        (["null"], "'null' is the origin of every sandboxed page, whoever made it: write origins='*'"),
        (["a.example"], "'a.example' has no scheme: write 'https://a.example'."),
        (["/a b"], "'/a b' has no scheme: write 'https://app.example.com'."),
        (["localhost:3000"], "'localhost:3000' has no scheme: write 'https://localhost:3000'."),
        (["https://a.example/"], "has something after host and port: write 'https://a.example'."),
        (["https://a.example:1/b?c"], "has something after host and port: write 'https://a.example:1'."),
        (["https://a.example?b/c"], "has something after host and port: write 'https://a.example'."),
        (["https://b\xfccher.example"], "is not ASCII: write it as browsers send it"),
        (["https://\u212a.example"], "is not ASCII"),  # the Kelvin sign, whose lower case is "k"
        (["https://*"], "has a wildcard where none can be: only whole subdomains, such as 'https://*.example.com'."),
        (["https://*."], "has a wildcard where none can be"),
        (["app://*."], "has a wildcard where none can be"),
        (["https://a.*.example"], "has a wildcard where none can be"),
        (["https://a*.example"], "has a wildcard where none can be"),
        (["https://*a.example"], "has a wildcard where none can be"),
        (["https://*.*.example"], "has a wildcard where none can be"),
        (["https://*..example"], "has a wildcard where none can be"),
        (["http://*.[::1]"], "has a wildcard where none can be"),
        (["http://localhost:*"], "has a wildcard where none can be"),
        (["*://a.example"], "'*://a.example' is not of the form scheme://host[:port], such as"),
        (["https://"], "is not of the form scheme://host[:port]"),
        (["https://u:p@a.example"], "is not of the form scheme://host[:port]"),
        (["https://a.example:0443"], "is not of the form scheme://host[:port]"),
        (["https://a.example:65536"], "is not of the form scheme://host[:port]"),
        (["file://:80"], "is not of the form scheme://host[:port]"),
        (["http://[::1"], "is not of the form scheme://host[:port]"),
        ([f"https://{'a' * 300}"], "is not of the form scheme://host[:port]"),
        ([""], "'' has no scheme"),
    ],
)
def test_setting_that_is_wrong_is_an_error_with_the_remedy(setting: Any, told: str) -> None:
    """At startup, with the value and what to write instead."""
    with pytest.raises(ImproperlyConfigured) as wrong:
        Origins(setting)
    assert isinstance(wrong.value, ValueError)
    assert str(wrong.value).startswith(f"origins={setting!r}: ")
    assert told in str(wrong.value)


@given(st.lists(headers_of_any_kind.map(lambda header: header.decode("latin-1"))))
def test_setting_is_either_understood_or_an_error(setting: list[str]) -> None:
    """Any list of strings: it allows each item that is no pattern, or none of it is accepted."""
    try:
        origins = Origins(setting)
    except ImproperlyConfigured:
        return
    assert [item for item in setting if not allows(origins, item) and "://*." not in item] == []
