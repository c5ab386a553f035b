"""A replica that lags, is unavailable, or is no replica."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import structlog

from service.postgres.queries import Count
from service.problems import Unavailable
from service.timeouts import DatabaseTimeouts
from tests.replica.reader import Opening, Pair, Read, Reader, ReadResult, events, marked
from tests.support.pools import PATIENT
from tests.support.postgres import Postgres
from tests.support.processes import wait_until
from tests.support.statements import Statements

slow = pytest.mark.slow  # starts a second server
OFTEN = DatabaseTimeouts(replica_check=0.05)


@slow
async def test_lagging_replica_is_skipped(opening: Opening, pair: Pair, read: Read, statement: Statements) -> None:
    """The lag is logged once, and the replica is used again when it has caught up."""
    add: Count[...] = Count(statement("count", "insert into things values (3)"), int)
    with structlog.testing.capture_logs() as logged:
        reader = await opening(pair.primary.url, pair.replica.url, max_lag=20, timeouts=OFTEN)
        await reader.wait_until_used()
        pair.replica.ask("select pg_wal_replay_pause()")
        await reader.db.count(add)
        behind = [(await reader.db.many(read))[0].by_replica for _ in range(3)]
        passed_over = reader.count('replica_reads_total{answered_by="primary"}')
        used = reader.count("replica_used")
        await asyncio.sleep(0.2)  # the replica is checked meanwhile
        pair.replica.ask("select pg_wal_replay_resume()")
        await reader.wait_until_used()

    assert behind == [False] * 3
    assert (passed_over, used) == (3, 0)
    assert events(logged) == [
        ("replica in use", ""),
        ("replica not used", "it is N bytes of log behind"),
        ("replica in use", ""),
    ]
    assert (await reader.db.many(read))[0].by_replica


@slow
async def test_killed_replica_causes_no_error(opening: Opening, pair: Pair, read: Read) -> None:
    """It is used again a second or two after it is back."""
    reader = await opening(pair.primary.url, pair.replica.url, timeouts=OFTEN)
    await reader.wait_until_used()
    with structlog.testing.capture_logs() as logged:
        pair.replica.stop(signal.SIGKILL)
        for _ in range(3):
            assert not (await reader.db.many(read))[0].by_replica
        await asyncio.sleep(0.2)
        pair.replica.start()
        await reader.wait_until_used()

    assert [event for event, _ in events(logged)] == ["replica not used", "replica in use"]
    assert (await reader.db.many(read))[0].by_replica


@slow
async def test_killed_replica_causes_no_error_in_a_waiting_read(
    reader: Reader, pair: Pair, read: Read, statement: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is then lost between two statements."""
    monkeypatch.setattr("service.replica.pool.FIRST_PAUSE", 0.5)
    add: Count[...] = Count(statement("count", "insert into things values (5)"), int)
    pair.replica.ask("select pg_wal_replay_pause()")
    await reader.db.count(add)
    reading = [asyncio.create_task(reader.db.many(read)) for _ in range(3)]
    await asyncio.sleep(0.2)

    await asyncio.to_thread(pair.replica.stop, signal.SIGKILL)

    responses = await asyncio.gather(*reading)
    await asyncio.to_thread(pair.replica.start)
    assert [response.by_replica for [response] in responses] == [False] * 3


@slow
@pytest.mark.parametrize("writes", [False, True])
async def test_frozen_replica_delays_reads_briefly(
    reader: Reader, pair: Pair, read: Read, statement: Statements, *, writes: bool
) -> None:
    """The question for its position has a shorter timeout than a read."""
    add: Count[...] = Count(statement("count", "insert into things values (4)"), int)
    await reader.db.many(read)
    pair.replica.freeze()
    try:
        if writes:
            await reader.db.count(add)

        async with asyncio.timeout(1 if writes else 3):
            [response] = await reader.db.many(read)
    finally:
        pair.replica.thaw()

    assert not response.by_replica


