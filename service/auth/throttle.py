"""Limits on failed log-ins and on registrations, counted in PostgreSQL and so shared by all processes."""

import time
from collections.abc import Mapping
from datetime import timedelta

import attrs

from service.auth.models import Allowance, Credentials
from service.auth.problems import TooManyLogins, TooManyRegistrations
from service.env import LoginLimits
from service.http import client_network
from service.postgres import Database
from service.problems import Problem
from service.purges import purge
from service.settings import Settings
from service.sql import count, one
from service.telemetry import counter, current

FIND_CREDENTIALS = one("auth.find_credentials", Credentials)
COUNT_FAILED_LOGIN = one("auth.count_failed_login", Allowance)
COUNT_REGISTRATION = one("auth.count_registration", Allowance)
LOGINS = counter("logins_total", "Log-ins", outcome=("ok", "failed", "throttled"))

# Refused networks that a process remembers.
MAX_REFUSALS = 10_000

purge("counts of failed log-ins", count("system.clean_login_throttle"))
# Sessions are kept for 30 days after they expire, even if they ended earlier: by their addresses, the throttle
# recognizes the networks that an owner logs in from.
purge("login sessions", count("system.clean_login_sessions"))


@attrs.frozen
class Client:
    """The client of a request; if it has no network, its attempts are not counted."""

    address: str | None
    network: str | None


@attrs.frozen
class _Refusal:
    """The refusal that a network gets again until `until` (monotonic seconds); `wait` is in seconds."""

    until: float
    wait: int
    headers: Mapping[str, str]


class LoginThrottle:
    """Limits failed log-ins and registrations.

    Each password is verified first, then counted if it is wrong, and only the count decides which error the client
    gets. Concurrent guesses therefore reveal no more than consecutive ones.
    """

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.login_throttle
        self._refused: dict[str | None, _Refusal] = {}
        self._registrations = settings.registration_throttle if self._limits else None

    def client(self) -> Client:
        """Return the client of the current request."""
        context = current.get()
        address = context.client if context else None
        return Client(address, client_network(address) if self._limits else None)

    async def find_credentials(self, db: Database, email_key: str, client: Client) -> Credentials:
        """Return the credentials of the account with `email_key`.

        Raises TooManyLogins if `client` has to wait before its next attempt.
        """
        credentials = await db.one(FIND_CREDENTIALS, email_key, client.network)
        if self._limits and credentials.wait is not None:
            raise self._refusal(self._limits, credentials.wait)
        return credentials

    async def record_failure(self, db: Database, email_key: str, client: Client, wrong: Problem) -> Problem:
        """Count a wrong password for `email_key`, and return the problem to raise: `wrong`, or TooManyLogins."""
        limits = self._limits
        if limits is None or client.network is None:
            return wrong
        period = timedelta(seconds=limits.seconds)
        allowance = await db.one(
            COUNT_FAILED_LOGIN,
            email_key,
            client.network,
            limits.network_and_account,
            limits.network,
            limits.account,
            period,
        )
        if allowance.remaining < 0:
            return self._refusal(limits, allowance.wait)
        wrong.headers |= _rate_limit("failed-logins", limits.network_and_account, limits.seconds, allowance)
        return wrong

    def check_registration(self, client: Client) -> None:
        """Repeat a refusal for a second without a query, so that a flood does not reach the database.

        Raises TooManyRegistrations.
        """
        refused = self._refused.get(client.network)
        if refused and time.monotonic() < refused.until:
            raise TooManyRegistrations(retry_after=refused.wait, headers=refused.headers)

    async def count_registration(self, db: Database, client: Client) -> None:
        """Count an attempt to register from the network of `client`.

        Raises TooManyRegistrations.
        """
        limits = self._registrations
        if limits is None or client.network is None:
            return
        period = timedelta(seconds=limits.seconds)
        allowance = await db.one(COUNT_REGISTRATION, client.network, limits.network, period)
        if allowance.remaining < 0:
            headers = _rate_limit("registrations", limits.network, limits.seconds, Allowance(0, allowance.wait))
            if len(self._refused) >= MAX_REFUSALS:
                self._refused.clear()
            self._refused[client.network] = _Refusal(time.monotonic() + 1, allowance.wait, headers)
            raise TooManyRegistrations(retry_after=allowance.wait, headers=headers)

    def _refusal(self, limits: LoginLimits, wait: int) -> TooManyLogins:
        LOGINS.inc(outcome="throttled")
        headers = _rate_limit("failed-logins", limits.network_and_account, limits.seconds, Allowance(0, wait))
        return TooManyLogins(retry_after=wait, headers=headers)


def _rate_limit(policy: str, quota: int, seconds: int, allowance: Allowance) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers: the policy, and how much of it remains."""
    return {
        "RateLimit-Policy": f'"{policy}";q={quota};w={seconds}',
        "RateLimit": f'"{policy}";r={allowance.remaining};t={allowance.wait}',
    }
