"""
Clients that run an app in process: `TestClient` for synchronous tests, `AsyncTestClient` for async ones.

Needs the extra `test` (httpx).
"""

from lilya.testclient._async import AsyncTestClient
from lilya.testclient._create import create_async_client, create_client
from lilya.testclient._errors import (
    AppReturned,
    ClientDisconnected,
    ConformanceError,
    FinishTimeout,
    LifespanFailed,
    NoResponse,
    ReceiveTimeout,
    WebSocketDenialResponse,
)
from lilya.testclient._overrides import override_settings
from lilya.testclient._session import AsyncWebSocketTestSession
from lilya.testclient._sync import TestClient, WebSocketTestSession

__all__ = [
    "AppReturned",
    "AsyncTestClient",
    "AsyncWebSocketTestSession",
    "ClientDisconnected",
    "ConformanceError",
    "FinishTimeout",
    "LifespanFailed",
    "NoResponse",
    "ReceiveTimeout",
    "TestClient",
    "WebSocketDenialResponse",
    "WebSocketTestSession",
    "create_async_client",
    "create_client",
    "override_settings",
]
