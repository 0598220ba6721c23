"""Why the stack cannot be started, in words that a person can act on."""


class CannotStart(Exception):
    """The stack is not started, or not to the end; everything that ran was stopped again."""
