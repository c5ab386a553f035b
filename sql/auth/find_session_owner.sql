-- auth.find_session_owner: finds the user of a refresh token that names only its session
-- $1 id uuid  the token's session
-- returns: maybe SessionOwner  (no row: the session was deleted)
-- one-shard: ok such tokens are no longer issued
-- cardinality: ok ids are random, so unique across users
-- Releases before 2026-12 issued such tokens. The last of them expires with its session, by default within 28 days of
-- the deploy; then this query and login_session_id_idx can be removed.
select /* auth.find_session_owner */ user_id
from login_session
where id = $1;
