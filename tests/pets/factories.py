"""Pets, created by the service's own statement."""

from service.pets.controllers import CREATE_PET
from service.pets.models import VersionedPet
from tests.support.factories import Factory, LoggedIn


async def make_pet(make: Factory, owner: LoggedIn, pet_name: str = "Tadeusz") -> VersionedPet:
    """Create a pet of `owner` on the connection of `make`."""
    return VersionedPet(*await make.connection.fetchrow(CREATE_PET.sql, owner.session, owner.id, pet_name))
