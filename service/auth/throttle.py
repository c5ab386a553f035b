"""How often a password may be guessed."""

from datetime import timedelta

import attrs

from service.auth.models import LoginFailure
from service.clean import purge
from service.env import LoginLimits
from service.http import client_network
from service.postgres import Database
from service.problems import Problem, TooManyLogins
from service.settings import Settings
from service.sql import count, one
from service.telemetry import counter, current

COUNT_FAILED_LOGIN = one("auth.count_failed_login", LoginFailure)
LOGINS = counter("logins_total", "Log-ins", outcome=("ok", "failed", "throttled"))

purge("counts of failed log-ins", count("system.clean_login_throttle"))


@attrs.frozen
class Client:
    """Where a password comes from; without a network, its failures are not counted."""

    address: str | None
    network: str | None


class LoginThrottle:
    """Counts wrong passwords in PostgreSQL, where all processes of all hosts see the same numbers.

    A password is checked first and counted afterwards, and what the count says goes before what the check said: of
    many guesses at once, no more are answered than may fail one after the other. Right passwords count for nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.login_throttle

    def client(self) -> Client:
        """Return the client of the current request."""
        context = current.get()
        address = context.client if context else None
        return Client(address, client_network(address) if self._limits else None)

    def check(self, wait: int | None) -> None:
        """Refuse before the password is looked at, where a statement has found that it must `wait`, in seconds.

        Raises TooManyLogins.
        """
        if self._limits and wait is not None:
            raise self._refusal(self._limits, wait)

    async def record_failure(self, db: Database, email: str, client: Client, wrong: Problem) -> Problem:
        """Count a wrong password for `email`, and return the refusal: `wrong`, or TooManyLogins."""
        limits = self._limits
        if limits is None or client.network is None:
            return wrong
        period = timedelta(seconds=limits.seconds)
        failure = await db.one(
            COUNT_FAILED_LOGIN, email, client.network, limits.both, limits.network, limits.account, period
        )
        if failure.remaining < 0:
            return self._refusal(limits, failure.wait)
        wrong.headers |= _rate_limit(limits, failure.remaining, failure.wait)
        return wrong

    def _refusal(self, limits: LoginLimits, wait: int) -> TooManyLogins:
        LOGINS.inc(outcome="throttled")
        return TooManyLogins(retry_after=wait, headers=_rate_limit(limits, 0, wait))


def _rate_limit(limits: LoginLimits, remaining: int, wait: int) -> dict[str, str]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers: the rule, and where this client stands."""
    return {
        "RateLimit-Policy": f'"failed-logins";q={limits.both};w={limits.seconds}',
        "RateLimit": f'"failed-logins";r={remaining};t={wait}',
    }
