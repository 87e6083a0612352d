"""
Authentication: a permission that lets nobody in without a token, on HTTP and WebSocket alike.

Run it from the root of the repository:

    uvicorn examples.authentication:app

and knock without a token, then with one. The first is refused with 401, before any handler has run:

    curl -i http://127.0.0.1:8000/
    curl -i http://127.0.0.1:8000/ -H "Authorization: Bearer ana-secret"

A WebSocket client sends the same header with its handshake:

    from websockets.sync.client import connect

    with connect("ws://127.0.0.1:8000/ws", additional_headers={"Authorization": "Bearer ana-secret"}) as websocket:
        print(websocket.recv())

A script in a browser cannot set headers on a WebSocket; there, a session cookie takes the place of the token.
"""

from lilya.apps import Lilya
from lilya.exceptions import NotAuthorized
from lilya.permissions import PermissionProtocol
from lilya.requests import Connection, Request
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket

# Who owns which token: in a real application a query, and the tokens are stored as hashes.
USERS = {"ana-secret": "ana", "bob-secret": "bob"}


class TokenRequired(PermissionProtocol):
    """Lets in who shows a known token, and tells the handlers who that is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, _, token = Connection(scope).headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or token not in USERS:
            # An answer: 401 over HTTP, and a WebSocket's handshake is denied with the same status.
            raise NotAuthorized("Show a valid token.", headers={"WWW-Authenticate": "Bearer"})
        scope["user"] = USERS[token]
        await self.app(scope, receive, send)


# For the whole application; routes and includes take `permissions=` as well.
app = Lilya(permissions=[TokenRequired])


@app.get("/")
async def home(request: Request) -> dict[str, str]:
    return {"user": request.user}


@app.websocket("/ws")
async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"Hello, {websocket.user}!")
