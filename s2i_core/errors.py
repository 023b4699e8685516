"""Errors that name the object, the reason and the remedy."""

from __future__ import annotations


class S2IError(Exception):
    """Base of every error that s2i raises on purpose.

    Args:
        subject: the object concerned: a URI, a path, a setting.
        reason: what is wrong with it, in one clause.
        remedy: what the reader can do about it.
    """

    #: Whether the same call may succeed later without anyone changing anything.
    transient: bool = False
    #: Whether a later run may succeed with the same input: the fault is not in the input, and someone may fix it.
    mendable: bool = False

    def __init__(self, subject: str, reason: str, remedy: str) -> None:
        super().__init__(subject, reason, remedy)
        self.subject = subject
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}. {self.remedy}"


class ConfigError(S2IError):
    """A setting or an argument is wrong; nothing was started."""


class StorageError(S2IError):
    """The object store refused or lacks what was asked for: a bucket, a login, a permission."""

    mendable = True


class ObjectArchived(StorageError):
    """An object lies in a storage class from which it must be restored before it can be read."""


class StorageUnavailable(StorageError):
    """After all retries the object store still did not answer in time, or asked us to slow down."""

    transient = True


class ObjectGone(S2IError):
    """An object was listed and is no longer there, or has changed since."""

    transient = True


class DecodeError(S2IError):
    """The bytes are not audio that can be decoded."""


class LimitExceeded(S2IError):
    """The input is larger or longer than the configured limit."""


class ModelError(S2IError):
    """A checkpoint is missing, damaged or of another version."""


class GenerationError(S2IError):
    """The model produced no usable image for a scene (for example NaN)."""
