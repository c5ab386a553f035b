"""What an account's address must be."""

from email_validator import EmailNotValidError, validate_email

from service.problems import InvalidInput


def check_email(email: str) -> None:
    """Check that `email` is an address (RFC 5321, 5322 and 6531), without asking the DNS.

    Raises InvalidInput.
    """
    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidInput.at("/email", str(error)) from None
