"""The time limits that operators may have to know, in seconds: for PostgreSQL, clients, shutdown and workers.

Every request is answered well before the 30 s after which platforms cut it off.
"""

import attrs


@attrs.frozen
class DatabaseTimeouts:
    """How long the service waits for PostgreSQL, in seconds.

    PostgreSQL itself cancels statements sooner, after DATABASE_STATEMENT_TIMEOUT (2 s) and DATABASE_LOCK_TIMEOUT
    (1.5 s), so that no statement takes effect after its client has received an error. These limits apply if PostgreSQL
    or the network does not respond.
    """

    acquire: float = 0.6
    """To get a connection from the pool."""
    query: float = 2.2
    """To get the result of a statement."""
    connect: float = 2.0
    """To open a connection, over all hosts. The attempt continues after its request has given up."""
    connect_host: float = 1.0
    """To open a connection to one of several hosts."""
    max_age: float = 600.0
    """The age at which a connection is replaced, to use the server's current address and current statistics."""
    max_idle: float = 200.0
    """How long a connection can be idle before it is closed (DATABASE_MAX_IDLE_SECONDS): firewalls drop idle
    connections, Azure's after 240 s, AWS's network load balancer after 350."""
    first_retry: float = 0.05
    """The pause before the next attempt to connect, after the first failure. Each further pause is twice as long."""
    last_retry: float = 0.5
    """The longest such pause."""
    retry_backoff: float = 0.02
    """The longest first pause before a statement or transaction that lost to a concurrent one runs again. Each further
    pause can be twice as long."""
    readiness: float = 5.0
    """How long a successful readiness check remains valid."""
    close: float = 1.0
    """To close a connection."""
    close_silent: float = 0.3
    """To close a connection whose server did not respond."""
    close_all: float = 2.0
    """To close all connections of a pool at the end."""
    replica: float = 0.6
    """For a replica to report its position and to catch up."""
    replica_check: float = 1.0
    """Between two checks of a replica."""

    @property
    def request(self) -> float:
        """The time budget for all statements of a request together, and therefore the longest wait for a 503."""
        return self.acquire + self.query


DATABASE_TIMEOUTS = DatabaseTimeouts()


@attrs.frozen
class ClientTimeouts:
    """The limits of a client connection, in seconds. server/connection.py enforces them."""

    # For the client to send the head, to send the body, to read the response, and to begin its next request. Each
    # begins when the one before ends. Proxies keep idle connections for 60 s (nginx, ALB): if the service closed one
    # sooner, a request that is already on its way would be lost.
    head: float = 10.0
    body: float = 15.0
    response: float = 60.0
    keep_alive: float = 75.0
    # For the client to close the connection after its last response.
    linger: float = 2.0
    # For a request to finish after its client has disconnected: most do, and keep their database connection.
    disconnect_grace: float = 0.3
    # Between two checks whether a half-closed client has disconnected, or the data of a late one has been read.
    probe_interval: float = 0.05
    # During a shutdown, for the first request on a new connection to arrive.
    shutdown_grace: float = 1.0
    # The longest interval between two checks of these limits.
    check_interval: float = 5.0


CLIENT_TIMEOUTS = ClientTimeouts()


@attrs.frozen
class ShutdownTimeouts:
    """The stages of a shutdown after DRAIN_SECONDS (up to 15), in seconds: less than 30 in total."""

    # For connections in the listener's backlog to be accepted once new ones are refused.
    backlog: float = 1.0
    # For requests in progress to finish. Then all database connections are closed, the primary's and a replica's.
    requests: int = 5


SHUTDOWN_TIMEOUTS = ShutdownTimeouts()


@attrs.frozen
class SupervisorTimeouts:
    """How long the parent of several workers waits for them, in seconds."""

    # For the next heartbeat of a worker, and for the first one of a new worker.
    heartbeat: float = 15.0
    start: float = 60.0
    # Before the next attempt to start a worker: the first pause, and the longest. Each is twice the one before.
    first_retry: float = 1.0
    last_retry: float = 30.0
    # For workers to end after DRAIN_SECONDS, before they are killed.
    end: float = 12.5
    # Between two checks of the workers: while they serve, and while they end.
    tick: float = 0.5
    ending_tick: float = 0.1


SUPERVISOR_TIMEOUTS = SupervisorTimeouts()
