"""The queues of passwords that are being hashed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from threading import Event

import pytest

from service.auth import passwords as module
from service.auth.passwords import HashingQueue, Passwords
from service.problems import Unavailable
from service.telemetry import RequestContext, current
from tests.support.accounts import PASSWORD
from tests.support.factories import hash_once


@pytest.fixture
async def passwords(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Passwords]:
    """Return a Passwords whose queues hold one log-in and one registration."""
    monkeypatch.setattr(module, "LOGIN_QUEUE", (1, 1))
    monkeypatch.setattr(module, "REGISTRATION_QUEUE", (1, 1))
    passwords = Passwords()
    yield passwords
    passwords.close()


@pytest.fixture
def queue() -> Iterator[HashingQueue]:
    """Return a queue of four passwords and one thread."""
    queue = HashingQueue("log-ins", 1, 4)
    yield queue
    queue.close()


async def hash_at_once(queue: HashingQueue, clients: list[str]) -> tuple[list[str], list[object]]:
    """Request a hash for each client before the first is made; return the order of the hashes, and the results."""
    order, all_requested = list[str](), Event()

    def work(client: str) -> None:
        all_requested.wait()
        order.append(client)

    async def run_for(client: str) -> None:
        current.set(RequestContext("", client))
        await queue.run(work, client)

    running = [asyncio.create_task(run_for(client)) for client in clients]
    await asyncio.sleep(0)
    all_requested.set()
    return order, await asyncio.gather(*running, return_exceptions=True)


async def test_full_queue_is_503_with_retry_after(passwords: Passwords) -> None:
    responses = await asyncio.gather(*(passwords.verify("wrong", None) for _ in range(2)), return_exceptions=True)

    assert responses[0] is False
    assert isinstance(responses[1], Unavailable)
    assert responses[1].headers == {"Retry-After": "1"}


async def test_full_queue_of_registrations_does_not_refuse_log_ins(passwords: Passwords) -> None:
    responses = await asyncio.gather(
        *(passwords.hash_for_registration(PASSWORD) for _ in range(2)),
        passwords.verify(PASSWORD, hash_once(PASSWORD)),
        return_exceptions=True,
    )

    assert isinstance(responses[1], Unavailable)
    assert responses[2] is True


@pytest.mark.parametrize(
    ("flooding", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:1::1")],
    ids=["IPv4", "IPv6"],
)
async def test_one_network_fills_half_the_queue(queue: HashingQueue, flooding: str, other: str) -> None:
    _, results = await hash_at_once(queue, [flooding] * 3 + [other])

    assert [isinstance(each, Unavailable) for each in results] == [False, False, True, False]


async def test_networks_take_turns(queue: HashingQueue) -> None:
    queue.limit = 20

    order, _ = await hash_at_once(queue, ["192.0.2.1"] * 9 + ["192.0.2.2"])

    assert order.index("192.0.2.2") == 2


async def test_finished_hash_frees_its_place(passwords: Passwords) -> None:
    for _ in range(2):
        assert await passwords.verify(PASSWORD, hash_once(PASSWORD))


async def test_hashing_does_not_block_the_event_loop(passwords: Passwords) -> None:
    hashing = asyncio.create_task(passwords.hash(PASSWORD))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 10
