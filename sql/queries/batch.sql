-- name: add_batch
-- Open a batch whose rows are being staged.
INSERT INTO batches (name, status, actor) VALUES ($1::text, 'staging', $2::text) RETURNING id;

-- name: take_batch
-- The batch of this name that is applied as it grows, opened at its first entry. Two at the same moment may open two.
WITH found AS (
    SELECT id FROM batches WHERE name = $1::text AND status = 'applied' ORDER BY id LIMIT 1
), added AS (
    INSERT INTO batches (name, status, actor)
    SELECT $1, 'applied', $2::text WHERE NOT EXISTS (SELECT FROM found)
    RETURNING id
)
SELECT id FROM found UNION ALL SELECT id FROM added;

-- name: find_batch
-- One batch, and whether a process is at it.
SELECT id, name, status::text AS status, actor, row_counts, created_at, ended_at,
    EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 4712054 AND objid = batches.id::integer
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS is_running
FROM batches
WHERE id = $1::bigint;

-- name: list_batches
-- The newest batches, and whether a process is at each.
SELECT id, name, status::text AS status, actor, row_counts, created_at, ended_at,
    EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 4712054 AND objid = batches.id::integer
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS is_running
FROM batches
ORDER BY id DESC
LIMIT $1::integer;

-- name: list_stale_batches
-- Batches that were read or half read before a moment and never applied, and those given up of which rows are left.
SELECT id FROM batches
WHERE (status IN ('staging', 'staged') AND created_at < $1::timestamptz)
    OR (status = 'discarded' AND EXISTS (SELECT FROM import_rows WHERE import_rows.batch_id = batches.id))
ORDER BY id;

-- name: try_lock_batch
-- Take a batch for this connection alone; the lock goes when the connection is given back, or lost.
SELECT pg_try_advisory_lock(4712054, $1::bigint::integer) AS answer;

-- name: set_batch_status
-- Move a batch on; `ended_at` is set where that is an end.
UPDATE batches
SET status = $2::batch_status,
    ended_at = CASE WHEN $2::batch_status IN ('applied', 'undone', 'discarded') THEN clock_timestamp() END
WHERE id = $1::bigint;

-- name: set_batch_facts
-- Write down what was found while the rows were staged.
UPDATE batches SET row_counts = row_counts || $2::jsonb WHERE id = $1::bigint;

-- name: add_batch_counts
-- Add to a batch's counts, in the transaction that did what they count.
UPDATE batches
SET row_counts = row_counts || (
    SELECT jsonb_object_agg(key, coalesce((row_counts ->> key)::bigint, 0) + value::bigint)
    FROM jsonb_each_text($2::jsonb)
)
WHERE id = $1::bigint;

-- name: list_standing_entries
-- Entries that a batch made or revived and that stand, above an id; what was erased stays so.
SELECT id FROM entries
WHERE batch_id = $1::bigint AND id > $2::bigint AND lifted_at IS NULL AND reason <> 'erased'
ORDER BY id
LIMIT $3::integer;

-- name: lock_batch_entries
-- Lock entries in the order in which they are written, so that nobody asserts them while they are undone.
SELECT id FROM entries
WHERE id = ANY ($1::bigint[])
ORDER BY fingerprint, channel, scope, reason
FOR UPDATE;

-- name: undo_entries
-- Lift those of the locked entries that nobody but the batch has ever asserted.
WITH lifted AS (
    UPDATE entries SET lifted_at = clock_timestamp(), changed_xid = pg_current_xact_id()
    WHERE id = ANY ($1::bigint[]) AND batch_id = $2::bigint AND lifted_at IS NULL
        AND NOT EXISTS (
            SELECT FROM events
            WHERE events.entry_id = entries.id AND events.action IN ('asserted', 'already')
                AND events.batch_id IS DISTINCT FROM $2
        )
    RETURNING id, fingerprint, channel, scope, reason
)
INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, batch_id, actor)
SELECT 'undone', id, fingerprint, channel, scope, reason, 'operator', $2, $3::text FROM lifted;
