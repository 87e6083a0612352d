"""What the connection contract promises, kept on real servers, on the test client, and in process."""
