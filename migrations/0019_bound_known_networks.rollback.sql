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
