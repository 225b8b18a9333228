"""Errors that a user can cause and fix."""


class UsageError(Exception):
    """A request that cannot be met; the message is one line: the cause, then the remedy.

    The command line prints the message without a traceback and exits with code 2. Raise it before any
    training starts and before any file is written.
    """
