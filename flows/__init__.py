"""Prefect flows over the cluster jobs, and the commands that start them. Flows hold no data."""
