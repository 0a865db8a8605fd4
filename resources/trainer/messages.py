"""What a trainer says while it works: into the Dagster run that started it, else to its standard error.

Of several processes that train together only the first speaks, since a second Pipes session fails the step.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

Tell = Callable[[str], None]


@contextmanager
def opened(rank: int) -> Iterator[Tell]:
    """A function that takes one line for people."""
    if rank:
        yield lambda line: None
    elif DAGSTER_PIPES_CONTEXT_ENV_VAR in os.environ:
        with open_dagster_pipes() as pipes:
            yield pipes.log.info
    else:
        yield lambda line: print(line, file=sys.stderr, flush=True)
