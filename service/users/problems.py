"""The refusals of accounts."""

from service.problems import Problem


class EmailTaken(Problem):
    """The address has an account, in whatever case it was written."""

    status, type, title = 409, "/problems/email-taken", "Cannot use this email address"
    constraints = ("user_model_email_key",)
