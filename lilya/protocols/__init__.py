"""Base classes for the layers users write."""
