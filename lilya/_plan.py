"""
The signature of a handler, read once at startup: which argument gets what.

What fills an argument, first that applies:

1. `Provides()` as its default: the dependency of its name. `Resolve(…)`/`Security(…)`: what that makes.
2. The connection: every argument annotated with a connection class; else one named `websocket`, `socket` or `ws` (in
   WebSocket handlers), `request` or `connection`, unless a dependency or path parameter has that name; else, in a
   WebSocket handler, the first positional one whatever its name; in an HTTP handler the first positional one that
   nothing else fills; in a provider its only positional one that nothing else fills.
3. The dependency of its name; in a handler only if the argument has no default.
4. The path parameter of its name.
5. Its own default.

An argument that nothing fills is an error at startup. `*args` and `**kwargs` get nothing, except that a handler which
begins with `*args`, such as a wrapper that does not show what it wraps, is passed the connection.

What is left for each connection is `CallPlan.run`: make the values, call the handler, close the generators.
"""

import asyncio
import inspect
import threading
import types
import typing
import weakref
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Any, Literal, NoReturn, TypeAlias

from lilya.concurrency import run_in_threadpool
from lilya.dependencies import (
    Kind,
    Provide,
    Provides,
    Resolve,
    body_of,
    kind_of,
    make_value,
    open_parameters,
    signature_of,
    where_defined,
    wrap_dependency,
)
from lilya.enums import Scope
from lilya.exceptions import ImproperlyConfigured

__all__ = ["CallPlan", "SharedValues", "compile_plan"]

# What an annotation that cannot be evaluated (a name imported for the type checker only) must end in.
CONNECTION_TYPES = frozenset({"Connection", "HTTPConnection", "Request", "WebSocket"})
CONNECTION_NAMES = {
    "websocket": ("websocket", "socket", "ws", "request", "connection"),
    "http": ("request", "connection"),
}

# Where an argument comes from: the key says what the detail is.
CONNECTION, PATH, MADE, CONSTANT = range(4)
# (keyword, or None if passed by position; source; name of the path parameter, index of the node, or the value)
Filling: TypeAlias = tuple[str | None, int, Any]
# The names that led to a provider, each with a key that tells two of the same name apart.
Trail: TypeAlias = tuple[tuple[object, str], ...]


def compile_plan(
    handler: Callable[..., Any],
    *,
    connection_type: type,
    kind: Literal["websocket", "http"],
    path_params: Collection[str],
    dependencies: Mapping[str, object],
    where: str,
) -> "CallPlan":
    """
    Read a handler's signature and those of the providers it needs.

    Args:
        handler: A function, method, `functools.partial` or callable object; sync or async.
        connection_type: The class of which a connection's annotation is, or inherits from.
        kind: Decides which argument is the connection (see above).
        path_params: The names of the path parameters of the route and of all includes around it.
        dependencies: The merged map: `Provide`, callables and plain values by name.
        where: What the handler belongs to, such as `WebSocketPath '/chat/{room}'`; error messages begin with it.

    Raises:
        ImproperlyConfigured: An argument of the handler or a provider that nothing fills, a WebSocket handler without
            an argument for the connection, a cycle of dependencies, a handler that is a generator function, or a
            provider of a longer scope that needs what only lives shorter.
    """
    return _Compiler(connection_type, kind, path_params, dependencies, where).plan(handler)


class SharedValues:
    """
    The values of scope "app", one store per application; and its access to those of scope "global".

    Any number of connections may ask at once, from any event loop: one makes the value, the others wait for it. A
    failure, or the cancellation of the one who makes it, is not kept: the next one tries again.
    """

    __slots__ = ("__weakref__", "_store")

    def __init__(self) -> None:
        self._store = _Store()

    async def get(self, node: "_Node", connection: Any) -> Any:
        """The value of a shared dependency; made with this connection if it is the first to ask."""
        if node.provide.scope is Scope.APP:
            return await self._store.get(node, connection, self)
        _users_of_process.add(self)
        return await _process.get(node, connection, self)

    async def aclose(self) -> None:
        """
        Close the generators of the application, the last one opened first, and forget all its values.

        Global generators are closed with the last application that used them; what they gave is then made anew when
        it is needed again. Call it when no connection is left; the store can be used again afterwards.
        """
        try:
            await self._store.aclose(keep_plain=False)
        finally:
            _users_of_process.discard(self)
            if not _users_of_process:
                await _process.aclose(keep_plain=True)


