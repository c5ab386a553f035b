"""What the processes that share a listener know of each other: a slot each, in memory that they share."""

from collections.abc import MutableSequence

ABSENT = -1


class Slot:
    """One process's numbers; only that process writes them, and its parent once it has ended."""

    def __init__(self, beats: MutableSequence[int], connections: MutableSequence[int], index: int) -> None:
        """Take the numbers at `index` of what all processes share."""
        self._beats = beats
        self._connections = connections
        self._index = index
        self.clear()

    def clear(self) -> None:
        """Note that there is no process."""
        self._beats[self._index] = 0
        self.leave()

    def leave(self) -> None:
        """Note that the process accepts no more connections."""
        self._connections[self._index] = ABSENT

    def beat(self, connections: int) -> None:
        """Note that the event loop runs, and how many connections it has."""
        self._beats[self._index] += 1
        self.count(connections)

    def count(self, connections: int) -> None:
        """Note how many connections the process has."""
        self._connections[self._index] = connections

    @property
    def beats(self) -> int:
        """How often the event loop has been seen to run; 0 before the process is ready."""
        return self._beats[self._index]

    def is_crowded(self, connections: int) -> bool:
        """Return whether another process has fewer connections."""
        others = enumerate(self._connections)
        return any(ABSENT < number < connections for index, number in others if index != self._index)
