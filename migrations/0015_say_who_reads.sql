-- Says who reads columns that no query does, and what a rollback leaves.
-- unread: ok user_model.updated_at (operators see there who has set a password since an incident)
-- unread: ok idempotency_key.request_sha256, idempotency_key.resource_id (resources that take an Idempotency-Key)
-- rollback: ok 0013_count_in_one_order (three comments stay as they are, which harms nobody)
-- depends: 0014_remove_expired_counts
comment on column user_model.updated_at is 'When the password was last set or rehashed; read by operators, not by the service.';
