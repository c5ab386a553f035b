"""Every deadline, in seconds, in one place: a request is answered long before a platform cuts it off at 30 s.

PostgreSQL keeps DATABASE_STATEMENT_TIMEOUT (2 s) and DATABASE_LOCK_TIMEOUT (1.5 s) itself, so that nothing is done
after the client was told no. What stands here holds where PostgreSQL, or the way to it, is silent, and for a statement
that comes late in its request: what such a one did, nobody knows.
"""

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
# For a request whose client is gone to come to its end: most do, and keep their connection.
GONE = 0.3
# For a client, each from when the one before is over: to send the head, to send the body, to take the answer, to begin
# the next request on the same connection, or to close it after an answer that was its last. Proxies keep an idle
# connection for 60 s (nginx's and ALB's default): closed by us while the next request is on its way, it would be lost.
SECONDS = {"head": 10.0, "body": 15.0, "answer": 60.0, "request": 75.0, "end": 2.0}
# After SIGTERM: what is on its way may still come in once nobody new gets in, and what is begun may end. Then all
# connections are closed, the primary's and a standby's. With DRAIN_SECONDS, 15 at most, less than 30 in all.
LAST, FINISH = 1.0, 8
# For a worker to say that it lives, and for a new one to serve.
WORKER = 20
