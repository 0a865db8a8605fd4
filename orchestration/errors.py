"""What can go wrong for a person at the command line; each message is one line that says what to do."""


class UsageError(Exception):
    """The command cannot be carried out as given; says why and what to do."""


class RunFailedError(Exception):
    """A Dagster run failed; says which step, why, and where to look."""
