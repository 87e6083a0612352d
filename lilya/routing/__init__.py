"""Routing: which handler a scope belongs to. The precedence is stated in `lilya.routing._table`."""

from lilya.enums import Match as Match
from lilya.exceptions import ContinueRouting as ContinueRouting
from lilya.routing._pattern import compile_path as compile_path
from lilya.routing._table import get_route_path as get_route_path
from lilya.routing.base import BasePath as BasePath
from lilya.routing.base import NoMatchFound as NoMatchFound
from lilya.routing.base import PassPartialMatches as PassPartialMatches
from lilya.routing.base import get_name as get_name
from lilya.routing.host import Host as Host
from lilya.routing.include import Include as Include
from lilya.routing.path import Path as Path
from lilya.routing.path import Route as Route
from lilya.routing.path import RoutePath as RoutePath
from lilya.routing.router import BaseRouter as BaseRouter
from lilya.routing.router import Router as Router
from lilya.routing.router import RoutingMethodsMixin as RoutingMethodsMixin
from lilya.routing.websocket import WebSocketPath as WebSocketPath
from lilya.routing.websocket import WebSocketRoute as WebSocketRoute
