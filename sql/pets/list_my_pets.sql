-- pets.list_my_pets: lists a page of the caller's pets, by name
-- $1 session    uuid    the caller's login session
-- $2 user       uuid    the caller
-- $3 after_name text    name of the last pet on the previous page; '' for the first page
-- $4 after_id   bigint  its id; 0 for the first page
-- $5 size       bigint  maximum number of pets
-- returns: many Pet  (no row: the session has ended; one row of nulls: no pets)
-- replica: ok
select /* pets.list_my_pets */ page.id, page.pet_name, page.user_id
from live_session as caller
left join lateral (
    select pets.id, pets.pet_name, pets.user_id
    from pets
    where pets.user_id = $2 and (pets.pet_name, pets.id) > ($3, $4)
    order by pets.pet_name, pets.id
    limit $5
) as page on true
where caller.session_id = $1 and caller.user_id = $2
order by page.pet_name, page.id;
