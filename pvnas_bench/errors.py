"""Errors that a user can cause and mend."""


class UsageError(Exception):
    """Something the user asked for cannot be done; the message is one line: the cause, then the remedy.

    The command line prints the message without a traceback and exits with code 2. Raise it where the mistake
    is found, before any training starts and before anything is written.
    """
