"""What a connection, a message and a route cost in process; `python -m benchmarks`, see README.md."""
