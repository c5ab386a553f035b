-- system.list_applied_migrations: what the schema is made of
-- returns: many AppliedMigration
select /* system.list_applied_migrations */ migration_id, sha256
from migration_checksum
order by migration_id
limit 100000;
