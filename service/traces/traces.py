"""What the application calls to record traces."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from service.postgres import PoolLike


class Traces:
    """Records nothing. The subclass OpenTelemetryTraces records spans."""

    def middleware(self, app: "ASGIApp") -> "ASGIApp":
        """Return `app`, wrapped to record a span for each request."""
        return app

    def pool(self, pool: "PoolLike") -> "PoolLike":
        """Return `pool`, wrapped to record a span for each statement."""
        return pool

    async def flush(self) -> None:
        """Export the remaining spans; the application calls this at its end."""


NO_TRACES = Traces()
