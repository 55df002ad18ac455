"""The one exception that means "the user can mend this"; commands print it as a single sentence."""


class UsageError(ValueError):
    """Bad input from outside: an option, a file, a size. Its text says what was wrong and what to do."""
