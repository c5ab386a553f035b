-- users.find_my_password: what the caller's current password is checked against, and how long that has to wait
-- $1 session uuid   the caller's login session
-- $2 network cidr?  where the caller is; null: nobody waits
-- returns: one MyPassword  (none: the session has ended)
select /* users.find_my_password */
    user_model.email,
    user_model.hashed_password,
    login_wait(user_model.email, $2) as wait
from live_session($1) as caller
inner join user_model on user_model.id = caller.user_id;
