"""Environment variables with which the settings can be read, and the error for others."""

import pytest

from service.settings import Settings, SettingsError
from tests.support import api

PASSWORD = "sesame-open"
URL = f"postgresql://kites:{PASSWORD}@db.example.com/kites"
KEY = "0123456789abcdef" * 2
NEEDED = {"DATABASE_URL": URL, "SECRET_KEY": KEY, **api.SETTINGS}


def refused(**environment: str) -> str:
    """Return the error that `environment` causes at startup."""
    with pytest.raises(SettingsError) as refusal:
        Settings.read(NEEDED | environment)
    return str(refusal.value)
