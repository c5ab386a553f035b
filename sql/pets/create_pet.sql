-- pets.create_pet: adds a pet to the caller's own
-- $1 session  uuid  the caller's login session
-- $2 user     uuid  the caller
-- $3 pet_name text  1 to 50 characters
-- returns: one VersionedPet  (none: the session has ended)
insert /* pets.create_pet */ into pets (user_id, pet_name)
select caller.user_id, $3
from live_session as caller
where caller.session_id = $1 and caller.user_id = $2
returning id, pet_name, user_id, version;
