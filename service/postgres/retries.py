"""Decides whether a failed statement can run again, and after what pause."""

import asyncio
import random
from time import monotonic

import asyncpg

from service.postgres.error_classification import RETRYABLE, NotSentError, has_unknown_outcome, is_stale, reraise
from service.timeouts import DatabaseTimeouts

# After a schema change, PgBouncer can still hold stale statements that other processes prepared.
MAX_STALE = 10


class Backoff:
    """The pauses after a statement or transaction lost to a concurrent one; each can be twice as long as the last."""

    def __init__(self, seconds: float) -> None:
        """Begin with a pause of up to `seconds`."""
        self.seconds = seconds
        """The longest that the next pause can take."""

    async def pause(self) -> None:
        """Wait before the next attempt."""
        # Random, so that two transactions do not collide again; never zero, because the winner still has to finish.
        pause = random.uniform(self.seconds / 2, self.seconds)  # noqa: S311 - not used as a secret
        self.seconds *= 2
        await asyncio.sleep(pause)


class Retries:
    """The failed attempts of one statement."""

    def __init__(self, timeouts: DatabaseTimeouts, deadline: float) -> None:
        """Create a record without attempts; none starts after `deadline` (monotonic seconds)."""
        self.unknown: BaseException | None = None
        """The error that left the outcome unknown. The statement then runs once more, in a read-only transaction."""
        self._stale = 0
        """How many times PostgreSQL rejected the prepared statement as stale."""
        self._backoff = Backoff(timeouts.retry_backoff)
        self._last_start = deadline - timeouts.acquire

    async def pause_or_raise(self, error: BaseException) -> None:
        """If the statement can run again after `error`, pause if necessary and return; otherwise raise the exception.

        Raises Unavailable, or `error` if the statement itself is wrong.
        """
        if isinstance(error, RETRYABLE) and monotonic() + self._backoff.seconds <= self._last_start:
            await self._backoff.pause()
        elif isinstance(error, NotSentError):
            pass
        elif is_stale(error):
            if self._stale == MAX_STALE:
                raise error
            self._stale += 1
        elif has_unknown_outcome(error) and not self.unknown:
            self.unknown = error
        elif self.unknown and isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            reraise(self.unknown)  # the statement writes
        else:
            reraise(error)
