-- name: add_entries
-- Assert entries: insert, revive or renew each, and append its event, evidence and sealed address; one row back per row given that could be seen.
-- Of how many rows there are the planner knows nothing, so look-ups are made to go by index (OFFSET 0) and joins by one number.
WITH given AS (
    -- What is said now is said after every grant on record, though the clock of another server was ahead.
    SELECT fingerprint, wide_fingerprint, kind, channel, scope, reason, source, sealed, evidence, expires_at, canon_version, place,
        min(place) OVER (PARTITION BY fingerprint, channel, scope, reason) AS first_place,
        least(coalesce(since, now), now) AS since,
        CASE
            WHEN since IS NOT NULL THEN least(since, now)
            ELSE greatest(now, (
                SELECT max(granted_at)
                FROM grants
                WHERE grants.fingerprint = line.fingerprint AND grants.channel = line.channel
            ))
        END AS asserted_at
    FROM unnest(
        $1::bytea[], $2::bytea[], $3::entry_kind[], $4::channel[], $5::text[], $6::reason[], $7::source[],
        $8::timestamptz[], $9::bytea[], $10::bytea[], $11::timestamptz[], $12::smallint[]
    ) WITH ORDINALITY AS line (
        fingerprint, wide_fingerprint, kind, channel, scope, reason, source, since, sealed, evidence, expires_at,
        canon_version, place
    ), (SELECT clock_timestamp() OFFSET 0) AS clock (now)
), wanted AS MATERIALIZED (
    SELECT DISTINCT ON (fingerprint, channel, scope, reason)
        fingerprint, channel, scope, reason, wide_fingerprint, kind, source, sealed, evidence, expires_at,
        canon_version, first_place,
        min(since) OVER same AS since, max(asserted_at) OVER same AS asserted_at
    FROM given
    WINDOW same AS (PARTITION BY fingerprint, channel, scope, reason)
    ORDER BY fingerprint, channel, scope, reason, wide_fingerprint NULLS LAST, place
), written AS (
    INSERT INTO entries AS entry (
        fingerprint, wide_fingerprint, kind, channel, scope, reason, source, batch_id, canon_version, since, asserted_at
    )
    SELECT fingerprint, wide_fingerprint, kind, channel, scope, reason, source, $13::bigint, canon_version, since,
        asserted_at
    FROM wanted
    ORDER BY fingerprint, channel, scope, reason
    ON CONFLICT (fingerprint, channel, scope, reason) DO UPDATE
    SET lifted_at = NULL,
        since = CASE WHEN entry.lifted_at IS NULL THEN least(entry.since, excluded.since) ELSE excluded.since END,
        asserted_at = greatest(entry.asserted_at, excluded.asserted_at),
        source = CASE WHEN entry.lifted_at IS NULL THEN entry.source ELSE excluded.source END,
        batch_id = CASE WHEN entry.lifted_at IS NULL THEN entry.batch_id ELSE excluded.batch_id END,
        wide_fingerprint = coalesce(excluded.wide_fingerprint, entry.wide_fingerprint),
        changed_xid = pg_current_xact_id()
    WHERE entry.lifted_at IS NOT NULL
        OR (entry.wide_fingerprint IS NULL AND excluded.wide_fingerprint IS NOT NULL)
        OR EXISTS (
            SELECT FROM grants
            WHERE grants.fingerprint = entry.fingerprint AND grants.channel = entry.channel
                AND grants.lifted_at IS NULL AND grants.granted_at >= entry.asserted_at
                AND excluded.asserted_at >= grants.granted_at
        )
        -- A wide or a domain's entry speaks about other fingerprints too, whose grants cannot be found by its own.
        OR (
            (entry.kind = 'domain' OR entry.wide_fingerprint IS NOT NULL)
            AND EXISTS (
                SELECT FROM grants
                WHERE grants.granted_at BETWEEN entry.asserted_at AND excluded.asserted_at
                    AND grants.channel = entry.channel AND grants.lifted_at IS NULL
            )
        )
    RETURNING entry.id, entry.fingerprint, entry.channel, entry.scope, entry.reason
), found AS MATERIALIZED (
    -- Only what stood for nothing before is `asserted`, because an undo takes that back. Renewing or widening what
    -- stood already is not: its undo would lift what somebody else had said.
    SELECT coalesce(written.id, before.id) AS id, wanted.*,
        CASE
            WHEN written.id IS NOT NULL AND coalesce(before.is_lifted, true) THEN 'asserted'
            ELSE 'already'
        END::event_action AS action
    FROM wanted
    LEFT JOIN written USING (fingerprint, channel, scope, reason)
    LEFT JOIN LATERAL (
        SELECT entry.id, entry.lifted_at IS NOT NULL AS is_lifted
        FROM entries AS entry
        WHERE (entry.fingerprint, entry.channel, entry.scope, entry.reason)
            = (wanted.fingerprint, wanted.channel, wanted.scope, wanted.reason)
        OFFSET 0
    ) AS before ON true
    WHERE coalesce(written.id, before.id) IS NOT NULL
), event AS (
    INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, batch_id, actor)
    SELECT action, id, fingerprint, channel, scope, reason, source, $13::bigint, $14::text
    FROM found
    RETURNING id, entry_id
), unerased AS (
    SELECT found.fingerprint, found.sealed, found.evidence, found.expires_at, event.id AS event_id
    FROM found
    JOIN event ON event.entry_id = found.id
    WHERE NOT EXISTS (
        SELECT FROM entries AS erased
        WHERE erased.fingerprint = found.fingerprint AND erased.reason = 'erased' AND erased.lifted_at IS NULL
        OFFSET 0
    )
), address AS (
    INSERT INTO addresses (fingerprint, sealed)
    SELECT DISTINCT ON (fingerprint) fingerprint, sealed FROM unerased WHERE sealed IS NOT NULL
    ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO NOTHING
), proof AS (
    INSERT INTO evidence (event_id, fingerprint, sealed, expires_at)
    SELECT event_id, fingerprint, evidence, expires_at FROM unerased WHERE evidence IS NOT NULL
)
SELECT given.place, event.entry_id, event.id AS event_id,
    found.action = 'asserted' AND given.place = given.first_place AS is_new
