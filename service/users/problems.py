"""The error responses of accounts."""

from service.problems import Problem


class EmailTaken(Problem):
    """The mailbox already has an account, under this or another spelling of its address."""

    status, type, title = 409, "/problems/email-taken", "Cannot use this email address"
    constraints = ("user_model_email_key_key", "user_model_email_key")
