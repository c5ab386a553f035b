"""PostgreSQL servers made from a template, and replicas that follow them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.postgres import Postgres

NewPostgres = Callable[..., Postgres]


@contextmanager
def servers(template: Path, folder: Path) -> Iterator[NewPostgres]:
    """Yield a function that makes servers, as copies of the template or as replicas; they end with the context."""
    with ExitStack() as stack:

        def new_postgres(*, replica_of: Postgres | None = None, **settings: str) -> Postgres:
            data = Path(tempfile.mkdtemp(dir=folder)) / "data"
            stack.callback(shutil.rmtree, data.parent, ignore_errors=True)
            if replica_of:
                postgres = replica_of.replica(data)
            else:
                shutil.copytree(template, data, copy_function=_copy)
                _own(data, template)
                postgres = Postgres(data, **settings)
            stack.callback(postgres.stop)
            postgres.start()
            return postgres

        yield new_postgres


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target)
    _own(Path(target), Path(source))


def _own(path: Path, like: Path) -> None:
    """Give `path`, and the folders below it, to the owner of `like`."""
    owner = like.stat()
    if owner.st_uid != os.geteuid():
        os.chown(path, owner.st_uid, owner.st_gid)
        for below in path.rglob("*/") if path.is_dir() else ():
            os.chown(below, owner.st_uid, owner.st_gid)


def follow(primary: Postgres, new_postgres: NewPostgres) -> Postgres:
    """Make a replica of `primary`, whose commits wait for it from then on, so that no confirmed commit can be lost."""
    replica = new_postgres(replica_of=primary)
    primary.wait_for_replica()
    primary.ask("alter system set synchronous_standby_names = '*'")
    primary.ask("select pg_reload_conf()")
    return replica


def promote(replica: Postgres) -> float:
    """Make `replica` the primary, without synchronous replicas; return the time on the monotonic clock."""
    promoted = replica.promote()
    replica.ask("alter system reset synchronous_standby_names")
    replica.ask("select pg_reload_conf()")
    return promoted
