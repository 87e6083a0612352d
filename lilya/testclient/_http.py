"""HTTP requests to the app: one conversation each."""

import httpx

from lilya.testclient._conversation import Conversation, read_body
from lilya.testclient._errors import NoResponse
from lilya.testclient._patience import Patience
from lilya.testclient._subject import Subject
from lilya.types import Message

__all__ = ["AsyncAppTransport", "respond", "seconds_for"]


class AsyncAppTransport(httpx.AsyncBaseTransport):
    """Answers the requests of an httpx client by running the app on the client's event loop."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Run the app for this request."""
        await request.aread()
        return await respond(self._subject, request)


def seconds_for(request: httpx.Request) -> float | None:
    """How long the app may take for its response: what httpx calls the read timeout."""
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


async def respond(subject: Subject, request: httpx.Request) -> httpx.Response:
    """
    The app's response to a request whose body has been read; the body of the response is collected.

    Returns when the app has ended, that is after its background tasks.

    Raises:
        ReceiveTimeout: The response was not complete in time.
        FinishTimeout: It was, but then the app did not end.
        NoResponse: The app returned without a response, or in the middle of one.
        httpx.RemoteProtocolError: The app failed in the middle, and the client does not raise the app's exceptions.
        Exception: What the app raised, or reported as unhandled.
    """
    conversation = subject.http(request)
    conversation.start()
    conversation.deliver({"type": "http.request", "body": request.content, "more_body": False})
    seconds = seconds_for(request)
    patience = Patience(seconds)
    try:
        start = await conversation.next_message("http.response.start", patience)
        body = None if start is None else await read_body(conversation, "http.response", patience)
        conversation.hang_up({"type": "http.disconnect"})
        await conversation.finish(seconds)
    except BaseException:
        await conversation.abandon(seconds)
        raise
    error = conversation.take_error()
    if error is not None:
        raise error
    if start is None or body is None:
        return _broken(conversation, start)
    return httpx.Response(
        start["status"],
        headers=list(start.get("headers") or ()),
        stream=httpx.ByteStream(b"" if request.method == "HEAD" else body),
        request=request,
    )


def _broken(conversation: Conversation, start: Message | None) -> httpx.Response:
    """What a client gets from a server when the app ends before its response does."""
    if not conversation.failed:
        where = "without a response" if start is None else "in the middle of its response"
        raise NoResponse(f"{conversation.name}: the application returned {where}")
    if start is not None:
        raise httpx.RemoteProtocolError(f"{conversation.name}: the application failed in the middle of its response")
    return httpx.Response(500, text="Internal Server Error")
