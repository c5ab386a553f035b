"""Passwords: rules for new ones, and argon2id hashing in threads."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import msgspec
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import HashingError, VerificationError
from argon2.low_level import error_to_str

from service.auth.emails import email_key
from service.http import client_network
from service.problems import FieldError, Unavailable
from service.telemetry import current, gauge, log

Ts = TypeVarTuple("Ts")
R = TypeVar("R")

# Characters after NFC. NIST SP 800-63B-4, 3.1.1.2: at least 8 beside a second factor, 15 without, no composition rules.
# The maximum bounds the hashing time.
MIN_LENGTH, MAX_LENGTH = 8, 128
# password_errors() checks these limits, because Litestar and clients with a schema would count code points before NFC.
Password = Annotated[
    str,
    msgspec.Meta(
        description="8 to 128 characters, not a common password or part of the email address",
        examples=["some long password"],
    ),
]

# The 16,290 most common leaked passwords; NIST SP 800-63B-4, 3.1.1.2, demands such a list. Kept as the lines of one
# text, because a set would take ten times the memory.
COMMON_PASSWORDS = f"\n{(Path(__file__).parent / 'common_passwords.txt').read_text(encoding='utf-8')}".encode()

# OWASP's second recommendation: 19 MiB, 2 passes, 1 lane. RFC 9106's second profile, 64 MiB, takes several times as
# long, and 1 GB of memory for 16 log-ins at once.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
# Passwords for unknown addresses are verified against this hash, to take as long as those for known ones. Its salt and
# digest are zeros, so no known password matches. It is a constant, because hashing would delay each start.
DECOY = f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}${'A' * 22}${'A' * 43}"
# Hashes that cost more than this were not made here and are not verified: KiB of memory, passes, lanes.
MAX_COST = 256 * 1024, 16, 16
NO_MEMORY = error_to_str(-22)  # ARGON2_MEMORY_ALLOCATION_ERROR
# Threads (argon2 releases the GIL), and the limit on passwords being hashed or waiting: up to three seconds of work,
# half of it for one network.
LOGIN_QUEUE = 2, 128
REGISTRATION_QUEUE = 1, 128
HASHING = gauge("password_hashing_queue", "Passwords being hashed, or waiting for it")


class HashingQueue:
    """Threads for argon2, with a limit on the passwords that are being hashed or waiting.

    Networks take turns, and each can fill only half of the queue: nothing else limits log-ins with the right password.
    """

    def __init__(self, name: str, threads: int, limit: int) -> None:
        """Create a queue with up to `threads` threads, for up to `limit` passwords; errors name it `name`."""
        self.name, self.limit = name, limit
        # The client's network of each password.
        self.pending: list[str] = []
        # For each of these networks; one more than there are threads, so that no thread waits for the event loop.
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._turns_at_once = threads + 1
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")

    async def run(self, work: Callable[[*Ts], R], *arguments: *Ts) -> R:
        """Run `work` in a thread.

        Raises Unavailable if the queue, or the share of the client's network, is full, or if memory or threads are
        lacking.
        """
        context = current.get()
        network = client_network(context.client if context else None, ipv6_prefix=48)
        if len(self.pending) >= self.limit or self.pending.count(network) >= (self.limit + 1) // 2:
            raise Unavailable(f"Too many {self.name} at once")
        self.pending.append(network)
        calls = [arguments]
        try:
            async with self._turns.setdefault(network, asyncio.Semaphore(self._turns_at_once)):
                return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*calls.pop()))
        except (HashingError, VerificationError, RuntimeError) as error:  # RuntimeError: no thread can be started
            calls.clear()  # the executor keeps what it could not start
            log.error("password not hashed", reason=str(error))
            raise Unavailable from error
        finally:
            self.pending.remove(network)

    def close(self) -> None:
        """Stop the threads once the waiting passwords are hashed."""
        self._executor.shutdown()


class Passwords:
    """Hashes and verifies passwords without blocking the event loop.

    Registrations have their own queue, so that a flood of them does not delay log-ins.
    """

    def __init__(self) -> None:
        self._logins = HashingQueue("log-ins", *LOGIN_QUEUE)
        self._registrations = HashingQueue("registrations", *REGISTRATION_QUEUE)
        HASHING.set_function(lambda: len(self._logins.pending) + len(self._registrations.pending))

    def close(self) -> None:
        """Stop the threads once the waiting passwords are hashed."""
        self._logins.close()
        self._registrations.close()

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a user's new `password` in PHC format.

        Raises Unavailable if the queue is full.
        """
        return await self._logins.run(_hash, password)

    async def hash_for_registration(self, password: str) -> str:
        """Return the argon2id hash of a new account's `password` in PHC format.

        Raises Unavailable if the queue of registrations is full.
        """
        return await self._registrations.run(_hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Return whether `hashed` is a hash of `password`; if it is None, return False after the same time.

        Raises Unavailable if the queue is full.
        """
        password = _normalized(password)
        if len(password) > MAX_LENGTH:
            return False
        verified = await self._logins.run(_verify, password, DECOY if hashed is None else hashed)
        return verified and hashed is not None


def password_errors(password: str, email: str = "") -> list[FieldError]:
    """Return the errors of a new `password` for the account of `email`.

    They are a wrong length, a common password, and a part of the address; case does not matter.
    """
    password = _normalized(password)
    detail = None
    if len(password) < MIN_LENGTH:
        detail = f"Expected str of length >= {MIN_LENGTH}"
    elif len(password) > MAX_LENGTH:
        detail = f"Expected str of length <= {MAX_LENGTH}"
    elif "\n" not in password and f"\n{password.lower()}\n".encode() in COMMON_PASSWORDS:
        detail = "is too common; choose another password"
    elif password.lower() in email_key(email):
        detail = "is part of the email address; choose another password"
    return [{"pointer": "/password", "detail": detail}] if detail else []


def _hash(password: str) -> str:
    return HASHER.hash(_normalized(password))


def _verify(password: str, hashed: str) -> bool:
    try:
        parameters = extract_parameters(hashed)
        costs = parameters.memory_cost, parameters.time_cost, parameters.parallelism
        if any(cost > limit for cost, limit in zip(costs, MAX_COST, strict=True)):
            log.error("stored password hash exceeds the cost limit; not verified", costs=costs)
            return False
        return HASHER.verify(hashed, password)
    except (VerificationError, ValueError) as error:  # ValueError: the stored text is not a hash
        if str(error) == NO_MEMORY:  # the password may be right
            raise
        return False


def _normalized(password: str) -> str:
    """Return `password` in NFC, so that composed and decomposed letters are equal (NIST SP 800-63B-4, 3.1.1.2).

    It is truncated first, because NFC takes quadratic time. NFC keeps at least a quarter of the length, so a password
    that is too long remains too long.
    """
    return unicodedata.normalize("NFC", password[: 4 * MAX_LENGTH + 1])