FROM given
JOIN found ON found.first_place = given.first_place
JOIN event ON event.entry_id = found.id
ORDER BY given.place;

-- name: limit_lock_waits
-- Give up, within this transaction, on a lock that somebody else holds for longer than this.
SELECT set_config('lock_timeout', $1::text, true) AS answer;

-- name: find_rules
-- What stands about these fingerprints on a channel: match and domain forms in $1, wide forms in $2. The first row holds no rule but a moment before the snapshot, or none on a standby.
SELECT NULL::bigint AS id, NULL::bytea AS key, NULL::text AS reason, NULL::text AS scope,
    CASE WHEN NOT pg_is_in_recovery() THEN transaction_timestamp() END AS at, false AS wide
UNION ALL
SELECT entry.id, entry.fingerprint, entry.reason::text, entry.scope, entry.asserted_at, false
FROM entries AS entry
WHERE entry.fingerprint = ANY ($1::bytea[]) AND entry.channel = $3::channel AND entry.lifted_at IS NULL
UNION ALL
SELECT entry.id, entry.wide_fingerprint, entry.reason::text, entry.scope, entry.asserted_at, true
FROM entries AS entry
WHERE entry.wide_fingerprint = ANY ($2::bytea[]) AND entry.channel = $3::channel AND entry.lifted_at IS NULL
UNION ALL
SELECT opt_in.id, opt_in.fingerprint, NULL, opt_in.scope, opt_in.granted_at, false
FROM grants AS opt_in
WHERE opt_in.fingerprint = ANY ($1::bytea[]) AND opt_in.channel = $3::channel AND opt_in.lifted_at IS NULL;

