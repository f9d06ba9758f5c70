-- name: add_scrub
-- Open the record of a scrub.
INSERT INTO scrubs (id, status, actor, channel, purpose, scope, campaign)
VALUES ($1::uuid, 'running', $2::text, $3::channel, $4::text, $5::text, $6::text);

-- name: update_scrub
-- Write how far a scrub has come, or how it ended.
UPDATE scrubs
SET status = $2::scrub_status, as_of = $3::timestamptz, row_counts = $4::jsonb, error = $5::jsonb,
    seen_at = clock_timestamp(), ended_at = CASE WHEN $2::scrub_status = 'running' THEN NULL ELSE clock_timestamp() END
WHERE id = $1::uuid;

-- name: find_scrub
-- One scrub; one that says it runs but was not heard of for a minute has died with its process.
SELECT id, actor, channel::text AS channel, purpose, scope, campaign, as_of, row_counts, error,
    CASE WHEN status = 'running' AND seen_at < clock_timestamp() - interval '1 minute' THEN 'failed' ELSE status::text END
        AS status,
    extract(epoch FROM coalesce(ended_at, seen_at) - started_at)::float8 AS duration_seconds
FROM scrubs
WHERE id = $1::uuid;

-- name: delete_old_scrubs
-- Retention: delete the counts of scrubs that began before a moment, a page at a time.
DELETE FROM scrubs WHERE id IN (SELECT id FROM scrubs WHERE started_at < $1::timestamptz LIMIT $2::integer);
