-- depends: 0011_add_email_key
-- transactional: false
set lock_timeout = '10min';
do $$
declare
    missing constant bigint := (select count(*) from user_model where email_key is null);
begin
    if missing > 0 then
        raise '% accounts have no email_key: run python -m service fill-email-keys, then migrate again', missing;
    end if;
end
$$;
drop index concurrently if exists user_model_email_key_key;
-- squawk-ignore prefer-robust-stmts, ban-concurrent-index-creation-in-transaction
create unique index concurrently user_model_email_key_key on user_model (email_key);
comment on index user_model_email_key_key is 'One account per mailbox.';