-- name: lift_entry
-- Lift one standing entry by id, within $5 (scopes and brands; NULL for all), and record who did it, with sealed evidence; no row when there is none.
WITH lifted AS (
    UPDATE entries SET lifted_at = clock_timestamp(), changed_xid = pg_current_xact_id()
    WHERE id = $1::bigint AND lifted_at IS NULL
        AND ($5::text[] IS NULL OR scope = ANY ($5) OR split_part(scope, '/', 1) = ANY ($5))
    RETURNING id, fingerprint, channel, scope, reason
), event AS (
    INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, actor)
    SELECT 'lifted', id, fingerprint, channel, scope, reason, $2::source, $3::text FROM lifted
    RETURNING id, fingerprint
), proof AS (
    INSERT INTO evidence (event_id, fingerprint, sealed) SELECT id, fingerprint, $4::bytea FROM event
)
SELECT id FROM event;

-- name: undo_events
-- Lift what the given events asserted, where nothing has spoken for it since; what is undone comes back.
WITH undoable AS (
    SELECT event.entry_id, event.fingerprint, event.channel, event.scope, event.reason, event.source
    FROM events AS event
    WHERE event.id = ANY ($1::bigint[]) AND event.action = 'asserted'
        AND NOT EXISTS (
            SELECT FROM events AS later WHERE later.entry_id = event.entry_id AND later.id > event.id
        )
), lifted AS (
    UPDATE entries SET lifted_at = clock_timestamp(), changed_xid = pg_current_xact_id()
    FROM undoable
    WHERE entries.id = undoable.entry_id AND entries.lifted_at IS NULL
    RETURNING entries.id
)
INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, actor)
SELECT 'undone', entry_id, fingerprint, channel, scope, reason, source, $2::text
FROM undoable
JOIN lifted ON lifted.id = undoable.entry_id
RETURNING channel::text AS channel, scope, reason::text AS reason;

-- name: lock_entries
-- Lock the entries that events belong to, so that nothing is asserted while they are undone.
SELECT entries.id FROM entries
WHERE id IN (SELECT entry_id FROM events WHERE events.id = ANY ($1::bigint[]))
ORDER BY entries.id
FOR UPDATE;

-- name: search_entries
-- Entries by filter, newest first, below an id and within $9 (scopes and brands; NULL for all); lifted ones included where asked.
SELECT entry.id, entry.fingerprint, entry.kind::text AS kind, entry.channel::text AS channel, entry.scope,
    entry.reason::text AS reason, entry.source::text AS source, entry.batch_id, entry.since, entry.lifted_at,
    address.sealed
FROM entries AS entry
LEFT JOIN addresses AS address USING (fingerprint)
WHERE entry.id < $1::bigint
    AND ($2::reason IS NULL OR entry.reason = $2)
    AND ($3::text IS NULL OR entry.scope = $3)
    AND ($4::source IS NULL OR entry.source = $4)
    AND ($5::timestamptz IS NULL OR entry.since >= $5)
    AND ($6::timestamptz IS NULL OR entry.since < $6)
    AND ($7::boolean OR entry.lifted_at IS NULL)
    AND ($9::text[] IS NULL OR entry.scope = ANY ($9) OR split_part(entry.scope, '/', 1) = ANY ($9))
ORDER BY entry.id DESC
LIMIT $8::integer;

-- name: search_entries_of
-- The same among the entries that speak about one address (match and domain forms in $10, wide forms in $11).
SELECT entry.id, entry.fingerprint, entry.kind::text AS kind, entry.channel::text AS channel, entry.scope,
    entry.reason::text AS reason, entry.source::text AS source, entry.batch_id, entry.since, entry.lifted_at,
    address.sealed
