"""Folders for the embedded PostgreSQL."""

from tests.embedded.conftest import workshop  # noqa: F401 - a fixture
