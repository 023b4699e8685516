"""Object storage, the lake tables on it, and an embedded server for machines that have none."""
