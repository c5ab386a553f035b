"""Reads on a replica, an optional part: queries marked ``replica: ok`` run on the server of DATABASE_REPLICA_URL.

`python -m service remove replica` removes it; see docs/your-own.md.

Read in this order: router (decides which server answers), pool (connections to replicas).
"""

from typing import Any

from service.postgres import PoolLike
from service.replica.pool import ReplicaPool
from service.replica.router import ReplicaRouter
from service.settings import Settings

__all__ = ["ReplicaPool", "ReplicaRouter", "with_replica"]


def with_replica(primary: PoolLike, settings: Settings, options: dict[str, Any]) -> PoolLike:
    """Return a router between `primary` and a replica, or `primary` if DATABASE_REPLICA_URL is not set.

    `options` are those of a Pool.
    """
    if settings.database_replica_url is None:
        return primary
    replica = ReplicaPool(settings.database_replica_url, max_lag=settings.database_replica_max_lag, **options)
    return ReplicaRouter(primary, replica)
