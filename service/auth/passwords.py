"""Passwords: hashed and checked with argon2id, beside the event loop."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import msgspec
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import VerificationError

from service.problems import InvalidInput, Unavailable
from service.telemetry import gauge, log

P = ParamSpec("P")
R = TypeVar("R")

# NIST SP 800-63B, 5.1.1.2: a minimum of 8, no composition rules; the cap keeps hashing time in hand.
MAX_LENGTH = 128
Password = Annotated[
    str,
    msgspec.Meta(
        min_length=8,
        max_length=MAX_LENGTH,
        description="8 to 128 characters of any kind",
        examples=["some long password"],
    ),
]

# The commonest of leaked passwords (16,290, 1.5 MB of memory): NIST SP 800-63B, 5.1.1.2, wants them refused.
COMMON_PASSWORDS = frozenset((Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8").splitlines())

# OWASP's second recommendation: 19 MiB, 2 passes, 1 lane; about 20 ms. RFC 9106's 64 MiB profile takes 180 ms,
# and 1 GB of memory for 16 log-ins at once.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
# A stored hash that costs more was not made here, and is not run: KiB of memory, passes, and lanes.
MAX_COST = 256 * 1024, 16, 16
# How many hashings run at once (argon2 releases the GIL), and how many may wait: about a second's worth.
THREADS = 2
QUEUE = 64
HASHING = gauge("password_hashing_queue", "Passwords being hashed, or waiting for it")


class Passwords:
    """Hashes and checks passwords in threads of its own, so that the event loop goes on."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        HASHING.set_function(lambda: self._waiting)
        # Unknown users are checked against this one, so that they take as long as known ones.
        self._nobody = HASHER.hash("nobody has this password")

    def close(self) -> None:
        """End the threads; what is being hashed is finished first."""
        self._executor.shutdown()

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of `password` in PHC format.

        Raises Unavailable where too many are waiting already.
        """
        return await self._run(_hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether `password` is the one that `hashed` was made of; for None, take as long and say no.

        Raises Unavailable where too many are waiting already.
        """
        if len(password) > MAX_LENGTH:
            return False
        verified = await self._run(_verify, password, self._nobody if hashed is None else hashed)
        return verified and hashed is not None

    async def _run(self, work: Callable[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        if self._waiting >= QUEUE:
            raise Unavailable("Too many log-ins at once")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        finally:
            self._waiting -= 1


def check_password(password: str) -> None:
    """Refuse `password` if it is among those that are tried first, in whatever case.

    Raises InvalidInput.
    """
    if _normalised(password).lower() in COMMON_PASSWORDS:
        raise InvalidInput.at("/password", "is one of the commonest passwords; take another one")


def outdated(hashed: str | None) -> bool:
    """Tell whether `hashed` was made with other parameters than today's."""
    return hashed is not None and HASHER.check_needs_rehash(hashed)


def _hash(password: str) -> str:
    return HASHER.hash(_normalised(password))


def _verify(password: str, hashed: str) -> bool:
    try:
        made = extract_parameters(hashed)
        costs = made.memory_cost, made.time_cost, made.parallelism
        if any(cost > dearest for cost, dearest in zip(costs, MAX_COST, strict=True)):
            log.error("a stored password hash has absurd costs, and was not run", costs=costs)
            return False
        return HASHER.verify(hashed, _normalised(password))
    except (VerificationError, ValueError):  # the second: what is stored is no hash
        return False


def _normalised(password: str) -> str:
    """Make composed and decomposed letters one (NFC; NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFC", password)
