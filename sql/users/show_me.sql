-- users.show_me: shows the caller's account
-- $1 session uuid  the caller's login session
-- $2 user    uuid  the caller
-- returns: one User  (no row: the session has ended)
select /* users.show_me */ user_model.id, user_model.email
from live_session as caller
inner join user_model on user_model.id = caller.user_id
where caller.session_id = $1 and caller.user_id = $2;
