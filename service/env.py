"""Parsers of environment variables. Each raises ValueError with a message that says what the text must be."""

import re
from collections.abc import Callable
from typing import TypeVar

import attrs

T = TypeVar("T")

HOST_NAME = r"\*|\.?[\w-]+(\.[\w-]+)*|\[[\da-f:.]+\]"
ORIGIN = r"\*|[a-z][\w+.-]*://[^\s/]+"


def integer(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return parse


def host(text: str) -> str:
    """Parse a host to listen on."""
    if not re.fullmatch(r"[\w.:%-]+", text, re.ASCII):
        raise ValueError(f"must be an IP address or a host name, not {text!r}")
    return text


def port_or_service_link(text: str) -> int | None:
    """Parse a port; return None for a URL such as tcp://10.0.0.1:9100.

    Kubernetes sets a variable ``NAME_PORT`` to such a URL for each Service, so the operator did not mean this setting:
    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
    """
    return None if re.match(r"(tcp|udp|sctp)://", text) else integer(1, 65535)(text)


def choice(*choices: str) -> Callable[[str], str]:
    """Return a parser of one of `choices`; case does not matter."""

    def parse(text: str) -> str:
        for each in choices:
            if each.lower() == text.lower():
                return each
        raise ValueError(f"must be one of {', '.join(choices)}, not {text!r}")

    return parse


def boolean(text: str) -> bool:
    """Parse true or false."""
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"must be true or false, not {text!r}")
    return text.lower() == "true"


def comma_separated(pattern: str, description: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of comma-separated lists whose parts match `pattern`, which `description` puts into words."""

    def parse(text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip()) or (text,)
        for part in parts:
            if not re.fullmatch(pattern, part, re.ASCII | re.IGNORECASE):
                raise ValueError(f"must be {description}, separated by commas, not {part!r}")
        return parts

    return parse


MAKE_A_KEY = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
# Texts that examples use as keys.
SAMPLE_KEY = re.compile(
    r"change_?(me|this|it)|your_?(256_?bit_?)?secret|(super|not_?so|my)_?secret|insecure|replace_?me"
)


def secret_key(text: str) -> bytes:
    """Parse a key of at least 32 bytes, as HS256 requires (RFC 7518, 3.2). Refuse keys that are easy to guess."""
    encoded = text.encode()
    if len(encoded) < 32:  # noqa: PLR2004 - the message explains the number
        raise ValueError(f"has {len(encoded)} bytes and needs at least 32; {MAKE_A_KEY}")
    # Only one in twenty million random keys of 32 hexadecimal digits has fewer than 8 different digits.
    if len(set(text)) < 8 or SAMPLE_KEY.search(re.sub(r"\W", "_", text.lower())):  # noqa: PLR2004 - the comment explains the number
        raise ValueError(f"is easy to guess; {MAKE_A_KEY}")
    return encoded


def token(text: str) -> bytes:
    """Parse a token for an HTTP header. Refuse short ones, which are easy to guess."""
    if not re.fullmatch(r"[\w.~+/=-]{16,}", text, re.ASCII):
        raise ValueError(f"must have at least 16 characters: letters, digits and _.~+/=-; {MAKE_A_KEY}")
    return text.encode()


@attrs.frozen
class LoginLimits:
    """How many log-ins can fail within `seconds`."""

    network_and_account: int
    """From one network to one account."""
    network: int
    """From one network to all accounts."""
    account: int
    """To one account, from networks that never logged in to it."""
    seconds: int


@attrs.frozen
class RegistrationLimits:
    """How many registrations one network can attempt within `seconds`."""

    network: int
    seconds: int


LOGIN_LIMITS = LoginLimits(network_and_account=5, network=100, account=50, seconds=900)
REGISTRATION_LIMITS = RegistrationLimits(network=100, seconds=3600)


def _limits(kind: Callable[..., T], default: T, numbers: str) -> Callable[[str], T | None]:
    """Return a parser of ``on``, ``off``, or the `numbers` of `kind`, separated by commas."""

    def parse(text: str) -> T | None:
        if text.lower() in {"on", "off"}:
            return default if text.lower() == "on" else None
        try:
            return kind(*(integer(1, 1_000_000)(part.strip()) for part in text.split(",")))
        except (ValueError, TypeError):
            raise ValueError(f"must be on, off, or {numbers}; not {text!r}") from None

    return parse


login_limits = _limits(
    LoginLimits,
    LOGIN_LIMITS,
    "four whole numbers separated by commas: failed log-ins from one network to one account, from one network, "
    "to one account, and the period in seconds",
)
registration_limits = _limits(
    RegistrationLimits,
    REGISTRATION_LIMITS,
    "two whole numbers separated by a comma: registrations from one network, and the period in seconds",
)
