"""Email addresses: which are accepted, and when two of them are one mailbox."""

import unicodedata
from contextlib import suppress

from service.problems import FieldError

# Characters; the longest address that SMTP carries (RFC 5321, erratum 1690).
MAX_LENGTH = 254


def email_errors(email: str) -> list[FieldError]:
    """Return why `email` is no address (RFC 5321, 5322 and 6531); the DNS is not asked."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - 5 % of each start

    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        return [{"pointer": "/email", "detail": str(error)}]
    return []


def email_key(email: str) -> str:
    """Return the form in which mailboxes are compared: one key for every spelling of an address.

    Case, full-width letters and Unicode form do not count, as in RFC 8265, 3.3; nor does it matter whether a domain is
    written in Unicode or in punycode (RFC 5891). What is no address has a key, too: people type anything at a log-in.
    """
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - 5 % of each start

    if len(email) <= MAX_LENGTH:
        with suppress(EmailNotValidError):
            email = validate_email(email, check_deliverability=False).normalized
    return unicodedata.normalize("NFC", "".join(map(_narrow, email)).lower())


def _narrow(character: str) -> str:
    """Return the ordinary form of a full-width or half-width `character`."""
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    return chr(int(code, 16)) if kind in {"<wide>", "<narrow>"} else character
