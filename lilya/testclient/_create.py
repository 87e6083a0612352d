"""An app and its client in one call."""

from collections.abc import Sequence
from typing import Any

import httpx

from lilya.apps import Lilya
from lilya.testclient._async import AsyncTestClient
from lilya.testclient._sync import TestClient

__all__ = ["create_async_client", "create_client"]


def create_client(
    routes: Sequence[Any] | None = None,
    *,
    base_url: str = "http://testserver",
    raise_server_exceptions: bool = True,
    root_path: str = "",
    backend: str = "asyncio",
    backend_options: dict[str, Any] | None = None,
    cookies: Any = None,
    headers: Any = None,
    follow_redirects: bool = True,
    check_asgi_conformance: bool = True,
    timeout: float | httpx.Timeout | None = 5.0,
    **options: Any,
) -> TestClient:
    """A `TestClient` for `Lilya(routes=routes, **options)`; the named arguments are the client's."""
    return TestClient(
        Lilya(routes=routes, **options),
        base_url=base_url,
        raise_server_exceptions=raise_server_exceptions,
        root_path=root_path,
        backend=backend,
        backend_options=backend_options,
        cookies=cookies,
        headers=headers,
        follow_redirects=follow_redirects,
        check_asgi_conformance=check_asgi_conformance,
        timeout=timeout,
    )


def create_async_client(
    routes: Sequence[Any] | None = None,
    *,
    base_url: str = "http://testserver",
    raise_server_exceptions: bool = True,
    root_path: str = "",
    cookies: Any = None,
    headers: Any = None,
    follow_redirects: bool = True,
    check_asgi_conformance: bool = True,
    timeout: float | httpx.Timeout | None = 5.0,
    **options: Any,
) -> AsyncTestClient:
    """An `AsyncTestClient` for `Lilya(routes=routes, **options)`; the named arguments are the client's."""
    return AsyncTestClient(
        Lilya(routes=routes, **options),
        base_url=base_url,
        raise_server_exceptions=raise_server_exceptions,
        root_path=root_path,
        cookies=cookies,
        headers=headers,
        follow_redirects=follow_redirects,
        check_asgi_conformance=check_asgi_conformance,
        timeout=timeout,
    )
