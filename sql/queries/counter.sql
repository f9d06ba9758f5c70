-- name: count_up
-- Count once more under a key; a window that is over begins anew. How often by now, and how long until it ends.
INSERT INTO counters AS counter (key, began_at, number)
VALUES ($1::bytea, clock_timestamp(), 1)
ON CONFLICT (key) DO UPDATE
SET began_at = CASE
        WHEN counter.began_at + $2::interval <= clock_timestamp() THEN clock_timestamp() ELSE counter.began_at
    END,
    number = CASE
        WHEN counter.began_at + $2::interval <= clock_timestamp() THEN 1
        ELSE least(counter.number, 1000000000) + 1
    END
RETURNING number, extract(epoch FROM began_at + $2::interval - clock_timestamp())::float8 AS remaining_seconds;

-- name: delete_old_counters
-- Retention: delete counters that began before a moment, a page at a time.
DELETE FROM counters
WHERE key IN (SELECT key FROM counters WHERE began_at < $1::timestamptz LIMIT $2::integer FOR UPDATE SKIP LOCKED);
