"""
From a scope to a handler: the table of routes of one router, compiled at startup.

Precedence, in this order:

1. A route for HTTP never matches a WebSocket scope, nor the reverse; a mount takes both.
2. Of the routes that match fully, the one declared first wins. Nothing is reordered because it is more specific.
3. A full match beats a partial one (the path fits, the HTTP method does not), wherever they are declared.
4. A handler that raises `ContinueRouting`, or returns without having answered, gives the next match its turn.
5. Without any match, HTTP is redirected to the other spelling of the trailing slash, if that one exists; else it is
   not found. A WebSocket is never redirected.

A bare `Include(routes=[…])` has no entry of its own: its routes stand in the table of its parent. An include with
layers, a host and a mounted application are one entry each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lilya import _log
from lilya._endpoints import MOUNTS
from lilya._policy import Demands
from lilya._response import PlainText, RedirectResponse
from lilya._watch import POLICY
from lilya._wire import WIRE
from lilya.datastructures import URL
from lilya.enums import Match
from lilya.exceptions import ContinueRouting, ImproperlyConfigured, MethodNotAllowed, NotFound
from lilya.routing._index import Index
from lilya.routing._pattern import Pattern
from lilya.routing._shape import Shape
from lilya.transformers import PathTransformer, Transformer
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocketClose

if TYPE_CHECKING:
    from lilya._endpoints import Mount, Prepared

__all__ = ["Branch", "RouteTable", "forget", "get_route_path"]

logger = logging.getLogger("lilya")

# The name of the parameter that holds what a mount leaves to the application inside.
REST = "path"


class _Rest(Transformer[str]):
    """Whatever follows the prefix of a mount, line breaks included."""

    regex = r"[\s\S]*"

    def transform(self, value: str) -> str:
        return value


def mount_patterns(prefix: Pattern) -> list[Pattern]:
    """What a mount at `prefix` matches: everything below it, and the prefix itself."""
    if REST in prefix.names:
        raise ImproperlyConfigured(
            f"Duplicated param name {REST} in the path {prefix.template}: a mount needs it for the rest of the path; "
            f"give the parameter another name."
        )
    rest = Shape(("", ""), [(REST, _Rest())])
    below = Pattern(prefix.template or "/", (*prefix.segments, rest), (*prefix.names, REST))
    return [below, prefix] if prefix.segments else [below]


class Branch:
    """
    One entry of the table: a pattern and the composed application behind it.

    Args:
        pattern: The full pattern, with the prefixes of the includes around it.
        kind: "http", "websocket", or None for both.
        app: What to run, with all its layers.
        route: The declared route, for `scope["route"]`.
        handler: What the user declared, for `scope["handler"]`.
        methods: HTTP methods; None for all.
        prefix: How many segments of the pattern belong to includes (they become part of `root_path`).
        mount: The pattern ends in a remainder that belongs to another table or application.
        probe: For a mount that falls through: how well something inside matches this scope.
        handed_on: For a mount: gives the maps of dependencies that the application inside sees, as they are now.
        behind: What is told, at startup, the chain of mounts around it, and raises what is wrong with it.
        redirect_slashes: Whether HTTP may be redirected to this route's spelling of the trailing slash.
        demands: What the route, or the mount, and the includes around it demand of a WebSocket.
        admits: No route of ours is behind it, so that it is here that a WebSocket is let in.
    """

    def __init__(
        self,
        pattern: Pattern,
        kind: str | None,
        app: ASGIApp,
        *,
        route: object,
        handler: object,
        methods: frozenset[str] | None = None,
        prefix: int = 0,
        mount: bool = False,
        probe: Callable[[Scope], Match] | None = None,
        handed_on: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        behind: Prepared | None = None,
        redirect_slashes: bool = True,
        demands: tuple[Demands, ...] = (),
        admits: bool = False,
    ) -> None:
        self.demands = demands
        self.admits = admits
        self.pattern = pattern
        self.kind = kind
        self.app = app
        self.methods = methods
        self.prefix = prefix
        self.mount = mount
        self.probe = probe
        self.handed_on = handed_on
        self.behind = behind
        self.redirect_slashes = redirect_slashes
        self.tell = {"handler": handler, "route": route, "route_path_template": pattern.template}
        # The path parameters that a handler behind this branch may ask for.
        self.param_names: Sequence[str] = [name for name in pattern.names if not (mount and name == REST)]


class RouteTable:
    """
    The branches of one router, in the order of their declaration, and the way from a scope to one of them.

    Args:
        branches: In order of declaration.
        redirect_slashes: Redirect HTTP to the other spelling of a trailing slash.
        missing: What answers a scope that nothing matches; None raises `NotFound` for the layers of the application
            around, and is a plain refusal where there is none.
        falls_through: Nothing matches here: let the table outside try its next branch (`missing` is not asked).
        within: The prefix of the mounts around this table, for messages.
        owns_scope: No layer stands between whoever made the scope and this table, so that handlers may be handed it
            as it is, without another copy.
        reported: Pairs of templates whose conflict has been logged; updated, so that each is logged once.
    """

    def __init__(
        self,
        branches: Iterable[Branch],
        *,
        redirect_slashes: bool = True,
        missing: ASGIApp | None = None,
        falls_through: bool = False,
        within: str = "",
        reported: set[tuple[str, str]] | None = None,
        owns_scope: bool = False,
    ) -> None:
        self.owns_scope = owns_scope
        self.branches = list(branches)
        self._within = within
        self._reported = reported if reported is not None else set()
        # What the mounts that do not fall through take: everything, of whatever kind, below their prefix.
        self._taken = Index()
        self.redirect_slashes = redirect_slashes
        self.missing = missing
        self.falls_through = falls_through
        self.indexes = {"websocket": Index(), "http": Index()}
        for number, branch in enumerate(self.branches):
            for kind, index in self.indexes.items():
                if branch.kind is None or branch.kind == kind:
                    self._report_covered(index, kind, branch)
                    index.add(branch.pattern, number)
            if branch.mount and branch.probe is None and branch.pattern.has_tail:
                pattern = branch.pattern
                everything = Shape(("", ""), [(REST, PathTransformer())])
                self._taken.add(Pattern(pattern.template, (*pattern.segments[:-1], everything), pattern.names), number)

    def _report_covered(self, index: Index, kind: str, branch: Branch) -> None:
        for earlier in (index.covered(branch.pattern), self._taken.covered(branch.pattern)):
            if earlier is None or not _hides(self.branches[earlier], branch):
                continue
            pair = (self._within + self.branches[earlier].pattern.template, self._within + branch.pattern.template)
            if pair not in self._reported:
                self._reported.add(pair)
                logger.warning(
                    "The %s %s can never be reached: %s, declared earlier, takes everything that it matches",
                    "mount" if branch.mount else f"{kind} route",
                    pair[1],
                    pair[0],
                )
            return

    def prepare(self, mounts: tuple[Mount, ...]) -> None:
        """Let every branch compile what it needs behind these mounts."""
        for branch in self.branches:
            if branch.behind is not None:
                branch.behind.prepare((*mounts, branch) if branch.mount else mounts)

    def forget(self) -> None:
        """Let every branch compile it anew."""
        forget(self.branches)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the first branch that matches and answers."""
        path = get_route_path(scope) if scope.get("root_path") else scope["path"]
        allowed: frozenset[str] = frozenset()
        silent = False
        partial: tuple[Branch, dict[str, Any]] | None = None
        outer = scope.get("path_params")
        for number, values in self.indexes[scope["type"]].match(path):
            branch = self.branches[number]
            params = branch.pattern.convert(values)
            if params is None:
                continue
            if outer:
                params = {**outer, **params}
            if branch.methods is not None and scope["method"] not in branch.methods:
                allowed |= branch.methods
                continue
            if branch.probe is not None:
                fit = branch.probe(self._child(branch, params, scope, path))
                if fit is Match.NONE:
                    continue
                if fit is Match.PARTIAL:
                    partial = partial or (branch, params)
                    continue
            answered = await self._answered(branch, params, path, scope, receive, send)
            if answered:
                return
            silent = silent or answered is None
        if partial is not None and await self._answered(*partial, path, scope, receive, send):
            return
        await self._not_matched(path, allowed, silent, scope, receive, send)

    def _child(self, branch: Branch, params: dict[str, Any], scope: Scope, path: str) -> Scope:
        """The scope for what is behind a branch."""
        child = {**scope, **branch.tell, "path_params": params}
        if branch.prefix:
            root_path = scope.get("root_path", "")
            child.setdefault("app_root_path", root_path)
            child["root_path"] = root_path + "/".join(path.split("/", branch.prefix + 1)[: branch.prefix + 1])
        if branch.mount:
            params.pop(REST, None)
            child[MOUNTS] = (*scope.get(MOUNTS, ()), branch)
            child["dependencies"] = [*scope.get("dependencies", ()), *branch.handed_on()]
            if branch.demands and not branch.admits and child["type"] == "websocket":
                policy = scope.get(POLICY) or scope[WIRE].watch.policy
                for demands in branch.demands:
                    policy = demands.applied_to(policy)
                child[POLICY] = policy
        return child

    async def _answered(
        self, branch: Branch, params: dict[str, Any], path: str, scope: Scope, receive: Receive, send: Send
    ) -> bool | None:
        """Run one branch; if the next one shall have its turn, False, or None for a handler that just returned."""
        wire = scope[WIRE]
        # The layers around this table learn which route it was, and so do the logs.
        scope.update(branch.tell)
        if branch.admits and scope["type"] == "websocket":
            wire.branch, wire.mounts = branch, scope.get(MOUNTS)
            wire.watch.admit(wire, branch.demands, scope)
        if self.owns_scope and not branch.prefix and not branch.mount:
            child = scope
            child["path_params"] = params
        else:
            child = self._child(branch, params, scope, path)
        silent = False
        try:
            await branch.app(child, receive, send)
        except ContinueRouting:
            if wire.answered:
                raise RuntimeError(
                    f"{branch.pattern.template}: ContinueRouting was raised after the connection had been answered."
                ) from None
        else:
            if wire.answered:
                return True
            if scope["type"] == "websocket" and not branch.mount:
                _log.report_unanswered(scope, wire.id)
                silent = True
        finally:
            if branch.mount:
                scope.update({key: child[key] for key in branch.tell})
        wire.rewind()
        return None if silent else False

    def probe(self, scope: Scope) -> Match:
        """How well the best branch matches a scope, without running anything."""
        best = Match.NONE
        path = get_route_path(scope)
        for branch, params in self._candidates(scope["type"], path):
            if branch.methods is not None and scope.get("method") not in branch.methods:
                best = max(best, Match.PARTIAL)
                continue
            fit = Match.FULL if branch.probe is None else branch.probe(self._child(branch, params, scope, path))
            if fit is Match.FULL:
                return fit
            best = max(best, fit)
        return best

    def _candidates(self, kind: str, path: str) -> Iterator[tuple[Branch, dict[str, Any]]]:
        for number, values in self.indexes[kind].match(path):
            params = self.branches[number].pattern.convert(values)
            if params is not None:
                yield self.branches[number], params

    async def _not_matched(
        self, path: str, allowed: frozenset[str], silent: bool, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if allowed:
            await self._wrong_method(allowed, scope, receive, send)
            return
        if scope["type"] == "http" and self.redirect_slashes and self._other_spelling(path, scope):
            url = URL.build_from_scope(scope)
            other = url.path[:-1] if path.endswith("/") else url.path + "/"
            await RedirectResponse(str(url.replace(path=other)))(scope, receive, send)
            return
        if self.falls_through:
            raise ContinueRouting
        if self.missing is not None:
            await self.missing(scope, receive, send)
            return
        if "app" not in scope:
            await _not_found(scope, receive, send)
            return
        if silent:
            raise NotFound(cause="handler", why="the handler returned without accept() or close()")
        near = self.indexes[scope["type"]].nearest(path)
        hint = self.branches[near].pattern.template if near is not None else None
        raise NotFound(near=hint)

    def _other_spelling(self, path: str, scope: Scope) -> bool:
        other, whole = (text[:-1] if path.endswith("/") else text + "/" for text in (path, scope["path"]))
        moved = {**scope, "path": whole}
        for branch, params in self._candidates("http", other) if other else ():
            # A mount that falls through has to be asked, or two spellings of nothing would redirect to each other.
            if branch.redirect_slashes and (
                branch.probe is None or branch.probe(self._child(branch, params, moved, other)) is not Match.NONE
            ):
                return True
        return False

    async def _wrong_method(self, allowed: frozenset[str], scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"allow": ", ".join(sorted(allowed))}
        if "app" in scope:
            raise MethodNotAllowed(headers=headers)
        await PlainText("Method Not Allowed", status_code=405, headers=headers)(scope, receive, send)


def forget(branches: Iterable[Branch]) -> None:
    """Let these branches compile anew what they need: their surroundings have changed, or they are no longer used."""
    for branch in branches:
        if branch.behind is not None:
            branch.behind.forget()


def _hides(earlier: Branch, later: Branch) -> bool:
    """Whether a branch whose pattern covers another one's leaves nothing to it."""
    if earlier.probe is not None or earlier.tell["route"] is later.tell["route"]:
        return False
    if later.mount and not earlier.mount:
        return False
    return earlier.methods is None or (later.methods is not None and later.methods <= earlier.methods)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    # A router or route that stands alone: a plain 404, or a close before accept, which is a 403.
    if scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)
    else:
        await PlainText("Not Found", status_code=404)(scope, receive, send)


def get_route_path(scope: Scope) -> str:
    """The part of the path that routes see: `path` without `root_path` (ASGI spec, "HTTP connection scope")."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    if not root_path or not path.startswith(root_path):
        return path
    rest = path[len(root_path) :]
    return rest or "/" if not rest or rest[0] == "/" else path
