"""One small application per idea; each file says what it shows and how to try it."""
