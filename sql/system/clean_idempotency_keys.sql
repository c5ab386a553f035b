-- system.clean_idempotency_keys: removes Idempotency-Keys that are over, some at a time
-- $1 most bigint  how many at most: few enough not to hold up others
-- returns: count  (fewer than $1: there are no more)
-- one-shard: ok once a day
delete /* system.clean_idempotency_keys */ from idempotency_key
where (user_id, key) in (
    select user_id, key
    from idempotency_key
    where created_at <= now() - interval '24 hours'
    order by created_at
    limit $1
);
