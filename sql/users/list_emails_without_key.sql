-- users.list_emails_without_key: lists a batch of accounts without an email_key
-- $1 after uuid    last id of the previous batch
-- $2 most  bigint  batch size
-- returns: many User
select /* users.list_emails_without_key */ id, email
from user_model
where email_key is null and id > $1
order by id
limit $2;
