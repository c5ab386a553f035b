"""README's first session, with the client that openapi-python-client makes. Prints each answer as JSON."""

import json
import sys
from typing import TypeVar

from pets_client import AuthenticatedClient, Client
from pets_client.api.auth import log_in
from pets_client.api.pets import create_pet, list_my_pets
from pets_client.api.users import register
from pets_client.models import Login, Pet, PetName, Problem, Registration, TokenPair, User

Success = TypeVar("Success")


def expect(kind: type[Success], response: object) -> Success:
    """Return the answer, which must be of one kind."""
    assert isinstance(response, kind), response
    return response


url, email, password = sys.argv[1:]
anybody = Client(base_url=url)
user = expect(User, register.sync(client=anybody, body=Registration(email=email, password=password)))
tokens = expect(TokenPair, log_in.sync(client=anybody, body=Login(username=user.email, password=password)))
ada = AuthenticatedClient(base_url=url, token=tokens.access_token)
pet = expect(Pet, create_pet.sync(client=ada, body=PetName(pet_name="Tadeusz"), idempotency_key="first-session"))
pets = list_my_pets.sync(client=ada, limit=10)
assert isinstance(pets, list)
refusal = expect(Problem, list_my_pets.sync(client=AuthenticatedClient(base_url=url, token="none")))

for answer in (user.to_dict(), pet.to_dict(), [each.to_dict() for each in pets], refusal.to_dict()):
    print(json.dumps(answer))
