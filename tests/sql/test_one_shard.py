"""Whatever touches a user's own things names that user: on a database that is parted by user_id, it asks one part."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from service.queries import SQL, read

# Tables whose primary key begins with user_id; docs/scaling.md parts the database by it.
OF_USERS = {"pets", "idempotency_key"}
NAMES = [f"{path.parent.name}.{path.stem}" for path in sorted(SQL.glob("*/*.sql")) if path.parent.name != "dev"]
# It removes what is old, whoever it belongs to, once a day: on all parts at once.
OF_ALL = {"system.clean_idempotency_keys"}
# Plans in which each table is looked up by what is known of it, where that can be done at all.
LOOK_UP = "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set enable_bitmapscan = off"


BOUND = re.compile(r"\buser_id = | = \w+\.user_id\b")


def scans(plan: dict[str, Any], conditions: str = "") -> Iterator[tuple[str, str]]:
    """Yield each scan's table, with its own conditions and those of the join above it."""
    own = " ".join(str(plan.get(kind, "")) for kind in ("Index Cond", "Filter", "Join Filter"))
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        yield plan["Relation Name"], f"{own} {conditions}"
    for part in plan.get("Plans", []):
        yield from scans(part, own)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_ALL])
def test_a_users_things_are_looked_up_by_the_user(name: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(LOOK_UP)
        text = read(name).sql.encode()
        explained = connection.execute(b"explain (generic_plan, format json) " + text).fetchone()
    assert explained

    for table, conditions in scans(explained[0][0]["Plan"]):
        assert table not in OF_USERS or BOUND.search(conditions)


@pytest.mark.parametrize("table", sorted(OF_USERS))
def test_the_users_id_leads_the_primary_key(table: str, database_url: str) -> None:
    leads = "select attname from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]"
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"{leads} where indisprimary and indrelid = %s::regclass".encode(), [table]).fetchone()

    assert row == ("user_id",)
