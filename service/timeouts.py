"""Every time limit, in seconds, in one place: a request is answered long before a platform cuts it off at 30 s."""

import attrs


@attrs.frozen
class DatabaseTimeouts:
    """How long the service waits for PostgreSQL, in seconds.

    PostgreSQL itself ends statements after DATABASE_STATEMENT_TIMEOUT (2 s) and DATABASE_LOCK_TIMEOUT (1.5 s), so that
    nothing happens after the client has been refused. These limits apply when PostgreSQL or the network is silent.
    """

    acquire: float = 0.6
    """To get a connection from the pool."""
    query: float = 2.2
    """To get the answer to a statement."""
    connect: float = 2.0
    """To open a connection, over all hosts. It goes on after its request has given up."""
    connect_host: float = 1.0
    """To open a connection to one of several hosts."""
    max_age: float = 600.0
    """A connection is replaced after this, so that a new address of the server and new statistics take effect."""
    max_idle: float = 200.0
    """A connection that was idle for longer is closed (DATABASE_MAX_IDLE_SECONDS): firewalls forget it, Azure's after
    240 s, AWS's network load balancer after 350."""
    retry_backoff: float = 0.02
    """Longest first pause before a statement that lost to another one runs again; each further one may be twice as
    long."""
    readiness: float = 5.0
    """A readiness check that succeeded counts for so long."""
    close: float = 1.0
    """To close a connection."""
    close_silent: float = 0.3
    """To close a connection whose server has been silent for too long."""
    close_all: float = 2.0
    """To close all connections of a pool at the end."""
    replica: float = 0.6
    """For a replica to say how far it is, and to catch up."""
    replica_check: float = 1.0
    """Between two checks of a replica."""

    @property
    def request(self) -> float:
        """The time that all statements of a request have together: the longest wait for a 503."""
        return self.acquire + self.query


DATABASE_TIMEOUTS = DatabaseTimeouts()


@attrs.frozen
class ClientTimeouts:
    """The limits of one client connection, in seconds, which server/connection.py enforces."""

    # For the client to send the head, to send the body, to read the response, and to begin the next request on the
    # same connection. Each begins when the one before ends. Proxies keep an idle connection for 60 s (nginx, ALB): if
    # the service closed it earlier, the next request could be on its way already, and would be lost.
    head: float = 10.0
    body: float = 15.0
    response: float = 60.0
    keep_alive: float = 75.0
    # For the client to close the connection after a response that was its last.
    linger: float = 2.0
    # For a request to end after its client has disconnected: most do, and keep their database connection.
    disconnect_grace: float = 0.3
    # Between two looks at whether a client that closed its sending half is gone.
    probe_interval: float = 0.05
    # The longest pause between two looks at these limits.
    check_interval: float = 5.0


@attrs.frozen
class ShutdownTimeouts:
    """How long each stage after DRAIN_SECONDS lasts, in seconds: with 15 of those, less than 30 in all."""

    # For connections in the backlog of the listener to be accepted once new ones are refused.
    backlog: float = 1.0
    # For requests under way to end. Then all database connections are closed, the primary's and a replica's.
    requests: int = 5


@attrs.frozen
class SupervisorTimeouts:
    """How long the parent of several workers waits for them, in seconds."""

    # For a sign of life from a worker's event loop, and for a new worker to be ready.
    heartbeat: float = 15.0
    start: float = 60.0
    # Before another attempt to start a worker; each further pause is twice as long, up to the last one.
    first_retry: float = 1.0
    last_retry: float = 30.0
    # After DRAIN_SECONDS: then workers that have not ended are killed.
    end: float = 12.5
    # Between two looks at the workers, and while they end.
    tick: float = 0.5
    ending_tick: float = 0.1
