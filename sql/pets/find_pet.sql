-- pets.find_pet: finds one of the caller's pets
-- $1 session uuid    the caller's login session
-- $2 user    uuid    the caller
-- $3 id      bigint  the pet
-- returns: maybe VersionedPet  (no row: the session has ended; a null id: the caller has no such pet)
-- replica: ok
select /* pets.find_pet */ pets.id, pets.pet_name, pets.user_id, pets.version
from live_session as caller
left join pets on pets.user_id = caller.user_id and pets.id = $3
where caller.session_id = $1 and caller.user_id = $2;
