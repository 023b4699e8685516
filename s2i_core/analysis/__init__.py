"""What analysts ask of a destination: SQL over its tables, search, reports."""
