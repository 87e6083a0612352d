"""Middleware: how it is declared."""

from lilya._define import DefineMiddleware as DefineMiddleware
from lilya._define import Middleware as Middleware
from lilya.protocols.middleware import MiddlewareProtocol as MiddlewareProtocol
