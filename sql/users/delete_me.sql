-- users.delete_me: removes the caller's account; sessions and pets go with it
-- $1 session uuid  the caller's login session
-- $2 user    uuid  the caller
-- returns: one User  (none: the session has ended)
delete /* users.delete_me */ from user_model
using live_session as caller
where
    caller.session_id = $1 and caller.user_id = $2
    and user_model.id = $2 and still_live($1)
returning user_model.id, user_model.email;
