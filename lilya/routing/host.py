"""`Host`: an application, or routes, for requests to certain host names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lilya._layers import Layers
from lilya.datastructures import Header, URLPath
from lilya.enums import Match
from lilya.exceptions import ImproperlyConfigured
from lilya.routing._index import Index
from lilya.routing._pattern import Pattern, parse_pattern
from lilya.routing._table import Branch
from lilya.routing.base import Around, checked_app, describe
from lilya.routing.include import MountPath, mount_branches
from lilya.types import ASGIApp, ExceptionHandlers, Receive, Scope, Send

__all__ = ["Host"]

# What stands outside of the brackets of parameters.
_LITERAL = r"[^{}<>]+(?![^{}<>]*[}>])"  # compiled when first used: the import of the library stays light


class Host(MountPath):
    """
    An application for one host, or for a pattern of hosts such as `"{tenant}.example.com"`.

    Host names are compared without regard to case; the port of the `Host` header does not count, unless the pattern
    names one. An IPv6 address is written as in a URL: `"[::1]"`.

    Args:
        host: The pattern; its parameters become path parameters.
        app: Any ASGI application, or its import path.
        name: Prefix of the names inside, as for `Include`.
    """

    def __init__(
        self,
        host: str,
        app: Any,
        name: str | None = None,
        *,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
    ) -> None:
        if host.startswith("/"):
            raise AssertionError(f"Host must not start with '/': {host!r}. A host is written like 'api.example.com'.")
        self.host = host
        self.pattern: Pattern = parse_pattern("/" + re.sub(_LITERAL, lambda literal: literal[0].lower(), host))
        self._index = Index()
        self._index.add(self.pattern, 0)
        if self.pattern.depth != 1:
            raise ImproperlyConfigured(f"{describe(self, host)}: a host name has no slash.")
        self._has_port = bool(_port_of(host))
        self.app: ASGIApp = checked_app(describe(self, host), app)
        self.name = name
        self.dependencies: Mapping[str, Any] = dict(dependencies or {})
        self.layers: Layers = Layers(
            middleware=middleware,
            permissions=permissions,
            exception_handlers=exception_handlers,
            before_request=before_request,
            after_request=after_request,
        )

    def branches(self, around: Around) -> Iterator[Branch]:
        for branch in mount_branches(self, around, parse_pattern("", allow_empty=True), self.app, None):
            branch.app = _WithHostParams(self, branch.app)
            branch.probe = self.probe
            branch.param_names = [*branch.param_names, *self.pattern.names]
            yield branch

    def probe(self, scope: Scope) -> Match:
        """Whether the scope's `Host` header fits."""
        return Match.NONE if self.params_for(scope) is None else Match.FULL

    def params_for(self, scope: Scope) -> dict[str, Any] | None:
        """The parameters of the host name in the `Host` header; None if it is another host."""
        name = Header.from_scope(scope).get("host", "").lower()
        port = _port_of(name)
        if port and not self._has_port:
            name = name[: -len(port)]
        match = self._index.match("/" + name)
        return self.pattern.convert(match[0][1]) if match else None

    def _placed(self, filled: str, found: URLPath) -> URLPath:
        return URLPath(found, protocol=found.protocol, host=filled[1:])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(host={self.host!r}, name={self.name!r}, app={self.app!r})"


class _WithHostParams:
    """Adds the parameters of the host name to those of the path."""

    __slots__ = ("app", "host")

    def __init__(self, host: Host, app: ASGIApp) -> None:
        self.host = host
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {**scope.get("path_params", {}), **(self.host.params_for(scope) or {})}
        await self.app(scope, receive, send)


def _port_of(host: str) -> str:
    """The `:port` at the end of a host, with its colon; empty if there is none."""
    _, colon, port = host.rpartition(":")
    return colon + port if colon and port.isdecimal() else ""
