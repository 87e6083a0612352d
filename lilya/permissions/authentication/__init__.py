"""
Authentication for HTTP and WebSocket alike: read credentials, let in whoever they belong to, hand out tickets.

`Authenticated` asks a function of yours who is there, and `Requires` asks one whether that is allowed. The first of
them finds credentials with `bearer_token`, or with `Tickets` for pages of other sites.
"""

from lilya.permissions.authentication._credentials import bearer_token, offered_credential
from lilya.permissions.authentication._permissions import Authenticated, Requires
from lilya.permissions.authentication._store import MemoryTicketStore, TicketStore
from lilya.permissions.authentication._tickets import Tickets

__all__ = [
    "Authenticated",
    "MemoryTicketStore",
    "Requires",
    "TicketStore",
    "Tickets",
    "bearer_token",
    "offered_credential",
]
