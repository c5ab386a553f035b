"""Scratch databases on the server of a URL."""

import pytest

from service.embedded import EmbeddedPostgres
from service.sqlcheck.scratch import connect, scratch_database


@pytest.mark.parametrize("form", ["{}", "{}&dbname=postgres", "{}&database=postgres"])
def test_scratch_database_is_not_the_one_that_the_url_names(server: EmbeddedPostgres, form: str) -> None:
    with scratch_database(form.format(server.url("postgres"))) as url, connect(url) as connection:
        assert connection.info.dbname.startswith("service_check_")
