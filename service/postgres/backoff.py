"""The pauses between attempts at something that lost to a concurrent transaction."""

import asyncio
import random


class Backoff:
    """Pauses, each up to twice as long as the one before."""

    def __init__(self, seconds: float) -> None:
        """Begin with a pause of up to `seconds`."""
        self.seconds = seconds
        """The longest that the next pause can take."""

    async def pause(self) -> None:
        """Wait before the next attempt."""
        # Random, so that the two do not collide again; never zero, because the winner still has to finish.
        pause = random.uniform(self.seconds / 2, self.seconds)  # noqa: S311 - not used as a secret
        self.seconds *= 2
        await asyncio.sleep(pause)
