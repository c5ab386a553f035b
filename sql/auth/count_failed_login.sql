-- auth.count_failed_login: counts a failed log-in and returns how many more are allowed
-- $1 email_key        text      the email address entered, normalized
-- $2 network          cidr      the client's network
-- $3 most_by_both     integer   failures allowed from one network on one account
-- $4 most_by_network  integer   failures allowed from one network on all accounts; ten times as many from an IPv6 /48
-- $5 most_by_account  integer   failures allowed on one account from all networks that have never logged in to it
-- $6 period           interval  period of all these limits
-- returns: one Allowance
-- cardinality: ok remove_expired_counts() always returns true
-- A failure that exceeds one limit is not counted toward the next: one network cannot exhaust an account's own limit.
-- Each call takes an argument from the calls before it, which makes PostgreSQL run it after them. `limit 1`: PostgreSQL
-- expects 1,000 rows from each call, and would compile such a costly plan (JIT), which takes half a second.
-- Expired counts are removed last, when this statement no longer waits for locks.
with /* auth.count_failed_login */ network as materialized (
    select remaining, ends_at from count_login_failure('\x', $2, $4, $6)
    order by remaining limit 1
),

site as materialized (
    select wider_network($2) as network
    from network
    where network.remaining >= 0 and wider_network($2) is not null
),

wider as materialized (
    select counted.remaining, counted.ends_at
    from site, count_login_failure('\x', site.network, $4 * 10, $6) as counted
    order by counted.remaining limit 1
),

target as materialized (
    select login_account($1) as account
    from network
    left join wider on true
    where network.remaining >= 0 and coalesce(wider.remaining, 0) >= 0
),

both_of_them as materialized (
    select target.account, counted.remaining, counted.ends_at
    from target, count_login_failure(target.account, $2, $3, $6) as counted
    order by counted.remaining limit 1
),

account as materialized (
    select counted.remaining, counted.ends_at
    from both_of_them, count_login_failure(both_of_them.account, '0.0.0.0/0', $5, $6) as counted
    where both_of_them.remaining >= 0 and not logged_in_before($1, $2)
    order by counted.remaining limit 1
),

counted as materialized (
    select
        least(network.remaining, wider.remaining, both_of_them.remaining, account.remaining) as remaining,
        coalesce(account.ends_at, both_of_them.ends_at, wider.ends_at, network.ends_at) as ends_at
    from network
    left join wider on true
    left join both_of_them on true
    left join account on true
)

select remaining, ceil(extract(epoch from ends_at - now()))::integer as wait
from counted
where remove_expired_counts(30);
