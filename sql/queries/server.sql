-- name: read_settings
-- The server settings on which the promises rest, and the functions that tell one server from another but are forbidden.
SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('server_version_num')::integer AS version, quote_ident(current_user) AS role,
    ARRAY(
        SELECT name
        FROM unnest(ARRAY[
            'pg_control_system()', 'pg_current_wal_lsn()', 'pg_walfile_name(pg_lsn)', 'pg_relation_filepath(regclass)'
        ]) AS name
        WHERE has_function_privilege(to_regprocedure(name), 'EXECUTE') IS NOT TRUE
    ) AS forbidden;

-- name: try_migration_lock
-- Take the lock that only one migration at a time may hold; polled, because waiting inside PostgreSQL can deadlock.
SELECT pg_try_advisory_lock(4712053) AS answer;

-- name: release_migration_lock
-- Give the migration lock back.
SELECT pg_advisory_unlock(4712053) AS answer;

-- name: create_migrations_table
-- Where the runner remembers what it has applied.
CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: list_migrations
-- What has been applied.
SELECT number, name, checksum FROM migrations ORDER BY number;

-- name: has_migrations_table
-- Whether this database was ever migrated.
SELECT to_regclass('public.migrations') IS NOT NULL AS answer;

-- name: set_lock_timeout
-- How long the rest of this transaction waits for a lock.
SELECT set_config('lock_timeout', $1::text, true) AS answer;

-- name: add_migration
-- Remember a migration as applied.
INSERT INTO migrations (number, name, checksum) VALUES ($1::integer, $2::text, $3::bytea);

-- name: set_service_role
-- Tell grants.sql which role the service runs as.
SELECT set_config('forbear.service_role', $1::text, false);
