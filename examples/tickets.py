"""
Tickets: a page of another site opens a WebSocket, without cookies and without showing its token.

Run it twice from the root of the repository, so that there are two origins, and open http://127.0.0.1:8001/, whose page
talks to the other one:

    uvicorn examples.tickets:app --port 8000
    uvicorn examples.tickets:app --port 8001

The page fetches a ticket over HTTP, where it can send a header, and shows it when it opens the WebSocket, where it
cannot. A ticket is good for one connection and for 30 seconds. Any other client does the same:

    curl -X POST http://127.0.0.1:8000/ticket -H "Authorization: Bearer ana-secret"
    python -c "from websockets.sync.client import connect; \\
        print(connect('ws://127.0.0.1:8000/ws', subprotocols=['ticket', '<the ticket>']).recv())"
"""

import secrets

from lilya.apps import Lilya
from lilya.permissions import DefinePermission
from lilya.permissions.authentication import Authenticated, Tickets, bearer_token
from lilya.requests import Connection, Request
from lilya.responses import HTML, JSONResponse, Response
from lilya.websockets import WebSocket

# Where the page comes from: the one origin that may ask for tickets and open WebSockets.
PAGES = "http://127.0.0.1:8001"
CORS = {"access-control-allow-origin": PAGES, "access-control-allow-headers": "authorization"}

# Who owns which token: in a real application a query, and the tokens are stored as hashes.
USERS = {"ana": "ana-secret", "bob": "bob-secret"}

PAGE = """<!doctype html>
<title>Tickets</title>
<p id="said">…</p>
<script>
    const say = (text) => (document.getElementById("said").textContent = text);
    async function enter(token) {
        const headers = { authorization: `Bearer ${token}` };
        const answer = await fetch("http://127.0.0.1:8000/ticket", { method: "POST", headers });
        const { ticket } = await answer.json();
        const socket = new WebSocket("ws://127.0.0.1:8000/ws", ["ticket", ticket]);
        socket.onmessage = (event) => say(event.data);
        socket.onclose = (event) => event.code === 4401 && say("The ticket is not valid any more.");
    }
    enter("ana-secret");
</script>
"""

app = Lilya(origins=[PAGES])
tickets = Tickets(seconds=30)


async def owner_of_token(connection: Connection) -> str | None:
    shown = bearer_token(connection) or ""
    # In constant time: how long it takes does not tell how much of a guess was right.
    return next((user for user, token in USERS.items() if secrets.compare_digest(token, shown)), None)


@app.get("/")
async def page() -> HTML:
    return HTML(PAGE)


@app.options("/ticket")
async def allow_the_page() -> Response:
    # What the browser asks before the page may send the header `Authorization` to another origin.
    return Response(b"", status_code=204, headers=CORS)


@app.post("/ticket", permissions=[DefinePermission(Authenticated, owner_of_token)])
async def hand_out(request: Request) -> JSONResponse:
    ticket = await tickets.issue(request.user)
    return JSONResponse({"ticket": ticket}, headers={**CORS, "cache-control": "no-store"})


# "close": accepted and closed with 4401, so that the page sees the code.
@app.websocket("/ws", permissions=[DefinePermission(Authenticated, tickets.redeem, refuse="close")])
async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"Hello, {websocket.user}!")
