-- auth.find_session_owner: whose session a refresh token belongs to that names no user
-- $1 id uuid  the token's session
-- returns: maybe SessionOwner  (none: the session was removed)
-- one-shard: ok such tokens die out
-- cardinality: ok ids are random, so no two sessions have the same, whoever their users
-- Releases before 2026-12 issued such tokens. The last of them expires with its session, at most 28 days after the
-- deploy by default; then this query and login_session_id_idx can go.
select /* auth.find_session_owner */ user_id
from login_session
where id = $1;
