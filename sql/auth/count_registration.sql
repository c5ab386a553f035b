-- auth.count_registration: counts an attempt to register and returns how many more are allowed
-- $1 network cidr      the client's network
-- $2 most    integer   attempts allowed from one network; ten times as many from an IPv6 /48
-- $3 period  interval  period of this limit
-- returns: one Allowance
-- `site`, `limit 1`: as in auth.count_failed_login
with /* auth.count_registration */ network as materialized (
    select remaining, ends_at from count_login_failure('registration', $1, $2, $3)
    order by remaining limit 1
),

site as materialized (
    select wider_network($1) as network
    from network
    where network.remaining >= 0 and wider_network($1) is not null
),

wider as materialized (
    select counted.remaining, counted.ends_at
    from site, count_login_failure('registration', site.network, $2 * 10, $3) as counted
    order by counted.remaining limit 1
)

select
    least(network.remaining, wider.remaining) as remaining,
    ceil(extract(epoch from coalesce(wider.ends_at, network.ends_at) - now()))::integer as wait
from network
left join wider on true;
