"""The sample archive and the script that makes it."""
