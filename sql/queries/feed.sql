-- name: ask_barrier
-- Which server answers, at which snapshot, and whether a reader at the position ($1, $2) lacks anything; as_of is a moment before the snapshot.
SELECT transaction_timestamp() AS as_of, pg_current_snapshot()::text AS snapshot,
    server.system_identifier, server.timeline, server.storage,
    EXISTS (
        SELECT FROM list_identity AS known
        WHERE (known.system_identifier, known.timeline, known.storage)
            = (server.system_identifier, server.timeline, server.storage)
    ) AS is_adopted,
    EXISTS (
        SELECT FROM unseen_spans($1::xid8, $2::xid8[]) AS span, LATERAL (
            (
                SELECT FROM entries
                WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
                ORDER BY changed_xid, id LIMIT 1
            )
            UNION ALL
            (
                SELECT FROM grants
                WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
                ORDER BY changed_xid, id LIMIT 1
            )
        ) AS unseen
    ) AS is_behind
FROM server_identity AS server;

-- name: read_changes
-- What stands now under the keys of the next rows that a reader at the position ($1, $2) lacks, of transactions before $3 and after the places ($4, $5) among entries and ($6, $7) among grants; oldest first within a key, of equals the grant.
WITH entry AS MATERIALIZED (
    SELECT unseen.*
    FROM unseen_spans($1::xid8, $2::xid8[], $4::xid8, $5::bigint, $3::xid8) AS span, LATERAL (
        SELECT changed_xid, id, fingerprint, wide_fingerprint, kind
        FROM entries
        WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
        ORDER BY changed_xid, id
        LIMIT $8::integer
    ) AS unseen
    ORDER BY changed_xid, id
    LIMIT $8
), opt_in AS MATERIALIZED (
    SELECT unseen.*
    FROM unseen_spans($1, $2, $6::xid8, $7::bigint, $3) AS span, LATERAL (
        SELECT changed_xid, id, fingerprint
        FROM grants
        WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
        ORDER BY changed_xid, id
        LIMIT $8
    ) AS unseen
    ORDER BY changed_xid, id
    LIMIT $8
), form AS (
    SELECT fingerprint AS key FROM entry
    UNION
    SELECT wide_fingerprint FROM entry WHERE wide_fingerprint IS NOT NULL
    UNION
    SELECT fingerprint FROM opt_in
), rule AS (
    SELECT form.key, standing.reason, standing.scope, standing.at
    FROM form
    LEFT JOIN LATERAL (
        SELECT reason, scope, asserted_at AS at FROM entries WHERE fingerprint = form.key AND lifted_at IS NULL
        UNION ALL
        SELECT reason, scope, asserted_at FROM entries WHERE wide_fingerprint = form.key AND lifted_at IS NULL
        UNION ALL
        SELECT NULL, scope, granted_at FROM grants WHERE fingerprint = form.key AND lifted_at IS NULL
        OFFSET 0
    ) AS standing ON true
    ORDER BY form.key, standing.at, standing.reason IS NOT NULL
), ruled AS (
    SELECT array_agg(key) AS keys, array_agg(reason::text) AS reasons, array_agg(scope) AS scopes
    FROM rule
)
SELECT pg_current_snapshot()::text AS snapshot, ruled.keys, ruled.reasons, ruled.scopes,
    (SELECT count(*) FROM entry) AS entries, (SELECT count(*) FROM opt_in) AS grants,
    (SELECT bool_or(kind = 'domain') FROM entry) AS has_domains,
    last_entry.changed_xid AS entry_xid, last_entry.id AS entry_id,
    last_grant.changed_xid AS grant_xid, last_grant.id AS grant_id
FROM ruled
LEFT JOIN (SELECT changed_xid, id FROM entry ORDER BY changed_xid DESC, id DESC LIMIT 1) AS last_entry ON true
LEFT JOIN (SELECT changed_xid, id FROM opt_in ORDER BY changed_xid DESC, id DESC LIMIT 1) AS last_grant ON true;

