"""Single-use tickets: how a page of another site opens a WebSocket without cookies and without showing a token."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from lilya._connection import Connection
from lilya.exceptions import ImproperlyConfigured
from lilya.permissions.authentication._credentials import offered_credential, well_formed
from lilya.permissions.authentication._store import MemoryTicketStore, TicketStore

__all__ = ["Tickets"]


class Tickets:
    """
    Issues tickets to users and redeems them, each once.

    An HTTP endpoint that knows the user hands the ticket out; the page shows it at once with its WebSocket, as
    `new WebSocket(url, ["ticket", value])`, and `DefinePermission(Authenticated, tickets.redeem)` lets it in.

    Args:
        seconds: How long a ticket can be redeemed.
        store: Where they are kept; by default in the memory of this process. It never sees a ticket, only its hash.

    Raises:
        ImproperlyConfigured: `seconds` is not above 0.
    """

    def __init__(self, seconds: float = 30, store: TicketStore | None = None) -> None:
        if not isinstance(seconds, int | float) or not seconds > 0:
            raise ImproperlyConfigured(
                f"Tickets(seconds={seconds!r}) expire before they are issued: give a number above 0."
            )
        self._seconds = seconds
        self._store: TicketStore = MemoryTicketStore() if store is None else store

    async def issue(self, user: Any) -> str:
        """
        A new ticket for `user`: 43 characters that may stand in a URL and in a subprotocol.

        Args:
            user: What `redeem` gives; with a store outside of this process, something that the store can write down.
        """
        ticket = secrets.token_urlsafe(32)
        await self._store.put(_key_of(ticket), user, self._seconds)
        return ticket

    async def redeem(self, connection: Connection) -> Any:
        """
        The user of the ticket that the client shows, which is void from then on; None if it shows no valid one.

        It is read from `Sec-WebSocket-Protocol: ticket, <value>` (see `offered_credential`), else from the query
        string, `?ticket=<value>`, which servers and proxies write into their access logs.
        """
        ticket = offered_credential(connection, "ticket")
        if ticket is None:
            ticket = well_formed(connection.query_params.get("ticket", ""))
        return None if ticket is None else await self._store.take(_key_of(ticket))


def _key_of(ticket: str) -> str:
    # Fast on purpose: a slow hash protects what can be guessed, and 256 random bits cannot.
    return hashlib.sha256(ticket.encode("ascii")).hexdigest()
