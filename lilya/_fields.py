"""What HTTP fields are made of: tokens and dates (RFC 9110 §5.6), and what may not stand in one."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_letters, digits
from time import struct_time

__all__ = ["check_headers", "http_date", "is_token"]

_TOKEN_CHARACTERS = frozenset(f"!#$%&'*+-.^_`|~{digits}{ascii_letters}")

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def is_token(text: str) -> bool:
    """Whether `text` is a token, which header names, cookie names and subprotocols are (RFC 9110 §5.6.2)."""
    return text != "" and _TOKEN_CHARACTERS.issuperset(text)


def check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """
    Refuse header bytes that would end a line and start another one (RFC 9110 §5.1, §5.5).

    Raises:
        ValueError: A name is no token, or a value holds CR, LF or NUL.
    """
    for name, value in headers:
        if not is_token(name.decode("latin-1")) or b"\r" in value or b"\n" in value or b"\0" in value:
            # Without the value, which may be a secret.
            raise ValueError(
                f"The header {name!r} cannot be sent: a name is a token, and a value holds no CR, LF or NUL."
            )


def http_date(moment: struct_time) -> str:
    """
    A time in UTC as HTTP fields hold it (RFC 9110 §5.6.7).

    Raises:
        ValueError: Its year has no four digits.
    """
    year, month, day, hour, minute, second, weekday = moment[:7]
    if not 0 <= year <= 9999:
        raise ValueError(f"The year {year} cannot stand in an HTTP date: use one from 0 to 9999.")
    # Not strftime's names of days and months, which follow the locale, nor its years, which need not have four digits.
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
