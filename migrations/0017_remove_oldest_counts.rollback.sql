create or replace function remove_expired_counts(most bigint)
returns boolean
language sql volatile
as $$
    delete from login_throttle
    where ctid in (
        select expired.ctid
        from login_throttle as expired
        where expired.ends_at <= now()
        limit most
        for update skip locked
    );
    select true
$$;
