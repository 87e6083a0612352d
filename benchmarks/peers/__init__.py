"""The same handlers, written with each framework."""
