"""Counts of WebSocket connections for Prometheus. Needs the extra `prometheus` (prometheus_client)."""

from __future__ import annotations

from lilya.instruments import ConnectionInfo, Instrument

try:
    import prometheus_client
except ImportError as _missing:
    raise ImportError(
        "lilya.observability.prometheus needs the package prometheus_client. In a checkout of lilya: "
        "pip install '.[prometheus]'; anywhere else: pip install prometheus-client",
        name="prometheus_client",
    ) from _missing

__all__ = ["PrometheusInstrument"]

# From a connection that fails at once to one that stays for a day, in seconds.
BUCKETS = (0.1, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)

UNKNOWN = "-"


class PrometheusInstrument(Instrument):
    """
    Keeps the metrics below in a registry of prometheus_client. Give one to each application, and each one a registry
    or a namespace of its own.

    With the default namespace they are:

    - `lilya_websocket_open_connections{route}`, a gauge
    - `lilya_websocket_opened_total{route}`
    - `lilya_websocket_closed_total{route, code}`
    - `lilya_websocket_refused_total{route, cause}`
    - `lilya_websocket_received_messages_total{route}` and `lilya_websocket_sent_messages_total{route}`
    - `lilya_websocket_connection_seconds{route}`, a histogram of how long connections lived

    `route` is the template of the route, never the path, so that clients cannot invent values; without a route it is
    "-". For the same reason the codes 3000–4999, of which a client may send any (RFC 6455 §7.4.2), are "3xxx" and
    "4xxx" where the client closed. A code that is not known is "-".

    In the multiprocess mode of prometheus_client the gauge is the sum over living processes.

    Args:
        registry: Where the metrics are registered; the default one of prometheus_client if it is None.
        namespace: What their names begin with.

    Raises:
        ValueError: The registry already has metrics of these names.
    """

    def __init__(self, registry: prometheus_client.CollectorRegistry | None = None, namespace: str = "lilya") -> None:
        if registry is None:
            registry = prometheus_client.REGISTRY

        def counter(name: str, help_text: str, *labels: str) -> prometheus_client.Counter:
            return prometheus_client.Counter(
                name, help_text, ("route", *labels), namespace, "websocket", registry=registry
            )

        self._open_connections = prometheus_client.Gauge(
            "open_connections",
            "WebSocket connections that are open now.",
            ("route",),
            namespace,
            "websocket",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._opened = counter("opened", "WebSocket connections that were opened.")
        self._closed = counter("closed", "WebSocket connections that have ended, by close code.", "code")
        self._refused = counter("refused", "WebSocket handshakes that were refused, by cause.", "cause")
        self._received = counter("received_messages", "Messages received from WebSocket clients.")
        self._sent = counter("sent_messages", "Messages sent to WebSocket clients.")
        self._seconds = prometheus_client.Histogram(
            "connection_seconds",
            "How long WebSocket connections lived.",
            ("route",),
            namespace,
            "websocket",
            registry=registry,
            buckets=BUCKETS,
        )
        self._of_connection: dict[str, _OfRoute] = {}
        self._of_route: dict[str, _OfRoute] = {}

    def opened(self, info: ConnectionInfo) -> None:
        route = info.route or UNKNOWN
        metrics = self._of_route.get(route)
        if metrics is None:
            metrics = self._of_route[route] = _OfRoute(self, route)
        # Kept until the end, so that what the gauge gains under one route it does not lose under another.
        self._of_connection[info.id] = metrics
        metrics.opened.inc()
        metrics.open_connections.inc()

    def refused(self, info: ConnectionInfo) -> None:
        self._refused.labels(info.route or UNKNOWN, info.cause).inc()

    def closed(self, info: ConnectionInfo) -> None:
        metrics = self._of_connection.pop(info.id)
        metrics.open_connections.dec()
        metrics.seconds.observe(info.seconds)
        self._closed.labels(metrics.route, _code_label(info)).inc()

    def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self._of_connection[info.id].received.inc()

    def sent(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self._of_connection[info.id].sent.inc()


class _OfRoute:
    """The metrics of one route: looking them up by their label takes longer than all the rest."""

    __slots__ = ("open_connections", "opened", "received", "route", "seconds", "sent")

    def __init__(self, instrument: PrometheusInstrument, route: str) -> None:
        self.route = route
        self.open_connections = instrument._open_connections.labels(route)
        self.opened = instrument._opened.labels(route)
        self.received = instrument._received.labels(route)
        self.sent = instrument._sent.labels(route)
        self.seconds = instrument._seconds.labels(route)


def _code_label(info: ConnectionInfo) -> str:
    if info.code is None:
        return UNKNOWN
    if info.ended_by == "client" and info.code >= 3000:
        return f"{info.code // 1000}xxx"
    return str(info.code)
