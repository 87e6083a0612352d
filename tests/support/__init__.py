"""What several tests share: the runner of async tests, and real servers. Kept small, and tested itself."""
