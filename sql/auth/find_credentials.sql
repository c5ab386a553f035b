-- auth.find_credentials: what a log-in is checked against, and how long it has to wait
-- $1 email   text   in any case
-- $2 network cidr?  where it comes from; null: nobody waits
-- returns: one Credentials  (nulls: no account has this address)
select /* auth.find_credentials */
    user_model.id,
    user_model.hashed_password,
    throttle.wait
from login_wait($1, $2) as throttle (wait)
left join user_model on lower(user_model.email) = lower($1);
