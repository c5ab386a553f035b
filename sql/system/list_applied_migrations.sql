-- system.list_applied_migrations: what the schema is made of
-- returns: many AppliedMigration
-- seqscan: ok the whole table is the answer
-- unlimited: ok one row for each migration
select /* system.list_applied_migrations */ migration_id, sha256
from migration_checksum
order by migration_id;
