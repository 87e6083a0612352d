"""An app and its client in one call."""

import pytest

from lilya.apps import Lilya
from lilya.testclient import AsyncTestClient, TestClient, create_async_client, create_client


@pytest.mark.parametrize(("create", "kind"), [(create_client, TestClient), (create_async_client, AsyncTestClient)])
def test_create_client_builds_the_app_and_the_client(create: type, kind: type) -> None:
    """The named arguments go to the client, all others to the app."""
    client = create([], base_url="http://x.example", root_path="/root", headers={"x-a": "1"}, timeout=1.0, debug=True)
    assert isinstance(client, kind)
    assert isinstance(client, TestClient | AsyncTestClient)
    assert isinstance(client.app, Lilya)
    assert (client.app.debug, list(client.routes)) == (True, [])
    scope = client.websocket_connect("/").scope
    assert (scope["server"], scope["root_path"]) == (["x.example", 80], "/root")
    assert client.timeout.read == 1.0
