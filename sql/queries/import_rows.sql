-- name: set_page_plan
-- Plan for pages: of what a page holds the planner knows nothing, and joining two of them by nested loops takes minutes.
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'off', true);

-- name: has_rows
-- Whether a batch has rows that wait.
SELECT EXISTS (SELECT FROM import_rows WHERE batch_id = $1::bigint) AS answer;

-- name: count_page
-- What applying the rows of a range of fingerprints would do, by reason, scope and state; copies are rows that repeat others.
WITH wanted AS MATERIALIZED (
    SELECT fingerprint, channel, scope, reason, count(*) - 1 AS copies
    FROM import_rows
    WHERE batch_id = $1::bigint AND fingerprint >= $2::bytea AND fingerprint < $3::bytea
    GROUP BY fingerprint, channel, scope, reason
)
SELECT wanted.reason::text AS reason, wanted.scope,
    CASE WHEN known.id IS NULL THEN 'added' WHEN known.is_lifted THEN 'revived' ELSE 'already' END AS state,
    count(*) AS entries, sum(copies)::bigint AS copies
FROM wanted
LEFT JOIN LATERAL (
    SELECT id, lifted_at IS NOT NULL AS is_lifted
    FROM entries AS entry
    WHERE (entry.fingerprint, entry.channel, entry.scope, entry.reason)
        = (wanted.fingerprint, wanted.channel, wanted.scope, wanted.reason)
    OFFSET 0
) AS known ON true
GROUP BY 1, 2, 3;

-- name: erase_page
-- Delete the sealed address and all evidence of those whom the range says to be erased; arrays, so that never a whole table is read.
WITH erased AS MATERIALIZED (
    SELECT ARRAY (
        SELECT DISTINCT fingerprint
        FROM import_rows
        WHERE batch_id = $1::bigint AND fingerprint >= $2::bytea AND fingerprint < $3::bytea AND reason = 'erased'
    ) AS fingerprints
), gone AS (
    DELETE FROM addresses WHERE fingerprint = ANY ((SELECT fingerprints FROM erased)::bytea[])
)
DELETE FROM evidence WHERE fingerprint = ANY ((SELECT fingerprints FROM erased)::bytea[]);

-- name: apply_page
-- Take the rows of a range of fingerprints off the stage and assert them as `add_entries` does, in key order; what met another writer is put back.
WITH given AS (
    DELETE FROM import_rows
    WHERE batch_id = $1::bigint AND fingerprint >= $2::bytea AND fingerprint < $3::bytea
    RETURNING fingerprint, channel, scope, reason, wide_fingerprint, kind, source, since, asserted_at, sealed
), wanted AS MATERIALIZED (
    SELECT DISTINCT ON (fingerprint, channel, scope, reason)
        fingerprint, channel, scope, reason, wide_fingerprint, kind, source, sealed,
        least(min(since) OVER same, statement_timestamp()) AS since,
        least(max(asserted_at) OVER same, statement_timestamp()) AS asserted_at,
        bool_or(asserted_at IS NULL) OVER same AS is_said_now,
        count(*) OVER same AS copies,
        bool_or(reason = 'erased') OVER (PARTITION BY fingerprint) AS is_erased
    FROM given
    WINDOW same AS (PARTITION BY fingerprint, channel, scope, reason)
    ORDER BY fingerprint, channel, scope, reason, wide_fingerprint NULLS LAST, sealed NULLS LAST
), before AS MATERIALIZED (
    SELECT wanted.*, known.id, known.is_lifted, known.was_erased,
        CASE
            WHEN is_said_now THEN greatest(statement_timestamp(), (
                SELECT max(granted_at)
                FROM grants
                WHERE grants.fingerprint = wanted.fingerprint AND grants.channel = wanted.channel
            ))
            ELSE asserted_at
        END AS said_at
    FROM wanted
    LEFT JOIN LATERAL (
        SELECT max(entry.id) FILTER (WHERE is_same) AS id,
            bool_or(is_same AND entry.lifted_at IS NOT NULL) AS is_lifted,
            bool_or(entry.reason = 'erased' AND entry.lifted_at IS NULL) AS was_erased
        FROM entries AS entry,
            LATERAL (
                SELECT (entry.channel, entry.scope, entry.reason) = (wanted.channel, wanted.scope, wanted.reason) AS is_same
            ) AS compared
        WHERE entry.fingerprint = wanted.fingerprint
    ) AS known ON true
), written AS (
    INSERT INTO entries AS entry (
        fingerprint, wide_fingerprint, kind, channel, scope, reason, source, batch_id, canon_version, since, asserted_at
    )
    SELECT fingerprint, wide_fingerprint, kind, channel, scope, reason, source, $1, $4::smallint, since, said_at
    FROM before
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
    SELECT coalesce(written.id, before.id) AS id, before.id IS NULL AS is_new,
        written.id IS NOT NULL AND coalesce(before.is_lifted, false) AS is_revived,
        NOT (is_erased OR coalesce(was_erased, false)) AS is_kept,
        fingerprint, channel, scope, reason, wide_fingerprint, kind, source, since, asserted_at, is_said_now, sealed,
        copies
    FROM before
    LEFT JOIN written USING (fingerprint, channel, scope, reason)
), event AS (
    INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, batch_id, actor)
    SELECT CASE WHEN is_new OR is_revived THEN 'asserted' ELSE 'already' END::event_action,
        id, fingerprint, channel, scope, reason, 'import', $1, $5::text
    FROM found
    WHERE id IS NOT NULL
), address AS (
    INSERT INTO addresses (fingerprint, sealed)
    SELECT DISTINCT ON (fingerprint) fingerprint, sealed
    FROM found
    WHERE id IS NOT NULL AND is_kept AND sealed IS NOT NULL
    ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO NOTHING
), missed AS (
    INSERT INTO import_rows (
        batch_id, fingerprint, wide_fingerprint, kind, channel, scope, reason, source, since, asserted_at, sealed
    )
    SELECT $1, fingerprint, wide_fingerprint, kind, channel, scope, reason, source, since,
        CASE WHEN NOT is_said_now THEN asserted_at END, sealed
    FROM found
    WHERE id IS NULL
)
SELECT count(*) FILTER (WHERE id IS NOT NULL AND is_new) AS added,
    count(*) FILTER (WHERE is_revived) AS revived,
    count(*) FILTER (WHERE id IS NOT NULL AND NOT is_new AND NOT is_revived) AS already,
    coalesce(sum(copies - 1), 0)::bigint AS copies
FROM found;

-- name: delete_rows
-- Delete rows of a batch that will not be applied, a page at a time.
DELETE FROM import_rows
WHERE ctid IN (SELECT ctid FROM import_rows WHERE batch_id = $1::bigint LIMIT $2::integer);
