"""Authentication: log-in, tokens, sessions.

Read in this order: models (rows and bodies), controllers (the routes under /auth), passwords (argon2id), tokens (signed
and verified), guard (checks the token of each request), throttle (limits), emails (one key per mailbox), problems.
"""
