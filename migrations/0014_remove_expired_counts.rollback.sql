drop function remove_expired_counts(bigint);
