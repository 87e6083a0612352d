"""
Instruments for monitoring systems, one module for each; none is imported before you do.

`lilya.observability.prometheus` needs the extra `prometheus`, `lilya.observability.opentelemetry` the extra
`opentelemetry`.
"""
