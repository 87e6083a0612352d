"""The declaration of a middleware, at the path where users of the public API look for it."""

from lilya._define import DefineMiddleware as DefineMiddleware

__all__ = ["DefineMiddleware"]
