-- pets.list_my_pets: a page of the caller's pets, by name
-- $1 session    uuid    the caller's login session
-- $2 after_name text    name of the last pet on the page before; '' for the first page
-- $3 after_id   bigint  its id; 0 for the first page
-- $4 size       bigint  how many pets at most
-- returns: many Pet  (none: the session has ended; one row of nulls: no pets)
-- replica: ok
select /* pets.list_my_pets */ page.id, page.pet_name, page.user_id
from live_session($1) as caller
left join lateral (
    select pets.id, pets.pet_name, pets.user_id
    from pets
    where pets.user_id = caller.user_id and (pets.pet_name, pets.id) > ($2, $3)
    order by pets.pet_name, pets.id
    limit $4
) as page on true
order by page.pet_name, page.id;
