"""Tokens and dates, as HTTP fields hold them."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from time import gmtime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya._fields import check_headers, http_date, is_token


@given(st.text(max_size=20) | st.text(st.characters(codec="ascii"), max_size=20))
def test_is_token_allows_only_the_characters_of_a_token(text: str) -> None:
    """RFC 9110 §5.6.2, written as a regular expression."""
    assert is_token(text) == bool(re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", text))


@given(st.datetimes(timezones=st.just(UTC)))
def test_http_date_is_the_date_of_internet_messages(moment: datetime) -> None:
    """The standard library's way of writing them is the oracle."""
    assert http_date(moment.utctimetuple()) == format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("seconds", [253_402_300_800, -62_167_219_201])
def test_http_date_refuses_years_without_four_digits(seconds: int) -> None:
    """The year 10000 and the one before 0 would make a date that nobody reads."""
    with pytest.raises(ValueError, match=r"The year (10000|-1) cannot stand in an HTTP date"):
        http_date(gmtime(seconds))


@pytest.mark.parametrize(
    "pair",
    [
        (b"x-name", b"value\r\nset-cookie: a=b"),
        (b"x-name", b"value\n"),
        (b"x-name", b"a\rb"),
        (b"x-name", b"a\0b"),
        (b"x name", b"value"),
        (b"x-name:", b"value"),
        (b"x\r\ny", b"value"),
        (b"", b"value"),
        (b"x-n\xe9", b"value"),
    ],
)
def test_check_headers_refuses_what_would_begin_another_line(pair: tuple[bytes, bytes]) -> None:
    """The error names the header and not its value, which may be a secret."""
    with pytest.raises(ValueError, match=re.escape(f"header {pair[0]!r} cannot be sent")) as caught:
        check_headers([(b"x-fine", b"yes"), pair])
    assert repr(pair[1])[1:-1] not in str(caught.value)


def test_check_headers_takes_what_can_be_sent() -> None:
    """Latin-1 bytes, tabs and empty values are fine."""
    check_headers([(b"x-name", b"caf\xe9\tau lait"), (b"X-Empty", b""), (b"!#$%&'*+-.^_`|~9", b"v")])
