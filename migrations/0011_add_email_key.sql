-- One mailbox is one account: email_key is the address in the form in which mailboxes are compared, whatever the locale
-- of the database. The service makes it (service/auth/emails.py), because SQL knows no internationalised domain names.
-- Null: not filled yet. `python -m service fill-email-keys` fills it, before 0012 makes it unique.
-- depends: 0010_create_session_cutoff
alter table user_model add column email_key text collate "C";

comment on column user_model.email_key is 'The address with case, width and Unicode form evened out: one mailbox, one key. Null: not filled yet.';

-- Addresses typed at log-ins come as keys from this release, as they were typed from the one before it.
create or replace function logged_in_before(of_email text, of_network cidr)
returns boolean
language plpgsql stable
as $$
declare
    account constant uuid := (
        select u.id
        from user_model as u
        where u.email_key = of_email or (u.email_key is null and lower(u.email) = lower(of_email))
        limit 1
    );
begin
    return exists (
        select
        from login_session as s
        where s.user_id = account and s.ip <<= of_network
    );
end
$$;
