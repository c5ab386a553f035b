"""What an account's address must be."""

from service.problems import InvalidInput


def check_email(email: str) -> None:
    """Check that `email` is an address (RFC 5321, 5322 and 6531), without asking the DNS.

    Raises InvalidInput.
    """
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - 5 % of each start

    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidInput.at("/email", str(error)) from None