@slow
async def test_connections_to_a_frozen_replica_are_closed(reader: Reader, pair: Pair, statement: Statements) -> None:
    """Otherwise each check would use one more of them before another host is tried."""
    slowly = marked(statement, "select pg_is_in_recovery(), 0 from pg_sleep(0.2)")
    await asyncio.gather(*(reader.db.many(slowly) for _ in range(4)))
    pair.replica.freeze()
    try:
        await reader.db.many(slowly)

        assert reader.count('database_connections{server="replica",state="idle"}') == 0
    finally:
        pair.replica.thaw()


@slow
async def test_read_cancelled_by_replay_goes_to_the_primary(
    opening: Opening, pair: Pair, statement: Statements
) -> None:
    """Replay removed the rows that it reads (SQLSTATE 40001); the replica remains in use."""
    reader = await opening(pair.primary.url, pair.replica.url, timeouts=PATIENT)
    await reader.wait_until_used()
    pair.replica.ask("alter system set max_standby_streaming_delay = 0")
    pair.replica.ask("select pg_reload_conf()")
    pair.primary.ask("create table removed as select generate_series(1, 1000)")
    sql = "select pg_is_in_recovery(), count(*)::integer from removed, pg_sleep(20 * pg_is_in_recovery()::integer)"
    reading = asyncio.create_task(reader.db.many(marked(statement, sql)))
    sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    await asyncio.to_thread(wait_until, lambda: pair.replica.ask(sleeping) == 1, "the replica reads")
    await asyncio.to_thread(pair.primary.ask, "delete from removed")
    await asyncio.to_thread(pair.primary.ask, "vacuum removed")

    assert await reading == [ReadResult(by_replica=False, things=0)]
    assert "conflict with recovery" in pair.replica.log
    assert reader.router.uses_replica


@slow
async def test_error_on_the_replica_is_retried_on_the_primary(reader: Reader, statement: Statements) -> None:
    unlogged = marked(statement, "select pg_is_in_recovery(), count(*)::integer from fast")
    nowhere = marked(statement, "select pg_is_in_recovery(), count(*)::integer from nowhere")

    assert await reader.db.many(unlogged) == [ReadResult(by_replica=False, things=1)]
    with pytest.raises(asyncpg.UndefinedTableError):
        await reader.db.many(nowhere)


@slow
async def test_timed_out_read_is_not_retried(opening: Opening, pair: Pair, statement: Statements) -> None:
    reader = await opening(pair.primary.url, f"{pair.replica.url}?statement_timeout=100", timeouts=PATIENT)
    await reader.wait_until_used()
    endless = marked(statement, "select true, 0 from pg_sleep(5)")

    async with asyncio.timeout(4):
        with pytest.raises(Unavailable):
            await reader.db.many(endless)

    assert reader.router.uses_replica


