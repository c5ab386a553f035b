"""Log-in, refresh, log-out, and the caller's sessions."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency as Injected
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from service.auth.emails import email_key
from service.auth.guard import BEARER
from service.auth.models import (
    EndedSession,
    Login,
    LoginSession,
    RefreshToken,
    RotatedSession,
    Session,
    SessionOwner,
    TokenPair,
)
from service.auth.passwords import HASHER, Passwords
from service.auth.problems import BEING_CHANGED, InvalidGrant, TooManyLogins, UnsupportedGrantType, WrongPassword
from service.auth.throttle import LOGINS, LoginThrottle
from service.auth.tokens import RefreshClaims, Tokens
from service.http import FORM, NO_STORE, Caller, JSONResponse, ServiceRequest, read_form
from service.problems import NotFound, Unavailable
from service.settings import Settings
from service.sql import count, many, maybe, one
from service.telemetry import counter, log, set_user

OPEN_SESSION = maybe("auth.open_session", Session)
END_OLDEST_SESSIONS = count("auth.end_oldest_sessions")
UPGRADE_PASSWORD_HASH = count("auth.upgrade_password_hash")
ROTATE_SESSION = maybe("auth.rotate_session", RotatedSession)
END_SESSION = count("auth.end_session")
FIND_SESSION_OWNER = maybe("auth.find_session_owner", SessionOwner)
LIST_MY_SESSIONS = many("auth.list_my_sessions", LoginSession)
END_MY_SESSION = maybe("auth.end_my_session", EndedSession)
END_MY_OTHER_SESSIONS = one("auth.end_my_other_sessions", Caller)

REUSED = counter("refresh_token_reuse_total", "Refresh tokens used a second time: sessions revoked")

REUSED_OR_ENDED = "The refresh token was used before, or its session has ended"


@dataclass
class LoginOperation(Operation):
    """Describes the log-in form in the OpenAPI document, because the handler reads the form itself."""

    def __post_init__(self) -> None:
        """Add the form as the request body."""

        def text(description: str, example: str) -> Schema:
            return Schema(type=OpenAPIType.STRING, description=description, examples=[example])

        form = Schema(
            title="Login",
            type=OpenAPIType.OBJECT,
            required=["username", "password"],
            properties={
                "grant_type": Schema(type=OpenAPIType.STRING, const="password"),
                "username": text("The email address; case does not matter", "ada@example.com"),
                "password": text("The password", "some long password"),
                **{name: text("Ignored", "any") for name in ("scope", "client_id", "client_secret")},
            },
        )
        self.request_body = RequestBody(content={FORM.decode(): OpenAPIMediaType(schema=form)}, required=True)


class AuthController(Controller):
    """Log-ins and their sessions."""

    path = "/auth"
    tags = ("auth",)

    @post(
        "/access-token",
        status_code=HTTP_200_OK,
        operation_class=LoginOperation,
        token_endpoint=True,
        problems=[WrongPassword, UnsupportedGrantType, TooManyLogins],
        response_headers=[NO_STORE],
    )
    async def log_in(
        self,
        request: ServiceRequest,
        passwords: Injected[Passwords],
        throttle: Injected[LoginThrottle],
        tokens: Injected[Tokens],
        settings: Injected[Settings],
    ) -> JSONResponse[TokenPair]:
        """Exchange an email address and a password for a token pair (OAuth 2 password grant, RFC 6749, 4.3)."""
        login = await read_form(request, Login)
        if login.grant_type not in {"", "password"}:
            raise UnsupportedGrantType
        client, key = throttle.client(), email_key(login.username)
        # A second attempt, in case another log-in has rehashed the password between the two statements.
        for _ in range(2):
            account = await throttle.find_credentials(request.db, key, client)
            # No database connection is held during verification. Unknown addresses take as long as known ones.
            user_id, hashed_password = account.id, account.hashed_password
            if not (await passwords.verify(login.password, hashed_password) and user_id and hashed_password):
                break
            session = await request.db.maybe(
                OPEN_SESSION,
                user_id,
                hashed_password,
                timedelta(seconds=settings.refresh_token_expire_seconds),
                request.headers.get("user-agent"),
                client.address,
                client.network,
            )
            if session is not None:
                set_user(user_id)
                LOGINS.inc(outcome="ok")
                with suppress(Unavailable):  # the session is open; the next log-in does what remains
                    await request.db.count(END_OLDEST_SESSIONS, user_id, settings.max_sessions)
                    if HASHER.check_needs_rehash(hashed_password):
                        upgraded = await passwords.hash(login.password)
                        await request.db.count(UPGRADE_PASSWORD_HASH, user_id, hashed_password, upgraded)
                return JSONResponse(tokens.issue(session))
        else:  # the password was right each time
            raise Unavailable(BEING_CHANGED)
        wrong = WrongPassword("Incorrect email or password")
        problem = await throttle.record_failure(request.db, key, client, wrong)
        if problem is wrong:  # otherwise it is counted as throttled
            LOGINS.inc(outcome="failed")
        raise problem

    @post(
        "/refresh-token",
        status_code=HTTP_200_OK,
        token_endpoint=True,
        problems=[InvalidGrant],
        response_headers=[NO_STORE],
    )
    async def refresh(
        self, request: ServiceRequest, data: JSONBody[RefreshToken], tokens: Injected[Tokens]
    ) -> JSONResponse[TokenPair]:
        """Exchange a refresh token for a new token pair.

        For 10 seconds, the exchange can be repeated, because the response may have been lost. Any other reuse of a
        refresh token ends its session.
        """
        claims = tokens.decode_refresh_token(data.refresh_token)
        user_id = await find_owner(request, claims)
        session = await request.db.maybe(ROTATE_SESSION, claims.session, user_id, claims.generation)
        if session is None:
            raise InvalidGrant(REUSED_OR_ENDED)
        set_user(session.user_id)
        if session.ended:
            REUSED.inc()
            log.warning("refresh token reused; session revoked", session_id=str(session.id))
            raise InvalidGrant(REUSED_OR_ENDED)
        return JSONResponse(tokens.issue(session))

    @post("/logout", status_code=HTTP_204_NO_CONTENT)
    async def log_out(self, request: ServiceRequest, data: JSONBody[RefreshToken], tokens: Injected[Tokens]) -> None:
        """End the session of a refresh token; an invalid token is not an error (RFC 7009, 2.2)."""
        try:
            claims = tokens.decode_refresh_token(data.refresh_token)
            user_id = await find_owner(request, claims)
        except InvalidGrant:
            return
        await request.db.count(END_SESSION, claims.session, user_id)

    @get("/sessions", security=BEARER)
    async def list_sessions(
        self, request: ServiceRequest, settings: Injected[Settings]
    ) -> JSONResponse[list[LoginSession]]:
        """List the caller's sessions, the most recently used first."""
        return JSONResponse(await request.db.many(LIST_MY_SESSIONS, *request.auth, settings.max_sessions))

    @delete("/sessions/{session_id:uuid}", security=BEARER)
    async def end_session(
        self,
        request: ServiceRequest,
        session_id: Annotated[UUID, PathParameter(description="the id of a session in the list")],
    ) -> None:
        """End one of the caller's sessions; its tokens stop working at once."""
        if await request.db.maybe(END_MY_SESSION, *request.auth, session_id) is None:
            raise NotFound("You have no session with this id")

    @delete("/sessions", security=BEARER)
    async def end_other_sessions(self, request: ServiceRequest) -> None:
        """End all sessions of the caller except the current one."""
        await request.db.one(END_MY_OTHER_SESSIONS, *request.auth)


async def find_owner(request: ServiceRequest, claims: RefreshClaims) -> UUID:
    """Return the user of a refresh token; tokens of releases before 2026-12 require a query.

    Raises InvalidGrant if the session does not exist.
    """
    if claims.user is not None:
        return claims.user
    owner = await request.db.maybe(FIND_SESSION_OWNER, claims.session)
    if owner is None:
        raise InvalidGrant(REUSED_OR_ENDED)
    return owner.user_id
