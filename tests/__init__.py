"""Tests of lilya; the folders mirror the package."""
