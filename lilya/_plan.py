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

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal, NoReturn

from lilya._making import CONNECTION, SHARED, Filling, Step, arguments_of, make_all
from lilya._shared import SharedValues, shared_step
from lilya._signature import VARIADIC, find_connections, kind_of, parameters_of, where_defined
from lilya.concurrency import run_in_threadpool
from lilya.dependencies import Provide, Provides, Resolve, open_parameters, step_of, wrap_dependency
from lilya.enums import Scope
from lilya.exceptions import ImproperlyConfigured

__all__ = ["CallPlan", "compile_plan"]


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
    steps: tuple[Step, ...]

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
            path_params: At least the parameters named in `compile_plan`.
            shared: The application's store; without one, what is of scope "app" lives as long as this call.
            respond: Sends the handler's result, while the dependencies are still open.
        """
        values: dict[Any, Any] = {**path_params, CONNECTION: connection}
        if not self.steps:
            result = await self._call(values)
            if respond is not None:
                await respond(result)
            return result
        async with AsyncExitStack() as stack:
            if shared is None:
                shared = SharedValues()
                stack.push_async_callback(shared.aclose)
            values[SHARED] = shared
            await make_all(self.steps, values, stack)
            result = await self._call(values)
            if respond is not None:
                await respond(result)
        return result

    # Not a coroutine itself: each one between the server and the handler costs at every message.
    def _call(self, values: Mapping[Any, Any]) -> Awaitable[Any]:
        args, kwargs = arguments_of(self.fillings, values)
        if self.threaded:
            return _call_in_thread(self.handler, args, kwargs)
        awaitable: Awaitable[Any] = self.handler(*args, **kwargs)
        return awaitable


async def _call_in_thread(handler: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    result = await run_in_threadpool(handler, *args, **kwargs)
    # An undecorated wrapper around an async handler.
    return await result if isinstance(result, Coroutine) else result


def compile_plan(
    handler: Callable[..., Any],
    *,
    connection_type: type,
    kind: Literal["websocket", "http"],
    path_params: Collection[str],
    dependencies: Mapping[str, object],
    where: str,
) -> CallPlan:
    """
    Read a handler's signature and those of the providers it needs.

    Args:
        connection_type: The class of which a connection's annotation is, or inherits from.
        path_params: The names of the path parameters of the route and of all includes around it.
        where: What the handler belongs to, such as `WebSocketPath '/chat/{room}'`; error messages begin with it.

    Raises:
        ImproperlyConfigured: An argument of the handler or a provider that nothing fills, a WebSocket handler without
            an argument for the connection, a cycle of dependencies, a handler that is a generator function, or a
            provider of a longer scope that needs what only lives shorter.
    """
    steps: list[Step] = []
    owner = f"handler {where_defined(handler)}"
    reader = _Reader(connection_type, kind, path_params, dependencies, where, owner, Scope.REQUEST, (), steps, {})
    how = kind_of(handler)
    if how in ("generator", "async generator"):
        reader.fail(f"{owner} is a generator function. A handler returns; move the `yield` into a dependency.")
    fillings = reader.fill(handler, parameters_of(handler))
    if kind == "websocket" and CONNECTION not in [key for _, key in fillings]:
        reader.fail(f"{owner} has no argument for the connection. Give it a first one: `websocket: WebSocket`.")
    threaded = how != "coroutine function"
    direct = handler if fillings == ((None, CONNECTION),) and not threaded else None
    return CallPlan(direct, handler, threaded, fillings, tuple(steps))


class _Reader:
    """
    Reads the signature of a handler, or of a provider that is needed on the way to it.

    `owner` says whose signature it is, and `scope` what its value is made for: one connection, or something that lives
    longer. `trail` are the dependencies that led here: the name of each, and what is declared under it. `steps` is what
    is to be made, in this order; and `single`, of that, what `use_cache` or a scope allows but once.
    """

    def __init__(
        self,
        connection_type: type,
        kind: Literal["websocket", "http"],
        path_params: Collection[str],
        dependencies: Mapping[str, object],
        where: str,
        owner: str,
        scope: Scope,
        trail: tuple[tuple[str, object], ...],
        steps: list[Step],
        single: dict[Provide, Step],
    ) -> None:
        self.connection_type = connection_type
        self.kind = kind
        self.path_params = path_params
        self.dependencies = dependencies
        self.where = where
        self.owner = owner
        self.scope = scope
        self.trail = trail
        self.steps = steps
        self.single = single

    def replaced(self, **changed: Any) -> _Reader:
        """The same reader but for these attributes."""
        return _Reader(**{**vars(self), **changed})

    def fill(self, fn: Any, parameters: list[inspect.Parameter]) -> tuple[Filling, ...]:
        """Find what fills these parameters of `fn`."""
        fillings: list[Filling] = []
        free = [p for p in parameters if p.kind not in VARIADIC and not isinstance(p.default, Provides | Resolve)]
        wrapper = [p for p in parameters[:1] if p.kind is p.VAR_POSITIONAL]
        known = {*self.dependencies, *self.path_params}
        connections = find_connections(fn, wrapper + free, known, self.kind, not self.trail, self.connection_type)
        for index, parameter in enumerate(parameters):
            is_connection = parameter.name in connections
            if parameter.kind in VARIADIC and not is_connection:
                continue
            by_position = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL) or (
                # First in the call, too, for wrappers `(websocket, **kwargs)` that carry the handler's signature.
                is_connection and index == 0 and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            )
            key = CONNECTION if is_connection else self.key(parameter)
            if key is None and by_position:
                # One that follows it may have to be passed, and that cannot be done by name.
                key = Step("constant", parameter.default)
                self.steps.append(key)
            if key is not None:
                fillings.append((None if by_position else parameter.name, key))
        return tuple(fillings)

    def key(self, parameter: inspect.Parameter) -> object:
        """Find the value of a parameter that is not the connection; None if it is left to its default."""
        name, default = parameter.name, parameter.default
        required = default is parameter.empty or isinstance(default, Provides)
        if isinstance(default, Resolve):
            return self.step(where_defined(default.provide.dependency).rpartition(".")[2], default)
        if name in self.dependencies and (required or self.trail):
            return self.step(name, self.dependencies[name])
        if name in self.path_params and not isinstance(default, Provides):
            if self.scope is not Scope.REQUEST:
                self.fail(
                    f"{self.owner} has scope {str(self.scope)!r} or makes part of such a value, but argument {name!r} "
                    f"is a path parameter, which differs between connections. Use scope='request'."
                )
            return name
        if required:
            path_params, known = ", ".join(sorted(self.path_params)), ", ".join(sorted(self.dependencies))
            self.fail(
                f"nothing fills argument {name!r} of {self.owner}. Path parameters: {path_params or 'none'}. "
                f"Dependencies: {known or 'none'}. Add {name!r} to the path or to `dependencies`, or give the argument "
                f"a default."
            )
        return None

    def step(self, name: str, declared: object) -> Step:
        """Find the step that makes a dependency; it and those before it are added to what is to be made."""
        trail = (*self.trail, (name, declared))
        circle = [place for place, (_, known) in enumerate(self.trail) if known is declared]
        if circle:
            names = " -> ".join(known for known, _ in trail[circle[0] :])
            self.fail(f"dependency cycle {names}. Make one of them without the other.")
        provide = wrap_dependency(declared)
        if provide.scope is Scope.APP and self.scope is Scope.GLOBAL:
            self.fail(
                f"{self.owner} has scope 'global' or makes part of such a value, but {name!r} has scope 'app' and ends "
                f"earlier. Give both the same scope."
            )
        if provide in self.single:
            return self.single[provide]
        owner = f"provider {where_defined(provide.dependency)} of dependency {name!r}"
        reader = self.replaced(owner=owner, trail=trail)
        if provide.scope is not Scope.REQUEST:
            reader = reader.replaced(scope=provide.scope, steps=[], single={})
        try:
            parameters = open_parameters(provide)
        except ImproperlyConfigured as error:
            self.fail(str(error))
        step = step_of(provide, reader.fill(provide.dependency, parameters), declared)
        reader.steps.append(step)
        if provide.scope is not Scope.REQUEST:
            step = shared_step(provide.scope, reader.steps)
            self.steps.append(step)
        if provide.use_cache or provide.scope is not Scope.REQUEST:
            self.single[provide] = step
        return step

    def fail(self, problem: str) -> NoReturn:
        raise ImproperlyConfigured(f"{self.where}: {problem}")
