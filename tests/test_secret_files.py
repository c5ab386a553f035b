"""Secrets from files, and the password of the database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, database_url
from tests.support.variables import KEY, NEEDED, PASSWORD, URL, refused

WITHOUT_PASSWORD = "postgresql://kites@db.example.com/kites"


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[bytes], str]:
    """Return a function that writes a secret into a file and returns its path."""

    def secret(content: bytes) -> str:
        path = tmp_path / "secret"
        path.write_bytes(content)
        return str(path)

    return secret


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_key_may_come_from_a_file(secret: Callable[[bytes], str], end: str) -> None:
    settings = Settings.read(NEEDED | {"SECRET_KEY": "", "SECRET_KEY_FILE": secret(f"{KEY}{end}".encode())})

    assert settings.secret_key == KEY.encode()


def test_metrics_token_may_come_from_a_file(secret: Callable[[bytes], str]) -> None:
    settings = Settings.read(NEEDED | {"METRICS_TOKEN_FILE": secret(b"0123456789abcdef\n")})

    assert settings.metrics_token == b"0123456789abcdef"


def test_password_becomes_part_of_the_url(secret: Callable[[bytes], str]) -> None:
    """The password can contain any characters."""
    given = {"DATABASE_URL": WITHOUT_PASSWORD, "DATABASE_PASSWORD_FILE": secret(b"p@ss/w:rd?#%\n")}

    assert database_url(given) == "postgresql://kites:p%40ss%2Fw%3Ard%3F%23%25@db.example.com/kites"


def test_line_break_is_no_part_of_the_password() -> None:
    """Kubernetes keeps that of the file from which a secret was made, in variables, too."""
    given = {"DATABASE_URL": WITHOUT_PASSWORD, "DATABASE_PASSWORD": "sesame\n"}

    assert database_url(given) == "postgresql://kites:sesame@db.example.com/kites"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://kites@standby/kites", "postgresql://kites:sesame@standby/kites"),
        ("postgresql://kites:other@standby/kites", "postgresql://kites:other@standby/kites"),
    ],
)
def test_replica_shares_the_password_by_default(url: str, expected: str) -> None:
    given = {"DATABASE_URL": WITHOUT_PASSWORD, "DATABASE_REPLICA_URL": url, "DATABASE_PASSWORD": "sesame"}

    assert Settings.read(NEEDED | given).database_replica_url == expected


def test_url_and_password_may_come_from_files(secret: Callable[[bytes], str]) -> None:
    given = {"DATABASE_URL_FILE": secret(WITHOUT_PASSWORD.encode()), "DATABASE_PASSWORD": "sesame"}

    assert database_url(given) == "postgresql://kites:sesame@db.example.com/kites"


@pytest.mark.parametrize(
    "url", ["", "postgresql:///kites", "postgresql://db.example.com/kites", "postgresql://@db/kites", URL]
)
def test_password_needs_a_url_with_only_a_user(url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        database_url({"DATABASE_URL": url, "DATABASE_PASSWORD": PASSWORD})

    assert str(refusal.value).startswith("DATABASE_PASSWORD needs a DATABASE_URL with a user and no password: ")
    assert PASSWORD not in str(refusal.value)


def test_secret_must_be_given_once(secret: Callable[[bytes], str]) -> None:
    sentence = refused(SECRET_KEY_FILE=secret(KEY.encode()))

    assert sentence == "SECRET_KEY and SECRET_KEY_FILE are both set; one is enough"


def test_missing_secret_file_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")

    sentence = refused(SECRET_KEY_PREVIOUS_FILE=missing)

    assert sentence == (
        f"SECRET_KEY_PREVIOUS_FILE must name a file that can be read, not {missing!r}: No such file or directory"
    )


def test_secret_file_must_be_text(secret: Callable[[bytes], str]) -> None:
    assert "SECRET_KEY_PREVIOUS_FILE must name a file" in refused(SECRET_KEY_PREVIOUS_FILE=secret(b"\xff" * 40))
