"""Transactions that lose to a concurrent one."""

import asyncio
from functools import partial

import pytest

from service.postgres.database import MAX_RETRIES, Database, Queries
from service.postgres.queries import Value
from service.problems import Unavailable
from tests.postgres.transactions.conftest import Things
from tests.support.pools import Opening
from tests.support.statements import Statements


async def test_deadlock_rolls_one_transaction_back(opening: Opening, empty_database_url: str, things: Things) -> None:
    db = await opening(f"{empty_database_url}&deadlock_timeout=50ms", size=2)
    both_hold_one = asyncio.Barrier(2)

    async def work(one: int, other: int, added: int) -> None:
        async with db.transaction() as tx:
            await tx.count(things.add, added)
            await tx.count(things.change, one)
            await both_hold_one.wait()
            await tx.count(things.change, other)

    outcomes = await asyncio.gather(work(100, 200, 1), work(200, 100, 2), return_exceptions=True)

    refused = [each for each in outcomes if each]
    assert [str(each) for each in refused] == ["Too many concurrent changes to the same rows"]
    assert isinstance(refused[0], Unavailable)
    assert await things.added() == [2 if outcomes[0] else 1]


async def test_deadlocked_transaction_runs_again(opening: Opening, empty_database_url: str, things: Things) -> None:
    db = await opening(f"{empty_database_url}&deadlock_timeout=50ms", size=2)
    both_hold_one = asyncio.Barrier(2)
    runs: list[int] = []

    async def work(one: int, other: int, added: int, tx: Queries) -> None:
        runs.append(added)
        await tx.count(things.add, added)
        await tx.count(things.change, one)
        if len(runs) <= 2:
            await both_hold_one.wait()
        await tx.count(things.change, other)

    await asyncio.gather(db.run_transaction(partial(work, 100, 200, 1)), db.run_transaction(partial(work, 200, 100, 2)))

    assert await things.added() == [1, 2]
    assert len(runs) == 3


async def test_endlessly_conflicting_transaction_is_unavailable(
    db: Database, things: Things, statement: Statements
) -> None:
    await things.admin.execute(
        "create function lose() returns integer language plpgsql as $$ begin raise serialization_failure; end $$"
    )
    lose: Value[..., int] = Value(statement("value integer", "select lose()"), int)
    runs = 0

    async def work(tx: Queries) -> None:
        nonlocal runs
        runs += 1
        await tx.value(lose)

    with pytest.raises(Unavailable, match="Too many concurrent changes"):
        await db.run_transaction(work)

    assert runs == 1 + MAX_RETRIES