-- name: count_unseen
-- How many rows a reader at the position ($1, $2) lacks, counted up to one more than $3.
SELECT count(*) AS answer
FROM (
    SELECT FROM unseen_spans($1::xid8, $2::xid8[]) AS span, LATERAL (
        (
            SELECT FROM entries
            WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
            ORDER BY changed_xid, id LIMIT $3::integer + 1
        )
        UNION ALL
        (
            SELECT FROM grants
            WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
            ORDER BY changed_xid, id LIMIT $3 + 1
        )
    ) AS unseen
    LIMIT $3 + 1
) AS counted;

-- name: list_changed_entries
-- The next entries, lifted ones too, that a reader at the position ($1, $2) lacks, of transactions before $3 and after the place ($4, $5); the first row holds none but the snapshot.
SELECT pg_current_snapshot()::text AS snapshot, NULL::xid8 AS changed_xid, NULL::bigint AS id, NULL::bytea AS fingerprint,
    NULL AS channel, NULL AS scope, NULL AS reason, NULL::timestamptz AS since, NULL::timestamptz AS lifted_at,
    NULL::bytea AS sealed
UNION ALL
(
    SELECT NULL, unseen.changed_xid, unseen.id, unseen.fingerprint, unseen.channel::text, unseen.scope,
        unseen.reason::text, unseen.since, unseen.lifted_at, address.sealed
    FROM (
        SELECT unseen.*
        FROM unseen_spans($1::xid8, $2::xid8[], $4::xid8, $5::bigint, $3::xid8) AS span, LATERAL (
            SELECT changed_xid, id, fingerprint, channel, scope, reason, since, lifted_at
            FROM entries
            WHERE (changed_xid, id) > (span.after_xid, span.after_id) AND changed_xid < span.stop
            ORDER BY changed_xid, id
            LIMIT $6::integer
        ) AS unseen
        ORDER BY changed_xid, id
        LIMIT $6
    ) AS unseen
    LEFT JOIN addresses AS address USING (fingerprint)
    ORDER BY unseen.changed_xid, unseen.id
);

-- name: read_identity
-- Which server answers.
SELECT system_identifier, timeline, storage FROM server_identity;

-- name: find_adopter
-- Which server the list was last adopted by, if any.
SELECT system_identifier, timeline, storage FROM list_identity;

-- name: try_adoption_lock
-- Take the right to adopt the list, until this transaction ends.
SELECT pg_try_advisory_xact_lock(4712054) AS answer;

-- name: is_restored
-- Whether a restore has reached the end of both tables: it makes their indexes last.
SELECT count(*) = 2 AS answer
FROM pg_index
WHERE indisvalid AND indexrelid IN (to_regclass('entries_changed_xid'), to_regclass('grants_changed_xid'));

-- name: renew_entries
-- Give entries whose transaction ids this server has yet to reach the id of this transaction, a page at a time.
UPDATE entries SET changed_xid = pg_current_xact_id()
WHERE id = ANY (ARRAY(
    SELECT id FROM entries
    WHERE changed_xid >= pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY changed_xid, id
    LIMIT $1::integer
));

-- name: renew_grants
-- The same for grants.
UPDATE grants SET changed_xid = pg_current_xact_id()
WHERE id = ANY (ARRAY(
    SELECT id FROM grants
    WHERE changed_xid >= pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY changed_xid, id
    LIMIT $1::integer
));

-- name: set_identity
-- Adopt the list on the server that answers.
INSERT INTO list_identity (system_identifier, timeline, storage)
SELECT system_identifier, timeline, storage FROM server_identity
ON CONFLICT (is_only) DO UPDATE
SET system_identifier = excluded.system_identifier, timeline = excluded.timeline, storage = excluded.storage,
    adopted_at = clock_timestamp();
