"""Passwords: hashed and checked with argon2id, outside of the event loop."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import msgspec
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import VerificationError

from service.problems import FieldError, Unavailable
from service.telemetry import gauge, log

P = ParamSpec("P")
R = TypeVar("R")

# Characters after NFC. NIST SP 800-63B, 5.1.1.2: at least 8, no composition rules; the maximum bounds the hashing time.
MIN_LENGTH, MAX_LENGTH = 8, 128
# password_errors counts them, because a letter can be one or several code points before NFC.
Password = Annotated[
    str,
    msgspec.Meta(
        description="8 to 128 characters of any kind",
        examples=["some long password"],
        extra_json_schema={"minLength": MIN_LENGTH, "maxLength": MAX_LENGTH},
    ),
]

# The commonest of leaked passwords (16,290, 1.5 MB of memory): NIST SP 800-63B, 5.1.1.2, wants them refused.
COMMON_PASSWORDS = frozenset((Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8").splitlines())

# OWASP's second recommendation: 19 MiB, 2 passes, 1 lane; about 20 ms. RFC 9106's 64 MiB profile takes 180 ms,
# and 1 GB of memory for 16 log-ins at once.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
# A stored hash that costs more was not made here, and is not run: KiB of memory, passes, and lanes.
MAX_COST = 256 * 1024, 16, 16
# A queue's threads (argon2 releases the GIL), and how many passwords can be in it: a second's worth or a little more.
LOGINS = 2, 64
REGISTRATIONS = 1, 64
HASHING = gauge("password_hashing_queue", "Passwords being hashed, or waiting for it")


class HashingQueue:
    """A few threads for argon2, and a limit on those who wait for them."""

    def __init__(self, name: str, threads: int, most: int) -> None:
        self.name, self.most = name, most
        self.waiting = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")

    async def run(self, work: Callable[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        """Run `work` in a thread.

        Raises Unavailable if the queue is full.
        """
        if self.waiting >= self.most:
            raise Unavailable(f"Too many {self.name} at once")
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the threads, after those who wait."""
        self._executor.shutdown()


class Passwords:
    """Hashes and checks passwords in threads, so that the event loop goes on.

    Registrations have a queue of their own: however many come, log-ins do not wait for them.
    """

    def __init__(self) -> None:
        self._logins = HashingQueue("log-ins", *LOGINS)
        self._registrations = HashingQueue("registrations", *REGISTRATIONS)
        HASHING.set_function(lambda: self._logins.waiting + self._registrations.waiting)
        # Unknown users are checked against this hash, so that they take as long as known ones.
        self._nobody = HASHER.hash("nobody has this password")

    def close(self) -> None:
        """End the threads, after those who wait."""
        self._logins.close()
        self._registrations.close()

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a user's new `password` in PHC format.

        Raises Unavailable if too many are waiting.
        """
        return await self._logins.run(_hash, password)

    async def hash_first(self, password: str) -> str:
        """Return the argon2id hash of the `password` of an account to be, in PHC format.

        Raises Unavailable if too many registrations are waiting.
        """
        return await self._registrations.run(_hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Return whether `hashed` is a hash of `password`; for None, return False after as long a time.

        Raises Unavailable if too many are waiting.
        """
        password = _normalised(password)
        if len(password) > MAX_LENGTH:
            return False
        verified = await self._logins.run(_verify, password, self._nobody if hashed is None else hashed)
        return verified and hashed is not None


def password_errors(password: str) -> list[FieldError]:
    """Return what is wrong with a new `password`: its length, or that attackers try it first, in any case."""
    password = _normalised(password)
    detail = None
    if len(password) < MIN_LENGTH:
        detail = f"Expected str of length >= {MIN_LENGTH}"
    elif len(password) > MAX_LENGTH:
        detail = f"Expected str of length <= {MAX_LENGTH}"
    elif password.lower() in COMMON_PASSWORDS:
        detail = "is too common; choose another password"
    return [{"pointer": "/password", "detail": detail}] if detail else []


def needs_rehash(hashed: str | None) -> bool:
    """Return whether `hashed` was made with other parameters than today's."""
    return hashed is not None and HASHER.check_needs_rehash(hashed)


def _hash(password: str) -> str:
    return HASHER.hash(_normalised(password))


def _verify(password: str, hashed: str) -> bool:
    try:
        made = extract_parameters(hashed)
        costs = made.memory_cost, made.time_cost, made.parallelism
        if any(cost > most for cost, most in zip(costs, MAX_COST, strict=True)):
            log.error("stored password hash exceeds the cost limit; not verified", costs=costs)
            return False
        return HASHER.verify(hashed, password)
    except (VerificationError, ValueError):  # the second: what is stored is no hash
        return False


def _normalised(password: str) -> str:
    """Return `password` in NFC, so that composed and decomposed letters are equal (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFC", password)
