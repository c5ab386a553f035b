"""The pets of the demo user."""

import asyncpg

from service.dev.server import ADD_DEMO_DATA, DEMO_PETS


async def test_demo_data_has_pets_once(connection: asyncpg.Connection) -> None:
    for _ in range(2):
        await connection.execute(ADD_DEMO_DATA.sql, "demo@example.com", "a hash", DEMO_PETS)

    names = await connection.fetch("select pet_name from pets inner join user_model on user_model.id = user_id")

    assert sorted(row["pet_name"] for row in names) == ["Ada", "Bello", "Minka", "Tadeusz"]
