"""Small functions at the places where users of the public API look for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lilya.concurrency import is_async_callable as is_async_callable
from lilya.concurrency import run_in_threadpool as run_in_threadpool
from lilya.context import request_context
from lilya.datastructures import URLPath

__all__ = ["is_async_callable", "reverse", "run_in_threadpool"]


def reverse(name: str, app: Any = None, path_params: Mapping[str, Any] | None = None, **params: Any) -> URLPath:
    """
    The path of the route called `name`, as `app.path_for` gives it.

    Args:
        app: An application or router; without one, the outermost router of the connection being served.
        path_params, **params: The path parameters.

    Raises:
        NoMatchFound: No route has that name and exactly these parameters.
        RuntimeError: No `app`, and no connection is being served.
    """
    router = app if app is not None else request_context["router"]
    path: URLPath = router.path_for(name, **{**(path_params or {}), **params})
    return path
