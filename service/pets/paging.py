"""Cursors: where a page of pets ended, opaque to clients."""

import base64

from service.problems import InvalidInput

FIRST_PAGE = ("", 0)


def encode_cursor(pet_name: str, pet_id: int) -> str:
    """Return the cursor of the page that ends with this pet."""
    return base64.urlsafe_b64encode(f"{pet_id}:{pet_name}".encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[str, int]:
    """Return name and id of the pet that `cursor` stands for; without a cursor, what comes before the first.

    Raises InvalidInput where it is none of ours.
    """
    if not cursor:
        return FIRST_PAGE
    try:
        text = base64.urlsafe_b64decode(cursor + "==").decode()
        pet_id, _, pet_name = text.partition(":")
        # What is not written exactly as we write it was made elsewhere.
        if encode_cursor(pet_name, int(pet_id)) != cursor or not 0 < int(pet_id) < 2**63 or "\0" in pet_name:
            raise ValueError  # noqa: TRY301 - as wrong as what int() and decode() refuse
    except ValueError:
        raise InvalidInput.at("/after", "is not a valid cursor") from None
    return pet_name, int(pet_id)
