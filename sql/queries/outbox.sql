-- name: add_message
-- Put a message into the outbox, in the transaction of what it is about.
INSERT INTO outbox (mark, kind, fingerprint, sealed, give_up_at)
VALUES ($1::uuid, $2::text, $3::bytea, $4::bytea, clock_timestamp() + $5::interval)
RETURNING id;

-- name: claim_messages
-- Take messages that are due, for $2; those that another worker takes at this moment are passed over.
UPDATE outbox
SET status = 'sending', holder = $1::uuid, due_at = clock_timestamp() + $2::interval, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM outbox
    WHERE ended_at IS NULL AND due_at <= clock_timestamp() AND give_up_at > clock_timestamp()
    ORDER BY due_at, id
    LIMIT $3::integer
    FOR UPDATE SKIP LOCKED
)
RETURNING id, mark, kind, sealed, queued_at, attempts, is_offered;

-- name: offer_message
-- Say that a message is about to be handed over, and hold it for $3 more; no row where it is no longer this worker's.
UPDATE outbox
SET is_offered = true, due_at = clock_timestamp() + $3::interval
WHERE id = $1::bigint AND holder = $2::uuid AND status = 'sending'
RETURNING id;

-- name: end_message
-- Write down how a message ended, and empty it.
UPDATE outbox
SET status = $3::message_status, code = $4::smallint, ended_at = clock_timestamp(),
    sealed = NULL, fingerprint = NULL, holder = NULL, is_offered = false
WHERE id = $1::bigint AND holder = $2::uuid;

-- name: postpone_message
-- Give a message back, to be tried again after $4; $5 says whether its fate is unknown.
UPDATE outbox
SET status = 'waiting', code = $3::smallint, due_at = clock_timestamp() + $4::interval, holder = NULL,
    is_offered = $5::boolean
WHERE id = $1::bigint AND holder = $2::uuid;

-- name: give_up_messages
-- End messages whose time is over and that no worker holds, a page at a time.
UPDATE outbox
SET status = 'given_up', ended_at = clock_timestamp(), sealed = NULL, fingerprint = NULL, holder = NULL,
    is_offered = false
WHERE id IN (
    SELECT id FROM outbox
    WHERE ended_at IS NULL AND give_up_at <= clock_timestamp()
        AND (status = 'waiting' OR due_at <= clock_timestamp())
    LIMIT $1::integer
    FOR UPDATE SKIP LOCKED
);

-- name: withhold_messages
-- End what waits for a recipient who was erased, and empty it, even while it is being sent.
UPDATE outbox
SET status = 'withheld', ended_at = clock_timestamp(), sealed = NULL, fingerprint = NULL, holder = NULL,
    is_offered = false
WHERE fingerprint = $1::bytea AND ended_at IS NULL;

-- name: count_messages
-- How many messages there are of each status.
SELECT status::text AS status, count(*) AS number FROM outbox GROUP BY status;

-- name: find_oldest_waiting
-- Since when the oldest message that is due waits.
SELECT min(queued_at) FROM outbox WHERE ended_at IS NULL AND due_at <= clock_timestamp();

-- name: delete_old_messages
-- Retention: delete the records of messages that ended before a moment, a page at a time.
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE ended_at < $1::timestamptz LIMIT $2::integer);
