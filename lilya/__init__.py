"""
A WebSocket-first ASGI micro-framework.

`from lilya import Lilya` is enough for a first app; everything else has a module of its own, where users of the
public API already look for it: `lilya.routing`, `lilya.websockets`, `lilya.responses`, `lilya.exceptions` …
"""

from lilya._version import __version__ as __version__
from lilya.apps import ChildLilya as ChildLilya
from lilya.apps import Lilya as Lilya
from lilya.websockets import WebSocket as WebSocket
from lilya.websockets import WebSocketDisconnect as WebSocketDisconnect
