-- auth.find_credentials: what a log-in is checked against
-- $1 email text  in any case
-- returns: maybe Credentials  (none: no account has this address)
select /* auth.find_credentials */ id, hashed_password
from user_model
where lower(email) = lower($1);
