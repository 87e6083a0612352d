"""Settings: `settings` is what is in force, `lilya.conf.global_settings.Settings` the class to derive from."""

from lilya.conf._proxy import settings as settings
from lilya.conf.global_settings import Settings as Settings
