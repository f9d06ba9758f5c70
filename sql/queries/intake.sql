-- name: add_intake
-- Write a request down.
INSERT INTO intakes (channel, request, scopes, jurisdiction, taken_by, reference, received_on, due_on, actor, sealed)
VALUES ($1::intake_channel, $2::intake_request, $3::text[], $4::text, $5::text, $6::text, $7::date, $8::date, $9::text,
    $10::bytea)
RETURNING id;

-- name: add_intake_matches
-- Write down which contacts may be meant.
INSERT INTO intake_matches (intake_id, contact_id, external_id, is_certain)
SELECT $1::bigint, contact_id, external_id, is_certain
FROM unnest($2::bigint[], $3::text[], $4::boolean[]) AS line (contact_id, external_id, is_certain);

-- name: add_intake_decision
-- Write down a decision; no row where one was taken before.
INSERT INTO intake_decisions (intake_id, contact_id, decision, actor, why)
VALUES ($1::bigint, $2::bigint, $3::intake_decision, $4::text, $5::text)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: lock_intake
-- Keep a request for this transaction, so that two people do not decide about it at the same moment.
SELECT id FROM intakes WHERE id = $1::bigint FOR UPDATE;

-- name: close_intake
-- End a request where nothing of it is left to decide: no doubtful contact, and a change only by a word about the whole.
UPDATE intakes
SET done_at = clock_timestamp()
WHERE id = $1::bigint AND done_at IS NULL AND (
    EXISTS (SELECT FROM intake_decisions WHERE intake_id = $1 AND contact_id IS NULL)
    OR (
        request <> 'change'
        AND NOT EXISTS (
            SELECT FROM intake_matches AS match
            WHERE match.intake_id = $1 AND NOT EXISTS (
                SELECT FROM intake_decisions AS decision
                WHERE decision.intake_id = $1 AND decision.contact_id = match.contact_id
            )
        )
    )
)
RETURNING id;

-- name: find_intake
-- One request.
SELECT id, channel::text AS channel, request::text AS request, scopes, jurisdiction, taken_by, reference, received_on,
    due_on, actor, taken_at, sealed, done_at
FROM intakes
WHERE id = $1::bigint;

-- name: list_due_intakes
-- Requests of which something is left to do, what is due first first, after a place in that order.
SELECT id, channel::text AS channel, request::text AS request, scopes, jurisdiction, taken_by, reference, received_on,
    due_on, actor, taken_at, sealed, done_at
FROM intakes
WHERE done_at IS NULL AND (due_on, id) > ($1::date, $2::bigint)
ORDER BY due_on, id
LIMIT $3::integer;

-- name: list_intakes
-- All requests, the newest first, below an id.
SELECT id, channel::text AS channel, request::text AS request, scopes, jurisdiction, taken_by, reference, received_on,
    due_on, actor, taken_at, sealed, done_at
FROM intakes
WHERE id < $1::bigint
ORDER BY id DESC
LIMIT $2::integer;

-- name: list_intake_matches
-- The contacts that may be meant, and what was decided about each.
SELECT match.contact_id, match.external_id, match.is_certain, decision.decision::text AS decision, decision.actor,
    decision.why, decision.at
FROM intake_matches AS match
LEFT JOIN intake_decisions AS decision USING (intake_id, contact_id)
WHERE match.intake_id = $1::bigint
ORDER BY match.is_certain DESC, match.contact_id;

-- name: delete_old_intakes
-- Retention: delete requests that ended before a moment, with what was decided about them, a page at a time.
DELETE FROM intakes WHERE id IN (SELECT id FROM intakes WHERE done_at < $1::timestamptz LIMIT $2::integer);
