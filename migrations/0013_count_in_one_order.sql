-- Counts are locked in one order (network, wider network, network and account, account), and expired ones are removed
-- when no more locks are needed: two failed log-ins never wait for each other. Clients of IPv6, who can have 65,536
-- networks of 64 bits, are counted by 48 bits as well, with ten times the limit.
-- depends: 0012_index_email_key
create or replace function count_login_failure(of_account bytea, of_network cidr, most integer, period interval)
returns table (remaining integer, ends_at timestamptz)
language sql volatile
as $$
    insert into login_throttle as t (account, network, failures, allowed, ends_at)
    values (of_account, of_network, 1, most, now() + period)
    on conflict (account, network) do update set
        failures = case when excluded.ends_at - t.ends_at < period then least(t.failures, most) + 1 else 1 end,
        allowed = most,
        ends_at = case when excluded.ends_at - t.ends_at < period then t.ends_at else excluded.ends_at end
    returning most - t.failures, t.ends_at
$$;

create function wider_network(of_network cidr)
returns cidr
language sql immutable
as $$
    select case when family(of_network) = 6 and masklen(of_network) > 48 then set_masklen(of_network, 48) end
$$;

comment on function wider_network(cidr) is 'The 48 bits of an IPv6 network, as sites get them; null for IPv4.';
comment on table login_throttle is 'Failed log-ins by network, by account, and by both; registrations by network. To let somebody in at once, delete their rows.';
comment on column login_throttle.account is 'login_account() of the address that was typed, whether it has an account or not; empty: any; ''registration'': registrations.';
comment on column login_throttle.network is 'Where the requests came from: an IPv4 address, or 64 or 48 bits of an IPv6 one; 0.0.0.0/0: anywhere.';

create or replace function login_wait(email text, of_network cidr)
returns integer
language plpgsql stable strict
as $$
declare
    from_here timestamptz;
    from_anywhere timestamptz;
begin
    select
        max(t.ends_at) filter (where t.network <> '0.0.0.0/0'),
        max(t.ends_at) filter (where t.network = '0.0.0.0/0')
    into from_here, from_anywhere
    from login_throttle as t
    where
        t.failures >= t.allowed and t.ends_at > now()
        and (
            (t.account = '\x' and t.network in (of_network, wider_network(of_network)))
            or (t.account = login_account(login_wait.email) and t.network in (of_network, '0.0.0.0/0'))
        );
    if from_anywhere is not null and logged_in_before(login_wait.email, of_network) then
        from_anywhere := null;
    end if;
    return ceil(extract(epoch from greatest(from_here, from_anywhere) - now()));
end
$$;
