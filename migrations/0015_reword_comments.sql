-- Rewords the descriptions of tables, columns, indexes and functions in plain English; nothing else changes.
-- unread: ok user_model.updated_at (operators use it to see who has set a password since an incident)
-- unread: ok idempotency_key.request_sha256, idempotency_key.resource_id (resources that accept an Idempotency-Key)
-- rollback: ok 0013_count_in_one_order (three comments stay as they are)
-- depends: 0014_remove_expired_counts
comment on table user_model is 'Accounts. Owners delete their own; sessions and pets are deleted with them.';
comment on column user_model.id is 'Opaque to clients; the sub claim of access tokens.';
comment on column user_model.email is 'The address as typed at registration; unique regardless of case.';
comment on column user_model.email_key is 'The address with case, width and Unicode form normalized: one key per mailbox. Null: not filled yet.';
comment on column user_model.hashed_password is 'argon2id hash in PHC string format, never the password.';
comment on column user_model.created_at is 'Time of registration.';
comment on column user_model.updated_at is 'Time when the password was last set or rehashed; for operators, the service does not read it.';
comment on index user_model_email_key is 'One account per address, regardless of case.';
comment on table login_session is 'Log-in sessions. A token is valid only while its session is live: see live_session.';
comment on column login_session.id is 'The sid claim of access tokens.';
comment on column login_session.user_id is 'Owner of the session.';
comment on column login_session.generation is 'Generation of the only valid refresh token; reuse of an older one ends the session.';
comment on column login_session.created_at is 'Time of the log-in.';
comment on column login_session.last_used_at is 'Time of the last refresh; until the first one, of the log-in.';
comment on column login_session.expires_at is 'The session ends at this time, however often it was refreshed.';
comment on column login_session.ended_at is 'Time of an early end: by log-out, password reset or reuse of a refresh token. Null: not ended early.';
comment on column login_session.user_agent is 'User-Agent of the log-in, cut to 255 characters; shown to the owner.';
comment on column login_session.ip is 'Client address of the log-in.';
comment on index login_session_expires_at_idx is 'Finds expired sessions to delete.';
comment on index login_session_id_idx is 'Finds the session of a token from an earlier release, which does not name the user.';
comment on index login_session_user_id_created_at_idx is 'A user''s sessions that have not ended early, newest first.';
comment on view live_session is 'Sessions that have neither ended nor expired, with their users.';
comment on column session_cutoff.user_id is 'Owner of the ended sessions.';
comment on column session_cutoff.created_before is 'Sessions created before this time have ended, whatever ended_at says.';
comment on column session_cutoff.kept_session is 'The one earlier session that has not ended.';
comment on table pets is 'Pets of users.';
comment on column pets.user_id is 'Owner of the pet.';
comment on column pets.id is 'Unique across all users; opaque to clients.';
comment on column pets.pet_name is 'Name chosen by the owner, 1 to 50 characters.';
comment on column pets.version is 'Number of the current version; the ETag of the pet.';
comment on index pets_user_id_pet_name_id_idx is 'Pages of a user''s pets, ordered by name and id.';
comment on table login_throttle is 'Counts of failed log-ins by network, by account and by both, and of registrations by network. Delete a row to lift its limit.';
comment on column login_throttle.account is 'login_account() of the address typed, registered or not; empty: any account; ''registration'': registrations.';
comment on column login_throttle.network is 'Network of the client: an IPv4 address, or 64 or 48 bits of an IPv6 address; 0.0.0.0/0: any network.';
comment on column login_throttle.failures is 'Failures since the count began, capped at one more than allowed.';
comment on column login_throttle.allowed is 'Failures allowed until ends_at; after that, log-ins are refused.';
comment on column login_throttle.ends_at is 'The count expires at this time.';
comment on index login_throttle_ends_at_idx is 'Finds expired counts to delete.';
comment on function login_account(text) is 'Key of an email address in login_throttle.';
comment on function logged_in_before(text, cidr) is 'Whether this account has ever been logged in to from this network.';
comment on function login_wait(text, cidr) is 'Seconds until the next log-in attempt is allowed; null: it is allowed now.';
comment on function count_login_failure(bytea, cidr, integer, interval) is 'Counts a failure and returns how many more are allowed; negative: this one exceeded the limit.';
comment on function forget_login_failures(text, cidr) is 'Deletes the count of an account''s failed log-ins from a network.';
comment on function wider_network(cidr) is 'The /48 of an IPv6 network, the size that sites are assigned; null for IPv4.';
comment on function remove_expired_counts(bigint) is 'Deletes up to this many expired counts, skipping locked ones; always true.';
comment on table idempotency_key is 'What each Idempotency-Key created. Rows are kept for 24 hours, then deleted by system.clean_idempotency_keys.';
comment on column idempotency_key.user_id is 'Owner of the key.';
comment on column idempotency_key.key is 'Chosen by the client: 1 to 255 visible ASCII characters.';
comment on column idempotency_key.request_sha256 is 'Digest of the query name and its input: a key cannot be reused for a different request.';
comment on column idempotency_key.resource_id is 'Id of the resource that the key created; a repeated request returns it again.';
comment on column idempotency_key.created_at is 'Time of the key''s first use.';
comment on index idempotency_key_created_at_idx is 'Finds expired keys to delete.';
