"""A connection as an application tells its instruments about it."""

from collections.abc import Mapping
from typing import Any

from lilya.instruments import ConnectionInfo, Instrument, tell, wants_messages

__all__ = ["ToldConnection"]


class ToldConnection:
    """
    Tells one instrument about a connection: `handshake` by itself, the rest by its methods.

    Raises:
        AssertionError: The instrument has failed.
    """

    def __init__(self, instrument: Instrument, id: str = "a1", path: str = "/chat/x", **scope: Any) -> None:
        self.instrument = instrument
        self.scope: Mapping[str, Any] = {"type": "websocket", "scheme": "ws", "http_version": "1.1", **scope}
        self.info = ConnectionInfo(id=id, path=path, scope=self.scope)
        self._tell("handshake")

    def open(self, route: str | None = "/chat/{room}") -> None:
        self.info.route = route
        self._tell("opened")

    def refuse(self, status: int | None, cause: str, route: str | None = None) -> None:
        self.info.status, self.info.cause, self.info.route = status, cause, route
        self._tell("refused")

    def receive(self, message: str | bytes) -> None:
        self.info.received += 1
        self._tell_message("received", message)

    def send(self, message: str | bytes) -> None:
        self.info.sent += 1
        self._tell_message("sent", message)

    def close(self, code: int | None = 1000, ended_by: str = "application", seconds: float = 2.5) -> None:
        self.info.code, self.info.ended_by, self.info.seconds = code, ended_by, seconds
        self.info.reason = "s3cr3t reason"
        self._tell("closed")

    def _tell_message(self, hook: str, message: str | bytes) -> None:
        if wants_messages(self.instrument):
            self._tell(hook, len(message), "text" if isinstance(message, str) else "binary")

    def _tell(self, hook: str, *arguments: object) -> None:
        tell([self.instrument], hook, self.info, *arguments)
        assert self.instrument.hook_failures == 0
