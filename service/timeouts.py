"""Every deadline, in seconds, in one place: a request is answered long before a platform cuts it off at 30 s.

PostgreSQL keeps DATABASE_STATEMENT_TIMEOUT (2 s) and DATABASE_LOCK_TIMEOUT (1.5 s) itself, so that nothing is done
after the client was told no. What stands here holds where PostgreSQL, or the way to it, is silent, and for a statement
that comes late in its request: what such a one did, nobody knows.
"""

from attrs import frozen

# For a connection to be free; for a statement to be answered. Together, less than 3: for all statements of a request,
# from the first on, so that this is the longest wait for a 503. To hash a password takes its own time.
WAIT, ANSWER = 0.6, 2.2
# For a connection to be made, and for each of several hosts. It goes on when its request has given up.
CONNECT, HOST = 2.0, 1.0
# For a connection to be closed, for one that has been silent for too long already, and for all of them in the end.
CLOSE, CLOSE_SILENT, CLOSE_ALL = 1.0, 0.3, 2.0
# For a standby to say how far it is, and between two looks at it. A read ends there WAIT before its request has to, so
# that the primary may still answer.
STANDBY, LOOK = 0.6, 1.0
# After which a connection is replaced, so that a new address of the server and new statistics reach all.
OLD = 600.0
# The longest first pause before a statement that lost to another runs again; each further one may be twice as long.
# None begins that could not end within ANSWER.
AGAIN = 0.02


@frozen
class ClientTimeouts:
    """The limits of one client connection, in seconds."""

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


@frozen
class ShutdownTimeouts:
    """How long each stage after DRAIN_SECONDS lasts, in seconds: with 15 of those, less than 30 in all."""

    # For connections in the backlog of the listener to be accepted once new ones are refused.
    backlog: float = 1.0
    # For requests under way to end. Then all database connections are closed, the primary's and a replica's.
    requests: int = 5


@frozen
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
