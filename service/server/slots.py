"""Numbers that the processes behind one listener share: a slot of shared memory for each."""

from collections.abc import MutableSequence
from math import inf

ABSENT = -1


class Slot:
    """The numbers of one process. Only that process writes them, and its parent after it has ended."""

    def __init__(self, heartbeats: MutableSequence[int], connections: MutableSequence[int], index: int) -> None:
        """Use the numbers at `index` of the two shared arrays."""
        self._heartbeats = heartbeats
        self._connections = connections
        self._index = index
        self._has_left = False
        self.clear()

    def clear(self) -> None:
        """Mark the slot as unused."""
        self._heartbeats[self._index] = 0
        self._connections[self._index] = ABSENT

    def leave(self) -> None:
        """Record that the process is about to end: it leaves new connections to any other process that accepts them."""
        self._has_left = True
        self._connections[self._index] = ABSENT

    def beat(self, connections: int) -> None:
        """Record that the event loop is running, and how many connections the process has."""
        self._heartbeats[self._index] += 1
        self.set_connections(connections)

    def set_connections(self, number: int) -> None:
        """Record how many connections the process has."""
        if not self._has_left:
            self._connections[self._index] = number

    @property
    def heartbeats(self) -> int:
        """The number of heartbeats so far; 0 until the process is ready."""
        return self._heartbeats[self._index]

    def another_has_fewer(self, connections: int) -> bool:
        """Return whether another process has fewer than `connections`; once this one is about to end, any counts."""
        limit = inf if self._has_left else connections
        others = enumerate(self._connections)
        return any(ABSENT < number < limit for index, number in others if index != self._index)
