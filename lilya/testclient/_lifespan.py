"""The lifespan of an app: started when a client's block is entered, stopped when it is left."""

from lilya.testclient._conversation import Conversation
from lilya.testclient._errors import ConformanceError, LifespanFailed
from lilya.testclient._patience import Patience
from lilya.testclient._subject import Subject
from lilya.types import Message

__all__ = ["LifespanRun"]


class LifespanRun:
    """
    One lifespan; `start` and `stop` are called on the same event loop.

    An app that returns, or raises before it has even received `lifespan.startup`, has no lifespan, and is used without
    one (ASGI spec "Lifespan Protocol": "the server must continue"). One that raises later has failed to start.
    """

    def __init__(self, subject: Subject, timeout: float | None) -> None:
        self._subject = subject
        self._timeout = timeout
        self._conversation: Conversation | None = None

    async def start(self) -> None:
        """
        Run the app's startup.

        Raises:
            LifespanFailed: The app reported a failure and nothing else.
            ReceiveTimeout: The startup took longer than the timeout.
            Exception: What the app raised in its startup.
        """
        conversation = self._subject.lifespan()
        conversation.start()
        message = await self._ask(conversation, "lifespan.startup")
        if message is None:
            error = conversation.take_error()
            if error is not None and (conversation.received or isinstance(error, ConformanceError)):
                await conversation.abandon(self._timeout)
                raise error
        elif message["type"] == "lifespan.startup.complete":
            self._conversation = conversation
        else:
            await conversation.finish(self._timeout)
            raise conversation.take_error() or _failure_of(message)

    async def stop(self) -> None:
        """
        Run the app's shutdown, if its startup ran; raises as `start` does, and `FinishTimeout`.

        Also raises what a lifespan that ended in between has raised.
        """
        conversation = self._conversation
        if conversation is None:
            return
        message = await self._ask(conversation, "lifespan.shutdown")
        if message is not None:
            await conversation.finish(self._timeout)
        await conversation.abandon(self._timeout)
        error = conversation.take_error()
        if error is not None:
            raise error
        if message is not None and message["type"] != "lifespan.shutdown.complete":
            raise _failure_of(message)

    async def _ask(self, conversation: Conversation, event: str) -> Message | None:
        conversation.deliver({"type": event})
        try:
            return await conversation.next_message(f"{event}.complete", Patience(self._timeout))
        except BaseException:
            await conversation.abandon(self._timeout)
            raise


def _failure_of(message: Message) -> LifespanFailed:
    return LifespanFailed(f"{message['type']}: {message.get('message') or 'no message given'}")