class CallPlan(typing.NamedTuple):
    """
    How to call a handler; made by `compile_plan`, the same for all connections, and without state.

    `direct` is the handler itself if it is async and takes only the connection: awaiting `direct(connection)` is then
    all there is to do.
    """

    direct: Callable[[Any], Awaitable[Any]] | None
    handler: Callable[..., Any]
    threaded: bool
    fillings: tuple[Filling, ...]
    nodes: "tuple[_Node, ...]"

    async def run(
        self,
        connection: Any,
        path_params: Mapping[str, Any],
        shared: SharedValues | None = None,
        respond: Callable[[Any], Awaitable[None]] | None = None,
    ) -> Any:
        """
        Make the dependencies, call the handler, pass its result to `respond`, close the dependencies.

        Generators are closed in reverse order however the call ends: return, error, cancellation or disconnect. The
        exception is thrown into each of them; none can swallow it (see `lilya.dependencies`). An error in one clean-up
        does not prevent the others; the last one is raised, with the earlier ones as its context.

        Args:
            connection: The `WebSocket` or `Request`.
            path_params: At least the parameters named in `compile_plan`.
            shared: The application's store; without one, what is of scope "app" lives as long as this call.
            respond: Sends the handler's result, while the dependencies are still open.
        """
        if not self.nodes:
            result = await self._call(connection, path_params, ())
            if respond is not None:
                await respond(result)
            return result
        async with AsyncExitStack() as stack:
            if shared is None:
                shared = SharedValues()
                stack.push_async_callback(shared.aclose)
            run = _Run(connection, path_params, shared, stack)
            result = await self._call(connection, path_params, [await node.value(run) for node in self.nodes])
            if respond is not None:
                await respond(result)
        return result

    # Not a coroutine itself: each one between the server and the handler costs at every message.
    def _call(self, connection: Any, path_params: Mapping[str, Any], made: Sequence[Any]) -> Awaitable[Any]:
        args, kwargs = _arguments(self.fillings, connection, path_params, made)
        if self.threaded:
            return _call_in_thread(self.handler, args, kwargs)
        awaitable: Awaitable[Any] = self.handler(*args, **kwargs)
        return awaitable


class _Run:
    """What one connection, or the making of one shared value, needs while dependencies are made."""

    __slots__ = ("cached", "connection", "path_params", "shared", "stack")

    def __init__(
        self, connection: Any, path_params: Mapping[str, Any], shared: SharedValues, stack: AsyncExitStack
    ) -> None:
        self.connection = connection
        self.path_params = path_params
        self.shared = shared
        self.stack = stack
        self.cached: dict[Provide, Any] = {}


class _Node:
    """A provider with its arguments worked out."""

    __slots__ = ("closes", "fillings", "kind", "nodes", "provide")

    def __init__(
        self, provide: Provide, kind: Kind, fillings: "tuple[Filling, ...]", nodes: "tuple[_Node, ...]"
    ) -> None:
        self.provide = provide
        self.kind = kind
        self.fillings = fillings
        self.nodes = nodes
        # Whether the value, or one it is made of, ends at some time.
        self.closes: bool = kind in ("generator", "async generator") or any(node.closes for node in nodes)

    async def value(self, run: _Run) -> Any:
        """The value for one argument: made, or taken from where its scope and `use_cache` keep it."""
        provide = self.provide
        if provide.scope is not Scope.REQUEST:
            return await run.shared.get(self, run.connection)
        if not provide.use_cache:
            return await self.make(run)
        if provide not in run.cached:
            run.cached[provide] = await self.make(run)
        return run.cached[provide]

    async def make(self, run: _Run) -> Any:
        made = [await node.value(run) for node in self.nodes]
        args, kwargs = _arguments(self.fillings, run.connection, run.path_params, made)
        return await make_value(self.kind, run.stack, self.provide, args, kwargs)


class _Store:
    """Values by their `Provide`, each made once, however many tasks and event loops ask for it."""

    __slots__ = ("_in_making", "_lock", "_made", "_stack")

    def __init__(self) -> None:
        # Held only between two awaits, so that a second event loop (test clients have their own) waits for nothing.
        self._lock = threading.Lock()
        # With the event loop on which its generators run: they end with it at the latest, and with them the value.
        self._made: dict[Provide, tuple[Any, asyncio.AbstractEventLoop | None]] = {}
        self._in_making: dict[Provide, Future[None]] = {}
        self._stack = AsyncExitStack()

    async def get(self, node: _Node, connection: Any, shared: SharedValues) -> Any:
        provide = node.provide
        while True:
            with self._lock:
                found = self._made.get(provide)
                if found is not None and not (found[1] is not None and found[1].is_closed()):
                    return found[0]
                other = self._in_making.get(provide)
                if other is None:
                    turn = self._in_making[provide] = Future()
                    break
            # Whether it succeeded or not is seen in the next round; cancelling a waiter leaves the others alone.
            await asyncio.wait([asyncio.wrap_future(other)])
        try:
            value = await self._make(node, connection, shared)
            self._made[provide] = value, asyncio.get_running_loop() if node.closes else None
            return value
        finally:
            with self._lock:
                del self._in_making[provide]
            turn.set_result(None)

    async def _make(self, node: _Node, connection: Any, shared: SharedValues) -> Any:
        # What a shared value is made of belongs to it, and not to the connection that came first.
        async with AsyncExitStack() as stack:
            value = await node.make(_Run(connection, {}, shared, stack))
            self._stack.push_async_exit(stack.pop_all())
        return value

    async def aclose(self, *, keep_plain: bool) -> None:
        with self._lock:
            stack, self._stack = self._stack, AsyncExitStack()
            self._made = {key: made for key, made in self._made.items() if keep_plain and made[1] is None}
        await stack.aclose()


