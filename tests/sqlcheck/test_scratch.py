"""Scratch databases on the server of a URL."""

import pytest

from service.embedded import EmbeddedPostgres
from service.sqlcheck.scratch import connect, scratch_database


@pytest.mark.parametrize("form", ["{}", "{}&dbname=postgres", "{}&database=postgres"])
def test_scratch_database_replaces_dbname(server: EmbeddedPostgres, form: str) -> None:
    with scratch_database(form.format(server.url("postgres"))) as url, connect(url) as connection:
        assert connection.info.dbname.startswith("service_check_")
