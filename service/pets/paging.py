"""Cursors: the last pet of a page, encoded; opaque to clients."""

import base64

from service.problems import InvalidInput

FIRST_PAGE = ("", 0)


def encode_cursor(pet_name: str, pet_id: int) -> str:
    """Return the cursor of a page that ends with this pet."""
    return base64.urlsafe_b64encode(f"{pet_id}:{pet_name}".encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[str, int]:
    """Return the name and id of the pet that `cursor` encodes; for an empty cursor, values that sort before all pets.

    Raises InvalidInput if it is not a cursor of this service.
    """
    if not cursor:
        return FIRST_PAGE
    try:
        text = base64.urlsafe_b64decode(cursor + "==").decode()
        pet_id, _, pet_name = text.partition(":")
        # Accept only the exact spelling that encode_cursor() produces.
        if encode_cursor(pet_name, int(pet_id)) != cursor or not 0 < int(pet_id) < 2**63 or "\0" in pet_name:
            raise ValueError  # noqa: TRY301 - handled like the errors of int() and decode()
    except ValueError:
        raise InvalidInput.at("/after", "is not a valid cursor") from None
    return pet_name, int(pet_id)
