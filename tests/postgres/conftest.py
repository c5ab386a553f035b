"""Limits that a busy machine does not reach."""

import pytest


@pytest.fixture(autouse=True)
def _patient(patient: None) -> None:
    """Be patient: a test of a limit sets it."""