# What "once per process" means needs one place in the process; applications that let go of it without `aclose` do not
# count as users.
_process = _Store()
_users_of_process: weakref.WeakSet[SharedValues] = weakref.WeakSet()


async def _call_in_thread(handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = await run_in_threadpool(handler, *args, **kwargs)
    # An undecorated wrapper around an async handler.
    return await result if isinstance(result, Coroutine) else result


def _arguments(
    fillings: tuple[Filling, ...], connection: Any, path_params: Mapping[str, Any], made: Sequence[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for keyword, source, detail in fillings:
        if source == CONNECTION:
            value = connection
        elif source == PATH:
            value = path_params[detail]
        elif source == MADE:
            value = made[detail]
        else:
            value = detail
        if keyword is None:
            args.append(value)
        else:
            kwargs[keyword] = value
    return tuple(args), kwargs


class _Compiler:
    """Reads one handler and the providers it needs; where the rules above are kept."""

    def __init__(
        self,
        connection_type: type,
        kind: Literal["websocket", "http"],
        path_params: Collection[str],
        dependencies: Mapping[str, object],
        where: str,
    ) -> None:
        self.connection_type = connection_type
        self.kind = kind
        self.path_params = path_params
        self.dependencies = dependencies
        self.where = where
        # By description and by the scope around it, since both decide what the provider may use.
        self.nodes: dict[tuple[object, Scope], _Node] = {}

    def plan(self, handler: Callable[..., Any]) -> CallPlan:
        owner = f"handler {where_defined(handler)}"
        how = kind_of(handler)
        if how in ("generator", "async generator"):
            self._fail(f"{owner} is a generator function. A handler returns; move the `yield` into a dependency.")
        parameters = signature_of(handler)
        connections = self._connections(handler, parameters, is_handler=True)
        if not connections and self.kind == "websocket":
            self._fail(f"{owner} has no argument for the connection. Give it a first one: `websocket: WebSocket`.")
        fillings, nodes = self._fill(parameters, connections, owner, (), Scope.REQUEST)
        only_connection = fillings == ((None, CONNECTION, None),)
        threaded = how != "coroutine function"
        direct = handler if only_connection and not threaded else None
        return CallPlan(direct, handler, threaded, fillings, nodes)

    # -- which argument is the connection --------------------------------------------------------------------------

    def _connections(self, fn: Any, parameters: list[inspect.Parameter], is_handler: bool) -> set[str]:
        free = [p for p in parameters if p.kind is not p.VAR_KEYWORD and not isinstance(p.default, Provides | Resolve)]
        single = [p for p in free if p.kind is not p.VAR_POSITIONAL]
        if not free:
            return set()
        namespace = getattr(inspect.unwrap(body_of(fn)), "__globals__", {})
        annotated = {p.name for p in single if self._is_connection(_evaluated(p.annotation, namespace))}
        if annotated:
            return annotated
        known = {*self.dependencies, *self.path_params}
        names = {p.name for p in single} - known
        named = [name for name in CONNECTION_NAMES[self.kind] if name in names]
        if named:
            return set(named[:1])
        positional = [p for p in free if p.kind is not p.KEYWORD_ONLY and (p in single or p is parameters[0])]
        if is_handler and self.kind == "websocket":
            return {p.name for p in positional[:1]}
        unknown = {p.name: p for p in positional if p.default is p.empty and p.name not in known}
        return set(list(unknown)[:1]) if is_handler or len(unknown) == 1 else set()

    def _is_connection(self, annotation: Any) -> bool:
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            names = [part.strip(" \"'").partition("[")[0].rpartition(".")[2] for part in annotation.split("|")]
            return not CONNECTION_TYPES.isdisjoint(names)
        origin = typing.get_origin(annotation)
        if origin in (typing.Union, types.UnionType):
            return any(self._is_connection(part) for part in typing.get_args(annotation))
        annotation = origin or annotation
        return isinstance(annotation, type) and issubclass(annotation, self.connection_type)

    # -- what fills the others -------------------------------------------------------------------------------------

    def _fill(
        self, parameters: list[inspect.Parameter], connections: set[str], owner: str, trail: Trail, within: Scope
    ) -> tuple[tuple[Filling, ...], tuple[_Node, ...]]:
        fillings: list[Filling] = []
        nodes: list[_Node] = []
        for index, parameter in enumerate(parameters):
            name, default = parameter.name, parameter.default
            is_connection = name in connections
            if not is_connection and parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            by_position = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL) or (
                # First in the call, too, for wrappers `(websocket, **kwargs)` that carry the handler's signature.
                is_connection and index == 0 and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            )
            keyword = None if by_position else name
            node = self._node_for(parameter, is_connection, owner, trail, within)
            if node is not None:
                fillings.append((keyword, MADE, len(nodes)))
                nodes.append(node)
            elif is_connection:
                fillings.append((keyword, CONNECTION, None))
            elif name in self.path_params:
                if within is not Scope.REQUEST:
                    self._fail(
                        f"{owner} has scope {str(within)!r} or makes part of such a value, but argument {name!r} is a "
                        f"path parameter, which differs between connections. Use scope='request'."
                    )
                fillings.append((keyword, PATH, name))
            elif default is parameter.empty:
                self._fail(self._nothing_fills(name, owner))
            elif by_position:
                # One that follows it may have to be passed, and that cannot be done by name.
                fillings.append((None, CONSTANT, default))
        return tuple(fillings), tuple(nodes)

    def _node_for(
        self, parameter: inspect.Parameter, is_connection: bool, owner: str, trail: Trail, within: Scope
    ) -> _Node | None:
        name, default = parameter.name, parameter.default
        if isinstance(default, Resolve):
            provide = default.provide
            label = where_defined(provide.dependency).rpartition(".")[2]
            return self._node((default, label), default, provide, owner, trail, within)
        if isinstance(default, Provides):
            if name not in self.dependencies:
                self._fail(self._nothing_fills(name, owner))
        elif is_connection or name not in self.dependencies or (default is not parameter.empty and not trail):
            return None
        # Looked up under its name, so that a callable in the map is one dependency, and not a new one for each use.
        return self._node((name, name), name, wrap_dependency(self.dependencies[name]), owner, trail, within)

    def _node(
        self, step: tuple[object, str], key: object, provide: Provide, owner: str, trail: Trail, within: Scope
    ) -> _Node:
        if step in trail:
            names = [label for _, label in (*trail[trail.index(step) :], step)]
            self._fail(f"dependency cycle {' -> '.join(names)}. Make one of them without the other.")
        if within is Scope.GLOBAL and provide.scope is Scope.APP:
            self._fail(
                f"{owner} has scope 'global' or makes part of such a value, but {step[1]!r} has scope 'app' and ends "
                f"earlier. Give both the same scope."
            )
        if provide.scope is not Scope.REQUEST:
            within = provide.scope
        node = self.nodes.get((key, within))
        if node is None:
            node = self.nodes[key, within] = self._compiled(provide, step, (*trail, step), within)
        return node

    def _compiled(self, provide: Provide, step: tuple[object, str], trail: Trail, within: Scope) -> _Node:
        owner = f"provider {where_defined(provide.dependency)} of dependency {step[1]!r}"
        try:
            parameters = open_parameters(provide)
        except ImproperlyConfigured as error:
            self._fail(str(error))
        connections = self._connections(provide.dependency, parameters, is_handler=False)
        fillings, nodes = self._fill(parameters, connections, owner, trail, within)
        return _Node(provide, kind_of(provide.dependency), fillings, nodes)

    # -- errors ----------------------------------------------------------------------------------------------------

    def _nothing_fills(self, name: str, owner: str) -> str:
        path_params, known = ", ".join(sorted(self.path_params)), ", ".join(sorted(self.dependencies))
        return (
            f"nothing fills argument {name!r} of {owner}. Path parameters: {path_params or 'none'}. Dependencies: "
            f"{known or 'none'}. Add {name!r} to the path or to `dependencies`, or give the argument a default."
        )

    def _fail(self, problem: str) -> NoReturn:
        raise ImproperlyConfigured(f"{self.where}: {problem}")


def _evaluated(annotation: Any, namespace: dict[str, Any]) -> Any:
    """An annotation that may be text, without `Annotated`; still text if it names what cannot be found."""
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"it": annotation}), namespace)["it"]
    except Exception:  # any: the text is the user's, and may name what exists only for the type checker
        return annotation
