"""How the texts of environment variables are read; each reader raises ValueError, which says what the text must be."""

import re
from collections.abc import Callable

import attrs

HOST_NAME = r"\*|\.?[\w-]+(\.[\w-]+)*|\[[\da-f:.]+\]"
ORIGIN = r"\*|[a-z][\w+.-]*://[^\s/]+"


def integer(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return convert


def own_port(text: str) -> int | None:
    """Read a port; None for a URL such as tcp://10.0.0.1:9100.

    Kubernetes sets such a ``NAME_PORT`` in each container for each Service (`enableServiceLinks`), so it is nobody's
    wish: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
    """
    return None if re.match(r"(tcp|udp|sctp)://", text) else integer(1, 65535)(text)


def choice(*choices: str) -> Callable[[str], str]:
    """Return a reader of one of `choices`, in any case."""

    def convert(text: str) -> str:
        for one in choices:
            if one.lower() == text.lower():
                return one
        raise ValueError(f"must be one of {', '.join(choices)}, not {text!r}")

    return convert


def boolean(text: str) -> bool:
    """Read true or false."""
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"must be true or false, not {text!r}")
    return text.lower() == "true"


def comma_separated(form: str, what: str) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of lists, parted by commas, whose parts have the `form` that `what` puts into words."""

    def convert(text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip()) or (text,)
        for part in parts:
            if not re.fullmatch(form, part, re.ASCII | re.IGNORECASE):
                raise ValueError(f"must be {what}, by commas, not {part!r}")
        return parts

    return convert


MAKE_A_KEY = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
# What keys in examples say of themselves.
SAMPLE_KEY = re.compile(
    r"change_?(me|this|it)|your_?(256_?bit_?)?secret|(super|not_?so|my)_?secret|insecure|replace_?me"
)


def secret_key(text: str) -> bytes:
    """Read a key of 32 bytes or more (RFC 7518, 3.2: HS256 takes no shorter one) that nobody can guess."""
    encoded = text.encode()
    if len(encoded) < 32:  # noqa: PLR2004 - the figure stands in the sentence
        raise ValueError(f"has {len(encoded)} bytes and needs 32 or more; {MAKE_A_KEY}")
    # 32 random characters, even hexadecimal ones, have 8 different ones, but for one key in twenty million.
    if len(set(text)) < 8 or SAMPLE_KEY.search(re.sub(r"\W", "_", text.lower())):  # noqa: PLR2004 - as said
        raise ValueError(f"can be guessed; {MAKE_A_KEY}")
    return encoded


def token(text: str) -> bytes:
    """Read a token that nobody can guess, fit for a header."""
    if not re.fullmatch(r"[\w.~+/=-]{16,}", text, re.ASCII):
        raise ValueError(f"must have 16 characters or more, of A to Z, a to z, 0 to 9 and _.~+/=-; {MAKE_A_KEY}")
    return text.encode()


@attrs.frozen
class LoginLimits:
    """How many log-ins may fail within `seconds`: of one network on one account, of one network, on one account."""

    both: int
    network: int
    account: int
    seconds: int


@attrs.frozen
class RegistrationLimits:
    """How many attempts to register can come from one network within `seconds`."""

    network: int
    seconds: int


LOGIN_LIMITS = LoginLimits(both=5, network=100, account=50, seconds=900)


REGISTRATION_LIMITS = RegistrationLimits(network=100, seconds=3600)


def registration_limits(text: str) -> RegistrationLimits | None:
    """Read ``on``, ``off``, or the two numbers of RegistrationLimits."""
    if text.lower() in {"on", "off"}:
        return REGISTRATION_LIMITS if text.lower() == "on" else None
    try:
        return RegistrationLimits(*(integer(1, 1_000_000)(part.strip()) for part in text.split(",")))
    except (ValueError, TypeError):
        raise ValueError(
            f"must be on, off, or two whole numbers: registrations by one address, in how many seconds; not {text!r}"
        ) from None


def login_limits(text: str) -> LoginLimits | None:
    """Read ``on``, ``off``, or the four numbers of LoginLimits."""
    if text.lower() in {"on", "off"}:
        return LOGIN_LIMITS if text.lower() == "on" else None
    try:
        numbers = [integer(1, 1_000_000)(part.strip()) for part in text.split(",")]
        return LoginLimits(*numbers)
    except (ValueError, TypeError):
        raise ValueError(
            "must be on, off, or four whole numbers by commas: failed log-ins by one address on one account, "
            f"by one address, on one account, and in how many seconds; not {text!r}"
        ) from None
