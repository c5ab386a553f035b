"""The routes of the service, each with a body that it takes: the one place where tests list them."""

from collections.abc import Mapping

Body = dict[str, object] | None

OPEN: Mapping[str, Body] = {
    "post /auth/access-token": None,  # a form
    "post /auth/refresh-token": {"refresh_token": "none"},
    "post /auth/logout": {"refresh_token": "none"},
    "post /users/register": {"email": "ada@example.com", "password": "a long password"},
    "get /health/live": None,
    "get /health/ready": None,
}
# Those that need an access token.
GUARDED: Mapping[str, Body] = {
    "get /auth/sessions": None,
    "delete /auth/sessions": None,
    "delete /auth/sessions/{session_id}": None,
    "get /users/me": None,
    "delete /users/me": None,
    "post /users/reset-password": {"password": "another password"},
    "post /pets/create": {"pet_name": "Ada"},
    "get /pets/me": None,
    "get /pets/{pet_id}": None,
    "patch /pets/{pet_id}": {"pet_name": "Ada"},
    "delete /pets/{pet_id}": None,
}
