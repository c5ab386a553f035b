-- Whether an account was logged in to from a network is looked up in 1,000 of its sessions, not in all: each refused
-- log-in to an account with 200,000 took a second of PostgreSQL, which revealed it and delayed everybody.
-- depends: 0018_expect_many_sessions
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
        from (
            select s.ip
            from login_session as s
            where s.user_id = account
            order by s.id
            limit 1000
        ) as known
        where known.ip <<= of_network
    );
end
$$;