@slow
async def test_replica_is_not_used_without_the_primary(
    opening: Opening, pair: Pair, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the primary, the position that other clients have seen is unknown."""
    reader = await opening("postgresql://127.0.0.1:1/postgres", pair.replica.url)
    reader.router.uses_replica = True

    with pytest.raises(Unavailable):
        await reader.db.many(read)
    gone = asyncio.create_task(reader.db.many(read))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    await asyncio.sleep(0.1)

    assert "never retrieved" not in caplog.text


@contextmanager
def running(server: Postgres) -> Iterator[None]:
    """Run `server` until the end of the context."""
    server.start()
    try:
        yield
    finally:
        server.stop()


@slow
async def test_promoted_replica_is_no_longer_used(opening: Opening, pair: Pair, folder: Path) -> None:
    """Whether or not it lacks later writes to the old primary."""
    follower = pair.primary.replica(folder / "promoted while used")
    with running(follower), structlog.testing.capture_logs() as logged:
        reader = await opening(pair.primary.url, follower.url, timeouts=OFTEN)
        await reader.wait_until_used()
        await asyncio.to_thread(follower.promote)
        await reader.until(lambda used: used is False)

    assert events(logged) == [("replica in use", ""), ("replica not used", "it is not a replica")]


@slow
async def test_replica_promoted_while_lagging_is_not_a_replica(
    opening: Opening, pair: Pair, folder: Path, statement: Statements
) -> None:
    """A lag is logged once; a promotion, which needs an operator, is logged as well."""
    add: Count[...] = Count(statement("count", "insert into things values (5)"), int)
    follower = pair.primary.replica(folder / "promoted while behind")
    with running(follower), structlog.testing.capture_logs() as logged:
        reader = await opening(pair.primary.url, follower.url, max_lag=20, timeouts=OFTEN)
        await reader.wait_until_used()
        follower.ask("select pg_wal_replay_pause()")
        await reader.db.count(add)
        await reader.until(lambda used: used is False)
        await asyncio.to_thread(follower.promote)
        async with asyncio.timeout(5):
            while "it is not a replica" not in str(logged):  # noqa: ASYNC110 - a log has no event to wait for
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # the replica is checked meanwhile

    seen = events(logged)
    assert seen[:2] == [("replica in use", ""), ("replica not used", "it is N bytes of log behind")]
    assert [reason for _, reason in seen].count("it is not a replica") == 1
    assert not reader.router.uses_replica


@slow
@pytest.mark.parametrize(
    ("primary", "replica", "reason"),
    [
        ("primary", "primary", "it is not a replica"),
        ("replica", "replica", "the database is not a primary"),
        # The first was promoted; the other still follows the old primary.
        ("promoted", "replica", "its history is N/N/postgres, the primary's N/N/postgres"),
        ("primary", "promoted", "it is not a replica"),
        ("primary", "elsewhere", "its history is N/N/templateN, the primary's N/N/postgres"),
        ("primary", "nowhere", "[Errno N] Connect call failed ('N.N.N.N', N)"),
        ("primary", "unreadable", "[SSL] PEM lib"),
        ("stranger", "replica", "permission denied for function pg_control_system"),
    ],
)
async def test_unsuitable_replica_is_not_used(
    opening: Opening, pair: Pair, failed_over: Pair, read: Read, primary: str, replica: str, reason: str
) -> None:
    urls = {name: server.url for name, server in (("primary", pair.primary), ("replica", pair.replica))}
    urls |= {"promoted": failed_over.primary.url, "elsewhere": pair.replica.url.removesuffix("postgres") + "template1"}
    urls |= {
        "unreadable": f"{pair.replica.url}?sslmode=require&sslcert=/dev/null",
        "nowhere": "postgresql://127.0.0.1:1/postgres",
        "stranger": pair.primary.url.replace("//postgres", "//stranger"),
    }
    with structlog.testing.capture_logs() as logged:
        reader = await opening(urls[primary], urls[replica])
        await reader.wait_until_checked()

    [(event, logged_reason)] = events(logged)
    assert event == "replica not used"
    assert logged_reason.startswith(reason)
    assert (await reader.db.many(read))[0].by_replica is (primary == "replica")


@slow
async def test_replica_among_several_hosts_is_used(opening: Opening, pair: Pair, read: Read) -> None:
    hosts = f"127.0.0.1:1,127.0.0.1:{pair.primary.port},127.0.0.1:{pair.replica.port}"
    reader = await opening(pair.primary.url, f"postgresql://postgres@{hosts}/postgres")
    await reader.wait_until_used()

    assert (await reader.db.many(read))[0].by_replica


@slow
async def test_replica_is_used_after_failover_and_restartpoint(opening: Opening, failed_over: Pair, read: Read) -> None:
    """Only then does it report the timeline that it follows."""
    promoted, follower = failed_over.primary, failed_over.replica
    reader = await opening(promoted.url, follower.url, timeouts=OFTEN)
    await reader.wait_until_checked()
    before = await reader.db.many(read)
    promoted.ask("checkpoint")
    end = promoted.ask("select pg_current_wal_lsn()")
    wait_until(lambda: follower.ask("select pg_last_wal_replay_lsn() >= %s", [end]), "it has replayed the checkpoint")
    follower.ask("checkpoint")
    await reader.wait_until_used()

    assert [before[0].by_replica, (await reader.db.many(read))[0].by_replica] == [False, True]
