"""The declaration of a permission, at the path where users of the public API look for it."""

from lilya._define import DefinePermission as DefinePermission

__all__ = ["DefinePermission"]
