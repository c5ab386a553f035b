create or replace function login_wait(email text, of_network cidr)
returns integer
language plpgsql stable strict
as $$
declare
    from_here timestamptz;
    from_anywhere timestamptz;
begin
    select
        max(t.ends_at) filter (where t.network = of_network),
        max(t.ends_at) filter (where t.network = '0.0.0.0/0')
    into from_here, from_anywhere
    from login_throttle as t
    where
        t.failures >= t.allowed and t.ends_at > now()
        and (
            (t.account = '\x' and t.network = of_network)
            or (t.account = login_account(login_wait.email) and t.network in (of_network, '0.0.0.0/0'))
        );
    if from_anywhere is not null and logged_in_before(login_wait.email, of_network) then
        from_anywhere := null;
    end if;
    return ceil(extract(epoch from greatest(from_here, from_anywhere) - now()));
end
$$;

create or replace function count_login_failure(of_account bytea, of_network cidr, most integer, period interval)
returns table (remaining integer, ends_at timestamptz)
language sql volatile
as $$
    delete from login_throttle
    where ctid in (
        select over.ctid from login_throttle as over
        where over.ends_at <= now()
        limit 10
        for update skip locked
    );

    insert into login_throttle as t (account, network, failures, allowed, ends_at)
    values (of_account, of_network, 1, most, now() + period)
    on conflict (account, network) do update set
        failures = case when excluded.ends_at - t.ends_at < period then least(t.failures, most) + 1 else 1 end,
        allowed = most,
        ends_at = case when excluded.ends_at - t.ends_at < period then t.ends_at else excluded.ends_at end
    returning most - t.failures, t.ends_at
$$;

drop function wider_network(cidr);
