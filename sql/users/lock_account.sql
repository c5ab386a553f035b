-- users.lock_account: waits for concurrent changes to an account, and blocks others until the transaction ends
-- $1 id uuid  the account
-- returns: maybe User  (no row: the account is gone)
select /* users.lock_account */ id, email
from user_model
where id = $1
for update;
