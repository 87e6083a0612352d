"""
What a callable tells about itself before it is called: its name, how it gives its value, which of its arguments is the
connection (rule 2 of `lilya._plan`).
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, TypeAlias

__all__ = ["VARIADIC", "Kind", "find_connections", "kind_of", "parameters_of", "where_defined"]

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
# What has to be done to get a value; "inline" is a class or a lambda, which is called without a thread.
Kind: TypeAlias = "Literal['constant', 'inline', 'function', 'coroutine function', 'generator', 'async generator']"

# What an annotation that cannot be evaluated (a name imported for the type checker only) must end in.
CONNECTION_TYPES = frozenset({"Connection", "HTTPConnection", "Request", "WebSocket"})
CONNECTION_NAMES = {
    "websocket": ("websocket", "socket", "ws", "request", "connection"),
    "http": ("request", "connection"),
}


def where_defined(thing: Any) -> str:
    """Name a callable for an error message, as `module.qualname`; anything else by its type."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module = getattr(named, "__module__", None)  # methods of built-in types have none
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)


def _body_of(fn: Any) -> Any:
    # The function whose code runs when `fn` is called.
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, type):
        return fn.__init__  # type: ignore[misc]  # looked at, never called
    return fn if inspect.isroutine(fn) else type(fn).__call__


def kind_of(thing: Any) -> Kind:
    """Tell how to get a value from a dependency."""
    if not callable(thing):
        return "constant"
    body = _body_of(thing)
    if inspect.isgeneratorfunction(body):
        return "generator"
    if inspect.isasyncgenfunction(body):
        return "async generator"
    if getattr(body, "__name__", "") in ("__init__", "<lambda>"):
        return "inline"
    return "coroutine function" if inspect.iscoroutinefunction(body) else "function"


def parameters_of(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    """List the parameters of a callable; a built-in that does not tell has none."""
    try:
        return list(inspect.signature(fn).parameters.values())
    except ValueError:
        return []


def find_connections(
    fn: Any,
    free: Sequence[inspect.Parameter],
    known: Collection[str],
    kind: Literal["websocket", "http"],
    is_handler: bool,
    connection_type: type,
) -> set[str]:
    """Tell which of the `free` parameters are given the connection; something else goes by the `known` names."""
    if not free:
        return set()
    namespace = getattr(inspect.unwrap(_body_of(fn)), "__globals__", {})
    annotated = {p.name for p in free if _is_connection(_evaluated(p.annotation, namespace), connection_type)}
    if annotated:
        return annotated
    unknown = {p.name for p in free}.difference(known)
    named = [name for name in CONNECTION_NAMES[kind] if name in unknown]
    if named:
        return {named[0]}
    positional = [p for p in free if p.kind is not p.KEYWORD_ONLY]
    if kind == "http" or not is_handler:
        positional = [p for p in positional if p.default is p.empty and p.name in unknown]
    return {p.name for p in positional[:1]} if is_handler or len(positional) == 1 else set()


def _is_connection(annotation: Any, connection_type: type) -> bool:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        names = [part.strip(" \"'").partition("[")[0].rpartition(".")[2] for part in annotation.split("|")]
        return not CONNECTION_TYPES.isdisjoint(names)
    origin = typing.get_origin(annotation) or annotation
    if origin in (typing.Union, types.UnionType):
        return any(_is_connection(part, connection_type) for part in typing.get_args(annotation))
    return isinstance(origin, type) and issubclass(origin, connection_type)


def _evaluated(annotation: Any, namespace: dict[str, Any]) -> Any:
    # Without `Annotated`; still text if it names what cannot be found.
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"it": annotation}), namespace)["it"]
    except Exception:  # any: the text is the user's, and may name what exists only for the type checker
        return annotation
