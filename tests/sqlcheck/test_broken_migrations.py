"""Migrations with one mistake: each is found by its check, at its file and line."""

import pytest

from service.sqlcheck.findings import as_text
from tests.support.checkouts import CREATE_KITES, Broken, Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

DELETE = "sql/kites/delete_kite.sql"
FIND = "sql/kites/find_kite.sql"
CREATE = "sql/kites/create_kite.sql"
CHANGE = "sql/kites/change_kite.sql"
SESSIONS = "sql/auth/list_my_sessions.sql"
OPEN = "sql/auth/open_session.sql"
TABLE = f"migrations/{CREATE_KITES}.sql"
LAST_COMMENT = "comment on column kites.version is 'Number of changes, from 1; the ETag of the kite.';\n"

BROKEN = [
    Broken(
        "a dropped column that is still read",
        f"{CHANGE}:23: PostgreSQL says: column kites.version does not exist [refused]\n"
        f"  the same: {CREATE}:22, {DELETE}:17, {FIND}:10",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "alter table kites drop column version;\n",
    ),
    Broken(
        "a renamed column",
        f'{SESSIONS}:27: PostgreSQL says: column "user_agent" does not exist [refused]\n'
        f'{OPEN}:27: PostgreSQL says: column "user_agent" of relation "login_session" '
        "does not exist [refused]",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "alter table login_session rename column user_agent to browser;\n",
    ),
    Broken(
        "a missing index",
        "sql/system/clean_login_sessions.sql:7: seq scan of login_session: no index for "
        "(login_session_1.expires_at <= (now() - '30 days'::interval)) [seqscan]",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "drop index login_session_expires_at_idx, login_session_id_idx;\n",
    ),
    Broken(
        "a column that may be null",
        f"{CREATE}:22: column 3 can be null (kites.version allows it), "
        "but VersionedKite.version does not allow None [nullability]\n"
        f"{FIND}:10: column 3 can be null (kites.version allows it), "
        "but VersionedKite.version does not allow None [nullability]",
        TABLE,
        "version   integer        not null default 1",
        "version   integer        default 1",
    ),
    Broken(
        "a column of another type",
        "sql/auth/rotate_session.sql:4: $3 is bigint in the statement, but the header says integer [parameter-type]",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "alter table login_session alter column generation type bigint;\n",
    ),
    Broken(
        "a directive that yoyo ignores",
        f"{TABLE}:2: is a directive that yoyo ignores: write it as '-- depends: …', in lower case, "
        "among the first '--' lines of the migration (not of its rollback) [migration]",
        TABLE,
        "-- depends:",
        "-- Depends:",
    ),
    Broken(
        "a migration that PostgreSQL refuses",
        f'{TABLE}:5: type "biggint" does not exist; nothing in this file has taken effect [migration]',
        TABLE,
        "bigint         not null generated",
        "biggint        not null generated",
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_each_broken_migration_is_found(tree: Copy, empty_database_url: str, broken: Broken) -> None:
    tree.edit(broken.path, broken.old, broken.new)

    assert as_text(tree.check_all(empty_database_url)) == broken.finding
