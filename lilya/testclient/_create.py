"""An app and its client in one call."""

import inspect
from collections.abc import Sequence
from typing import Any

from lilya.apps import Lilya
from lilya.testclient._async import AsyncTestClient
from lilya.testclient._sync import TestClient

__all__ = ["create_async_client", "create_client"]


def create_client(routes: Sequence[Any] | None = None, **options: Any) -> TestClient:
    """A `TestClient` for `Lilya(routes=routes)`; the client takes those of the options it has, the app the rest."""
    client = _taken_from(options, TestClient)
    return TestClient(Lilya(routes=routes, **options), **client)


def create_async_client(routes: Sequence[Any] | None = None, **options: Any) -> AsyncTestClient:
    """The same with an `AsyncTestClient`."""
    client = _taken_from(options, AsyncTestClient)
    return AsyncTestClient(Lilya(routes=routes, **options), **client)


def _taken_from(options: dict[str, Any], client: type) -> dict[str, Any]:
    names = inspect.signature(client).parameters.keys() & options.keys()
    return {name: options.pop(name) for name in names}
