"""The caller's pets."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.auth.guard import BEARER
from service.http import (
    ETAG,
    LINK,
    LOCATION,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    JSONResponse,
    ServiceRequest,
    etag,
    expected_versions,
    matches_any,
    not_modified,
    unchanged_problem,
)
from service.pets.models import DeletedPet, Pet, PetName, PetOnce, RenamedPet, VersionedPet
from service.pets.paging import decode_cursor, encode_cursor
from service.problems import IdempotencyKeyReused, NotFound, RequestInFlight
from service.sql import many, maybe, one

CREATE_PET = one("pets.create_pet", VersionedPet)
CREATE_PET_ONCE = maybe("pets.create_pet_once", PetOnce)
LIST_MY_PETS = many("pets.list_my_pets", Pet)
FIND_PET = maybe("pets.find_pet", VersionedPet)
RENAME_PET = maybe("pets.rename_pet", RenamedPet)
DELETE_PET = maybe("pets.delete_pet", DeletedPet)

NO_SUCH_PET = "You have no pet with this id"
# An id out of this range is 404: no pet has it.
PetId = Annotated[int, PathParameter(description="the id of the pet", ge=1, le=2**63 - 1)]
Limit = Annotated[
    int,
    QueryParameter(ge=1, le=1000, description="maximum number of pets on a page", schema_extra={"examples": [100]}),
]
Cursor = Annotated[
    str,
    QueryParameter(
        description="where the page begins: the value of `after` in the previous page's `Link` header",
        schema_extra={"examples": ["NTpUYWRldXN6"]},
    ),
]


class PetsController(Controller):
    """The caller's pets; requests for other users' pets return 404."""

    path = "/pets"
    tags = ("pets",)
    security = BEARER

    @post("/create", problems=[RequestInFlight, IdempotencyKeyReused], response_headers=[ETAG, LOCATION])
    async def create_pet(
        self,
        request: ServiceRequest,
        data: JSONBody[PetName],
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse[Pet]:
        """Create a pet. With ``Idempotency-Key``, retries create only one."""
        if idempotency_key is None:
            pet = await request.db.one(CREATE_PET, *request.auth, data.pet_name)
        else:
            pet = await self._create_once(request, data, idempotency_key)
        return pet_response(pet, pet.version, HTTP_201_CREATED, location=f"/pets/{pet.id}")

    async def _create_once(self, request: ServiceRequest, data: PetName, key: str) -> PetOnce:
        pet = await request.db.maybe(CREATE_PET_ONCE, *request.auth, data.pet_name, key)
        if pet is None:
            raise RequestInFlight
        if not pet.is_same_request:
            raise IdempotencyKeyReused
        return pet

    @get("/me", response_headers=[LINK])
    async def list_my_pets(
        self,
        request: ServiceRequest,
        limit: Limit = 100,
        after: Cursor = "",
    ) -> JSONResponse[list[Pet]]:
        """List the caller's pets by name, page by page; ``Link: …; rel="next"`` (RFC 8288) leads to the next page."""
        name, pet_id = decode_cursor(after)
        # One row more than the limit shows whether there is a next page.
        pets = await request.db.many(LIST_MY_PETS, *request.auth, name, pet_id, limit + 1)
        if len(pets) <= limit:
            return JSONResponse(pets)
        page = pets[:limit]
        cursor = encode_cursor(page[-1].pet_name, page[-1].id)
        return JSONResponse(page, headers={"Link": f'</pets/me?limit={limit}&after={cursor}>; rel="next"'})

    @get("/{pet_id:int}", response_headers=[ETAG])
    async def show_pet(
        self, request: ServiceRequest, pet_id: PetId, if_none_match: IfNoneMatch = None
    ) -> JSONResponse[Pet]:
        """Show a pet; 304 without a body if ``If-None-Match`` (RFC 9110, 13.1.2) names its ETag."""
        pet = await request.db.maybe(FIND_PET, *request.auth, pet_id)
        if pet is None:
            raise NotFound(NO_SUCH_PET)
        if matches_any(if_none_match, pet.version):
            return not_modified(pet.version)
        return pet_response(pet, pet.version)

    @patch("/{pet_id:int}", response_headers=[ETAG])
    async def rename_pet(
        self,
        request: ServiceRequest,
        pet_id: PetId,
        data: JSONBody[PetName],
        if_match: IfMatch = None,
    ) -> JSONResponse[Pet]:
        """Rename a pet; with ``If-Match`` (RFC 9110, 13.1.1) only if its ETag has not changed."""
        versions = expected_versions(if_match)
        pet = await request.db.maybe(RENAME_PET, *request.auth, pet_id, data.pet_name, versions)
        if pet is None or pet.version is None:
            raise unchanged_problem(pet, versions, NO_SUCH_PET)
        return pet_response(pet, pet.version)

    @delete("/{pet_id:int}")
    async def delete_pet(self, request: ServiceRequest, pet_id: PetId, if_match: IfMatch = None) -> None:
        """Delete a pet; with ``If-Match`` only if its ETag has not changed."""
        versions = expected_versions(if_match)
        pet = await request.db.maybe(DELETE_PET, *request.auth, pet_id, versions)
        if pet is None or not pet.deleted:
            raise unchanged_problem(pet, versions, NO_SUCH_PET)


def pet_response(pet: Pet, version: int, status: int = HTTP_200_OK, location: str | None = None) -> JSONResponse[Pet]:
    """Return the response that represents a pet, with its version as the ETag."""
    headers = {"ETag": etag(version)}
    if location:
        headers["Location"] = location
    return JSONResponse(Pet(pet.id, pet.pet_name, pet.user_id), status_code=status, headers=headers)
