-- auth.find_credentials: finds an account's password hash, and the seconds until its next log-in attempt is allowed
-- $1 email_key text   the email address entered, normalized
-- $2 network   cidr?  the client's network; null: no limits
-- returns: one Credentials  (nulls: no account has this address)
-- While the release before migration 0011 also runs, it can add accounts without a key.
select /* auth.find_credentials */
    user_model.id,
    user_model.hashed_password,
    throttle.wait
from login_wait($1, $2) as throttle (wait)
left join user_model
    on user_model.email_key = $1 or (user_model.email_key is null and lower(user_model.email) = lower($1))
order by user_model.email_key nulls last
limit 1;
