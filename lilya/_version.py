"""The version of lilya, in one place: the build reads it, `lilya.__version__` and `Lilya.version` show it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
