-- system.clean_idempotency_keys: deletes a batch of expired Idempotency-Keys
-- $1 most bigint  batch size, small enough not to delay other statements
-- returns: count  (fewer than $1: no more are left)
-- one-shard: ok runs once a day
-- A request can renew a selected key while this statement waits for it. PostgreSQL then checks only the conditions of
-- the delete again, not the selection, so they repeat the age. What a smaller batch leaves is deleted by the next run.
delete /* system.clean_idempotency_keys */ from idempotency_key
where (user_id, key) in (
    select user_id, key
    from idempotency_key
    where created_at <= now() - interval '24 hours'
    order by created_at
    limit $1
)
and created_at <= now() - interval '24 hours';
