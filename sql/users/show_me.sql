-- users.show_me: the caller's own account
-- $1 session uuid  the caller's login session
-- returns: one User  (none: the session has ended)
select /* users.show_me */ user_model.id, user_model.email
from live_session($1) as caller
inner join user_model on user_model.id = caller.user_id;
