-- name: add_confirmation
-- Open a confirmation, whose link works once and for $5.
INSERT INTO confirmations (id, kind, fingerprint, sealed, closes_at)
VALUES ($1::uuid, $2::confirmation_kind, $3::bytea, $4::bytea, clock_timestamp() + $5::interval);

-- name: find_confirmation
-- One confirmation, open or not.
SELECT kind::text AS kind, fingerprint, sealed, asked_at, confirmed_at IS NOT NULL AS is_used,
    closes_at <= clock_timestamp() AS is_closed
FROM confirmations
WHERE id = $1::uuid;

-- name: use_confirmation
-- Use a confirmation up; no row where it was used before or is closed. Who comes at the same moment waits here.
UPDATE confirmations
SET confirmed_at = clock_timestamp()
WHERE id = $1::uuid AND confirmed_at IS NULL AND closes_at > clock_timestamp()
RETURNING id;

-- name: has_hard_bounced
-- Whether a hard bounce of an address stands.
SELECT EXISTS (
    SELECT FROM entries
    WHERE fingerprint = $1::bytea AND channel = 'email' AND kind = 'match' AND lifted_at IS NULL
        AND reason = 'hard_bounce'
) AS has_hard_bounced;

-- name: lift_bounces
-- Lift the bounces of an address that has answered a message, and record it, with sealed evidence.
WITH lifted AS (
    UPDATE entries SET lifted_at = clock_timestamp(), changed_xid = pg_current_xact_id()
    WHERE fingerprint = $1::bytea AND channel = 'email' AND kind = 'match' AND lifted_at IS NULL
        AND reason IN ('hard_bounce', 'soft_bounce')
    RETURNING id, fingerprint, channel, scope, reason
), event AS (
    INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, actor)
    SELECT 'lifted', id, fingerprint, channel, scope, reason, $2::source, $3::text FROM lifted
    RETURNING id, fingerprint
)
INSERT INTO evidence (event_id, fingerprint, sealed)
SELECT id, fingerprint, $4::bytea FROM event
RETURNING event_id;

-- name: delete_confirmations_of
-- Delete what an address was asked to confirm, because it was erased.
DELETE FROM confirmations WHERE fingerprint = $1::bytea;

-- name: delete_old_confirmations
-- Retention: delete confirmations that closed before a moment, a page at a time.
DELETE FROM confirmations
WHERE id IN (SELECT id FROM confirmations WHERE closes_at < $1::timestamptz LIMIT $2::integer);
