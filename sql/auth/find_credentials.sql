-- auth.find_credentials: the hash that a password is checked against, and the seconds until that is allowed
-- $1 email_key text   the key of the address that was typed
-- $2 network   cidr?  where it comes from; null: no limits
-- returns: one Credentials  (nulls: no account has this address)
-- An account without a key was added by the release before 0011, while both served.
select /* auth.find_credentials */
    user_model.id,
    user_model.hashed_password,
    throttle.wait
from login_wait($1, $2) as throttle (wait)
left join user_model
    on user_model.email_key = $1 or (user_model.email_key is null and lower(user_model.email) = lower($1))
order by user_model.email_key nulls last
limit 1;