FROM entries AS entry
LEFT JOIN addresses AS address USING (fingerprint)
WHERE (entry.fingerprint = ANY ($10::bytea[]) OR entry.wide_fingerprint = ANY ($11::bytea[]))
    AND entry.id < $1::bigint
    AND ($2::reason IS NULL OR entry.reason = $2)
    AND ($3::text IS NULL OR entry.scope = $3)
    AND ($4::source IS NULL OR entry.source = $4)
    AND ($5::timestamptz IS NULL OR entry.since >= $5)
    AND ($6::timestamptz IS NULL OR entry.since < $6)
    AND ($7::boolean OR entry.lifted_at IS NULL)
    AND ($9::text[] IS NULL OR entry.scope = ANY ($9) OR split_part(entry.scope, '/', 1) = ANY ($9))
ORDER BY entry.id DESC
LIMIT $8::integer;

-- name: list_entries_for
-- Every entry, lifted ones too, that speaks about these fingerprints (match and domain in $1, wide in $2) on a channel.
SELECT entry.id, entry.kind::text AS kind, entry.scope, entry.reason::text AS reason, entry.source::text AS source,
    entry.batch_id, entry.since, entry.asserted_at, entry.lifted_at,
    NOT entry.fingerprint = ANY ($1::bytea[]) AS by_wide
FROM entries AS entry
WHERE (entry.fingerprint = ANY ($1::bytea[]) OR entry.wide_fingerprint = ANY ($2::bytea[]))
    AND entry.channel = $3::channel
ORDER BY entry.asserted_at, entry.id;

-- name: list_grants_for
-- Every grant for a fingerprint on a channel, lifted ones too.
SELECT id, scope, source::text AS source, granted_at, lifted_at
FROM grants
WHERE fingerprint = $1::bytea AND channel = $2::channel
ORDER BY granted_at, id;

-- name: list_events_of
-- The history of entries, oldest first, with what evidence is left.
SELECT event.id, event.entry_id, event.at, event.action::text AS action, event.source::text AS source, event.batch_id,
    event.actor, evidence.sealed AS evidence
FROM events AS event
LEFT JOIN evidence ON evidence.event_id = event.id
WHERE event.entry_id = ANY ($1::bigint[])
ORDER BY event.id;

-- name: erase_address
-- Delete the sealed address and all evidence of a fingerprint; the entries and their history stay.
WITH gone AS (
    DELETE FROM addresses WHERE fingerprint = $1::bytea RETURNING fingerprint
), proofs AS (
    DELETE FROM evidence WHERE fingerprint = $1::bytea RETURNING event_id
)
SELECT (SELECT count(*) FROM gone) AS addresses, (SELECT count(*) FROM proofs) AS evidence;

-- name: add_grant
-- Record a proven opt-in for a scope, or renew it.
WITH written AS (
    INSERT INTO grants AS opt_in (fingerprint, channel, scope, source, canon_version, granted_at)
    VALUES ($1::bytea, $2::channel, $3::text, $4::source, $5::smallint, clock_timestamp())
    ON CONFLICT (fingerprint, channel, scope) DO UPDATE
    SET lifted_at = NULL, granted_at = excluded.granted_at, source = excluded.source, changed_xid = pg_current_xact_id()
    RETURNING id, fingerprint, channel, scope
)
INSERT INTO events (action, grant_id, fingerprint, channel, scope, source, actor)
SELECT 'granted', id, fingerprint, channel, scope, $4::source, $6::text FROM written
RETURNING grant_id;

-- name: delete_expired_evidence
-- Retention: delete evidence whose time is over, a page at a time.
DELETE FROM evidence
WHERE event_id IN (
    SELECT event_id FROM evidence WHERE expires_at < clock_timestamp() LIMIT $1::integer
);

-- name: delete_erased_addresses
-- Retention: delete sealed addresses that were written beside an erasure under way.
DELETE FROM addresses
USING entries
WHERE entries.fingerprint = addresses.fingerprint AND entries.reason = 'erased' AND entries.lifted_at IS NULL;

-- name: delete_erased_evidence
-- Retention: the same for evidence; why an entry was lifted afterwards stays.
DELETE FROM evidence
USING entries, events
WHERE entries.fingerprint = evidence.fingerprint AND entries.reason = 'erased' AND entries.lifted_at IS NULL
    AND events.id = evidence.event_id AND events.action <> 'lifted';
