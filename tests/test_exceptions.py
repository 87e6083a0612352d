"""The tree of exceptions: whose fault is what, and what each says."""

import http
import json
import re
from typing import Any

import pytest

from lilya import exceptions, websockets
from lilya.exceptions import (
    AuthenticationError,
    ContinueRouting,
    HTTPException,
    ImproperlyConfigured,
    InternalServerError,
    LilyaException,
    MalformedMessage,
    MethodNotAllowed,
    NotAuthorized,
    NotFound,
    PermissionDenied,
    UnexpectedMessage,
    UnprocessableEntity,
    ValidationError,
    WebSocketDisconnect,
    WebSocketDisconnected,
    WebSocketException,
    WebSocketRuntimeError,
)


def test_exceptions_docstring_draws_every_class() -> None:
    """The tree in the module's docstring names whatever the module exports."""
    assert exceptions.__doc__ is not None
    drawn = set(exceptions.__doc__.replace("│", " ").split())
    assert set(exceptions.__all__) - drawn == {"LilyaException"}


@pytest.mark.parametrize(
    ("cls", "status", "detail"),
    [
        (HTTPException, 500, "Internal Server Error"),
        (NotAuthorized, 401, "You do not have authorization to perform this action."),
        (PermissionDenied, 403, "You do not have permission to perform this action."),
        (NotFound, 404, "The resource cannot be found."),
        (MethodNotAllowed, 405, "Method not allowed."),
        (ValidationError, 400, "Bad Request"),
        (UnprocessableEntity, 422, "Unprocessable Entity"),
        (InternalServerError, 500, "Internal Server Error"),
    ],
)
def test_http_exception_subclass_has_status_and_detail(cls: type[HTTPException], status: int, detail: str) -> None:
    """Each class is an answer of its own: a status, and words for the peer."""
    error = cls()
    assert (error.status_code, error.detail) == (status, detail)
    assert str(error) == f"{status}: {detail}"
    assert repr(error) == f"{cls.__name__}(status_code={status}, detail={detail!r})"
    assert (error.headers, error.response, error.extra) == (None, None, {})
    assert issubclass(cls, LilyaException)


def test_http_exception_takes_everything_by_keyword() -> None:
    """Status, detail, headers and response are kept as given, the rest in `extra`."""
    response = object()
    error = HTTPException(
        status_code=429, detail="slow down", headers={"retry-after": "3"}, response=response, limit="30/s"
    )
    assert (error.status_code, error.detail) == (429, "slow down")
    assert (error.headers, error.response) == ({"retry-after": "3"}, response)
    assert error.extra == {"limit": "30/s"}


def test_http_exception_first_argument_is_the_detail() -> None:
    """A positional argument is the detail, unless one is given by name."""
    assert HTTPException("why", status_code=400).detail == "why"
    assert HTTPException("other", status_code=400, detail="why").detail == "why"
    assert HTTPException("why", 1).args == ("why", 1)


def test_http_exception_uses_the_phrase_of_its_status() -> None:
    """Without a detail it is the status' own phrase; a status nobody knows is named by its number."""
    assert HTTPException(status_code=418).detail == "I'm a Teapot"
    assert HTTPException(status_code=499).detail == "Status 499"


def test_http_exception_subclass_of_a_user_has_its_own_defaults() -> None:
    """A subclass sets status and detail as class attributes; an instance may still choose others."""

    class OutOfTea(HTTPException):
        status_code = 418
        detail = "no tea"

    assert str(OutOfTea()) == "418: no tea"
    assert str(OutOfTea(status_code=503)) == "503: no tea"
    assert OutOfTea.status_code == 418


def test_improperly_configured_is_an_answer_and_a_value_error() -> None:
    """It is an HTTPException 500 and a ValueError, and its text is the message alone."""
    error = ImproperlyConfigured("the path has no slash")
    assert isinstance(error, HTTPException)
    assert isinstance(error, ValueError)
    assert (error.status_code, str(error)) == (500, "the path has no slash")


@pytest.mark.parametrize("cls", [LilyaException, AuthenticationError])
def test_lilya_exception_shows_its_detail(cls: type[LilyaException]) -> None:
    """The detail is given by name, or it is the first argument that says something."""
    assert str(cls("what", "else")) == "what"
    assert str(cls(None, "what")) == "what"
    assert str(cls("other", detail="what")) == "what"
    assert repr(cls("what")) == f"{cls.__name__}('what')"
    assert str(cls()) == ""


def test_websocket_exception_has_code_and_reason() -> None:
    """Its text is what users know: "1008: why"."""
    error = WebSocketException(1008, "why")
    assert (error.code, error.reason, str(error)) == (1008, "why", "1008: why")
    assert repr(error) == "WebSocketException(code=1008, reason='why')"
    assert WebSocketException(code=4000, reason=None).reason == ""
    assert error.args == (1008, "why")


def test_websocket_disconnect_has_code_and_reason() -> None:
    """1000 and no reason by default; a missing reason is an empty one."""
    error = WebSocketDisconnect()
    assert (error.code, error.reason, str(error)) == (1000, "", "1000")
    assert repr(error) == "WebSocketDisconnect(code=1000, reason='')"
    assert str(WebSocketDisconnect(1001, "bye")) == "1001: bye"
    assert not isinstance(error, RuntimeError)
    assert websockets.WebSocketDisconnect is WebSocketDisconnect


def test_websocket_disconnected_is_caught_both_ways() -> None:
    """A call after the reported disconnect is a leaving of the peer and a call out of order."""
    error = WebSocketDisconnected(1001, "bye", "Cannot send: the client has left.")
    assert isinstance(error, WebSocketDisconnect)
    assert isinstance(error, WebSocketRuntimeError)
    assert isinstance(error, RuntimeError)
    assert (error.code, error.reason) == (1001, "bye")
    assert str(error) == "Cannot send: the client has left."
    assert str(WebSocketDisconnected(1001, "bye")) == "1001: bye"


def test_unexpected_message_says_how_to_close() -> None:
    """It is a WebSocketRuntimeError that knows its close code, 1003 unless told otherwise."""
    assert isinstance(UnexpectedMessage("x"), WebSocketRuntimeError)
    assert (UnexpectedMessage("x").code, UnexpectedMessage("x", 1007).code) == (1003, 1007)


def test_malformed_message_keeps_what_json_said() -> None:
    """The complaint of the decoder, as a JSONDecodeError of our own; any other ValueError gives its text."""
    with pytest.raises(ValueError) as caught:
        json.loads("[1,")
    error = MalformedMessage.of(caught.value)
    assert isinstance(error, json.JSONDecodeError)
    assert (error.code, error.doc, str(error)) == (1007, "[1,", str(caught.value))
    assert MalformedMessage.of(ValueError("no NaN")).msg == "no NaN"


def test_continue_routing_is_no_exception() -> None:
    """It is control flow: an `except Exception` of a handler does not stop it."""
    assert issubclass(ContinueRouting, BaseException)
    assert not issubclass(ContinueRouting, Exception)


@pytest.mark.parametrize("status", ["404", 404.0, (404,)])
def test_http_exception_refuses_a_status_that_is_no_number(status: Any) -> None:
    """The mistake is named where it is made; a status of `http.HTTPStatus` is a number."""
    with pytest.raises(TypeError, match=re.escape(f"HTTPException(status_code={status!r}): a status is a number")):
        HTTPException(status_code=status)
    assert HTTPException(status_code=http.HTTPStatus.NOT_FOUND).status_code == 404
