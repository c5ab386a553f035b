-- users.list_emails_without_key: accounts whose email_key is not filled, some at a time
-- $1 after uuid    the last id of the batch before
-- $2 most  bigint  how many
-- returns: many User
select /* users.list_emails_without_key */ id, email
from user_model
where email_key is null and id > $1
order by id
limit $2;
