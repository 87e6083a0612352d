"""Plain ASGI: what there is to pay without any framework, and so the unit of the ratios."""

import json

from lilya.types import ASGIApp, Receive, Scope, Send

IMPORTS = None


async def connect(receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1000, "reason": ""})


async def text(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def json_(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        answer = json.dumps(json.loads(message["text"]), separators=(",", ":"), ensure_ascii=False)
        await send({"type": "websocket.send", "text": answer})


HANDLERS = {"connect": connect, "text": text, "iterate": text, "json": json_}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    handler = HANDLERS[scope["path"].split("/")[1]]
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    await handler(receive, send)


def handlers() -> ASGIApp:
    return app


def routes(count: int) -> ASGIApp | None:
    return None
