-- system.clean_idempotency_keys: deletes 1,000 expired Idempotency-Keys
-- returns: count  (0: no more are left)
-- one-shard: ok runs once a day
-- A constant limit, because PostgreSQL's plan for an unknown one would read the whole table for each batch.
-- A request can renew a selected key while this statement waits for it. PostgreSQL then checks only the conditions of
-- the delete again, not the selection, so they repeat the age.
delete /* system.clean_idempotency_keys */ from idempotency_key
where (user_id, key) in (
    select user_id, key
    from idempotency_key
    where created_at <= now() - interval '24 hours'
    order by created_at
    limit 1000
)
and created_at <= now() - interval '24 hours';
