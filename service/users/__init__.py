"""Accounts: registration, the caller's account, password and deletion.

Read in this order: models (rows and bodies), controllers (the routes under /users), problems, first_user and
email_keys (what the commands do), commands.
"""
