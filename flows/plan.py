"""What `flows.estimate` was called in version 0.1, where installations of then still look for `s2i plan`."""

from flows.estimate import command

__all__ = ["command"]
