"""Logs why connections to PostgreSQL cannot be opened."""

from time import monotonic

from service.telemetry import log

# Seconds between two log entries about connections that cannot be opened while others are open.
SHORTAGE_INTERVAL = 60.0


class OutageLog:
    """Logs the beginning and the end of each outage once. Pools of the same database can share one."""

    def __init__(self) -> None:
        self._is_unavailable = False
        self._next_shortage = 0.0

    def begin(self, error: Exception) -> None:
        """Report that no connection is left, and that none can be opened."""
        if not self._is_unavailable:
            log.error("database unavailable", reason=_reason(error))
        self._is_unavailable = True

    def report_shortage(self, error: Exception, connections: int) -> None:
        """Report at most once a minute that only `connections` are left, and that no other can be opened."""
        if monotonic() >= self._next_shortage:
            self._next_shortage = monotonic() + SHORTAGE_INTERVAL
            log.warning("pool cannot grow", reason=_reason(error), connections=connections)

    def end(self) -> None:
        """Report that a connection was opened."""
        if self._is_unavailable:
            log.info("database available again")
        self._is_unavailable = False


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
