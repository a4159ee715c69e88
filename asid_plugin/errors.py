"""The base class of this package's errors."""


class ASIDError(ValueError):
    """An error that a person can act on: its message says in one line what is wrong, where, and what would be right."""


class UsageError(ASIDError):
    """Arguments that cannot be carried out."""
