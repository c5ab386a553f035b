"""The ``Idempotency-Key`` header: a client can repeat a request without repeating its effect."""

from typing import Annotated

from litestar.params import HeaderParameter

from service.purges import purge
from service.sql import count

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="chosen by the client; for 24 hours, repeating the request with the same key has no further effect "
        "and returns the first response",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        schema_extra={"examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"]},
    ),
]

purge("Idempotency-Keys", count("system.clean_idempotency_keys"))
