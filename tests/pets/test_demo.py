"""The pets of the demo user."""

import asyncpg

from service.postgres import SQL
from tests.support.factories import LoggedIn


async def test_demo_user_has_four_pets(connection: asyncpg.Connection, user: LoggedIn) -> None:
    demo = (SQL / "pets" / "dev" / "demo.sql").read_text()

    await connection.execute(demo, user.email)

    names = await connection.fetch("select pet_name from pets where user_id = $1", user.id)
    assert sorted(row["pet_name"] for row in names) == ["Ada", "Bello", "Minka", "Tadeusz"]
