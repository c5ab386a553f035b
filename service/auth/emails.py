"""Email addresses: validation, and the key that all spellings of a mailbox share."""

import unicodedata
from contextlib import suppress

from service.problems import FieldError

# Characters; the longest address that SMTP carries (RFC 5321, erratum 1690).
MAX_LENGTH = 254


def email_errors(email: str) -> list[FieldError]:
    """Return the errors of `email` as an address (RFC 5321, 5322 and 6531), without DNS lookups."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - slow to import

    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        return [{"pointer": "/email", "detail": str(error)}]
    return []


def email_key(email: str) -> str:
    """Return the key of a mailbox: equal for all spellings of its address.

    Ignores case, full-width letters and Unicode form (RFC 8265, 3.3), and whether the domain is in Unicode or Punycode
    (RFC 5891). Text that is not an address also has a key, because log-ins accept any text.
    """
    # NFC takes quadratic time, and keeps at least a quarter of the characters: here, more than an address can have.
    if len(email) > 4 * MAX_LENGTH:
        return email
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - slow to import

    if len(email) <= MAX_LENGTH:
        with suppress(EmailNotValidError):
            email = validate_email(email, check_deliverability=False).normalized
    return unicodedata.normalize("NFC", "".join(map(_narrow, email)).lower())


def _narrow(character: str) -> str:
    """Return the ordinary form of a full-width or half-width `character`."""
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    return chr(int(code, 16)) if kind in {"<wide>", "<narrow>"} else character
