-- system.list_applied_migrations: lists the applied migrations
-- returns: many AppliedMigration
-- seqscan: ok returns the whole table
-- unlimited: ok one row per migration
select /* system.list_applied_migrations */ migration_id, sha256
from migration_checksum
order by migration_id;
