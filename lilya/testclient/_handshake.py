"""The HTTP request that opens a WebSocket (RFC 6455 §4.1)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import httpx

__all__ = ["Query", "handshake"]

Query: TypeAlias = httpx.QueryParams | Mapping[str, Any] | list[tuple[str, Any]] | str | None

# The key is no real one (16 random bytes in base64): apps are tested against exactly these values.
_HEADERS = {"connection": "upgrade", "sec-websocket-key": "testserver==", "sec-websocket-version": "13"}


def handshake(
    client: httpx.Client | httpx.AsyncClient,
    url: httpx.URL | str,
    subprotocols: Sequence[str] | None,
    *,
    headers: Any,
    params: Query,
    cookies: Any,
    auth: tuple[str, str] | httpx.Auth | None,
) -> httpx.Request:
    """
    The request for `url`, which is absolute (ws, wss) or relative to the client's base URL.

    Its own URL is http or https, so that the client's cookies apply as they do to pages of the same host.

    Args:
        subprotocols: Offered in this order.
        headers, params, cookies: Added to those of the client; the caller's objects stay as they are.
        auth: As in httpx: a pair of user and password, or an `httpx.Auth`; None is the client's own.

    Raises:
        RuntimeError: The URL is absolute and not one of a WebSocket.
    """
    url = httpx.URL(url)
    if url.is_absolute_url:
        if url.scheme not in ("ws", "wss"):
            raise RuntimeError(f"Expected WebSocket upgrade: {str(url)!r} is not a ws:// or wss:// URL")
        url = url.copy_with(scheme=url.scheme.replace("ws", "http"))
    own = httpx.Headers(headers)
    for name, value in _HEADERS.items():
        own.setdefault(name, value)
    if subprotocols:
        own.setdefault("sec-websocket-protocol", ", ".join(subprotocols))
    request = client.build_request("GET", url, headers=own, params=params, cookies=cookies)
    chosen = httpx.BasicAuth(*auth) if isinstance(auth, tuple) else auth or client.auth
    return request if chosen is None else next(chosen.sync_auth_flow(request))
