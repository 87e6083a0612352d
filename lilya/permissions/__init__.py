"""Permissions: how they are declared."""

from lilya._define import DefinePermission as DefinePermission
from lilya._define import Permission as Permission
from lilya.exceptions import PermissionDenied as PermissionDenied
from lilya.protocols.permissions import PermissionProtocol as PermissionProtocol
