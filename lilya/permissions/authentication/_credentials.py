"""
Where a client can put a credential: a header, a cookie, or among the subprotocols that it offers.

A script in a browser cannot set headers on a WebSocket, but it chooses the subprotocols:
`new WebSocket(url, ["bearer", token])` sends `Sec-WebSocket-Protocol: bearer, <token>`. The server must choose one of
those it was offered, or the browser fails the connection (WHATWG WebSockets, "establish a WebSocket connection"); it
chooses the scheme, never the token.
"""

from __future__ import annotations

from lilya._connection import Connection
from lilya._wire import wire_of
from lilya.websockets import WebSocket

__all__ = ["bearer_token", "offered_credential", "well_formed"]

# Where the scope holds what the client offered, once credentials have been taken out of `subprotocols`.
OFFERED = "lilya.offered_subprotocols"


def bearer_token(connection: Connection, *, cookie: str | None = None) -> str | None:
    """
    The token the client shows; None if it shows none.

    The first of these that holds one counts: the header `Authorization: Bearer <token>` (RFC 6750 §2.1; the scheme in
    any case, RFC 9110 §11.1), `Sec-WebSocket-Protocol: bearer, <token>` as `offered_credential` reads it, the cookie.
    Browsers send a cookie without being asked, so that what the client chose to show comes before it.

    A token is one word of printable ASCII characters, anything else is none: `secrets.compare_digest` takes it as it
    is, and so does any database.

    Args:
        connection: A request, a WebSocket, or the plain connection of a permission.
        cookie: The name of the cookie that may hold the token; None: no cookie is looked at.
    """
    # First in any case: the client expects an answer to what it offered, wherever the token comes from.
    offered = offered_credential(connection, "bearer")
    headers = connection.headers.getlist("authorization")
    if len(headers) == 1:  # several are malformed (RFC 9110 §5.3), and others may have looked at another one
        words = headers[0].split()
        if len(words) == 2 and words[0].lower() == "bearer" and well_formed(words[1]):
            return words[1]
    if offered is not None or cookie is None:
        return offered
    return well_formed(connection.cookies.get(cookie, ""))


def offered_credential(connection: Connection, scheme: str) -> str | None:
    """
    The credential in `Sec-WebSocket-Protocol: <scheme>, <credential>`; None if the client offers no such scheme.

    Other subprotocols may stand before and after the two. The credential is taken out of `scope["subprotocols"]`, so
    that nobody inside can choose it or log it by mistake, while `accept()` answers `scheme` unless the handler chooses
    one of the others. Asked again, on the same connection, this gives the same.

    Subprotocols are tokens (RFC 6455 §4.1), and so must be the credential: a JWT and `secrets.token_urlsafe()` are,
    base64 with `/` or `=` is not.

    Args:
        connection: A request, which has no subprotocols, or a WebSocket.
        scheme: Compared case by case, as subprotocols are.
    """
    scope = connection.scope
    offered = list(scope.get(OFFERED) or scope.get("subprotocols") or ())
    if scheme not in offered:
        return None
    wire = connection._wire if isinstance(connection, WebSocket) else wire_of(scope)
    if wire is not None:
        wire.agreed_subprotocol = scheme
    following = offered[offered.index(scheme) + 1 :]
    credential = following[0] if following else ""
    scope[OFFERED] = offered
    scope["subprotocols"] = [name for name in scope["subprotocols"] if name != credential or name == scheme]
    return well_formed(credential)


def well_formed(credential: str) -> str | None:
    """The credential, if it is one word of printable ASCII characters; else None."""
    if credential.isascii() and credential.isprintable() and credential and " " not in credential:
        return credential
    return None
