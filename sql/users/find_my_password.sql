-- users.find_my_password: the caller's own password hash, to check the current password by
-- $1 session uuid  the caller's login session
-- returns: one Credentials  (none: the session has ended)
select /* users.find_my_password */ user_model.id, user_model.hashed_password
from live_session($1) as caller
inner join user_model on user_model.id = caller.user_id;
