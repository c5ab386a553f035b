-- users.delete_me: removes the caller's account; sessions and pets go with it
-- $1 session uuid  the caller's login session
-- returns: one User  (none: the session has ended)
delete /* users.delete_me */ from user_model
using live_session($1) as caller
where user_model.id = caller.user_id and still_live($1)
returning user_model.id, user_model.email;
