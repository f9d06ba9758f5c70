-- name: prepare_build
-- Settings for the rest of this transaction: sort in memory as far as $1 goes, and for as long as it takes.
SELECT set_config('work_mem', $1::text, true), set_config('statement_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '0', true), set_config('jit', 'off', true);

-- name: read_build_point
-- The snapshot that a build reads, the server, and the highest transaction of which the snapshot holds anything.
SELECT pg_current_snapshot()::text AS snapshot, server.system_identifier, server.timeline, server.storage,
    greatest(
        '0'::xid8,
        (SELECT changed_xid FROM entries ORDER BY changed_xid DESC, id DESC LIMIT 1),
        (SELECT changed_xid FROM grants ORDER BY changed_xid DESC, id DESC LIMIT 1)
    ) AS highest
FROM server_identity AS server;

-- name: count_rules
-- How many keys at most stand under each scope, and whether any of them is a domain.
SELECT scope, sum(keys)::bigint AS keys, bool_or(has_domains) AS has_domains
FROM (
    SELECT scope, count(*) + count(wide_fingerprint) AS keys, bool_or(kind = 'domain') AS has_domains
    FROM entries
    WHERE lifted_at IS NULL
    GROUP BY scope
    UNION ALL
    SELECT scope, count(*), false
    FROM grants
    WHERE lifted_at IS NULL
    GROUP BY scope
) AS counted
GROUP BY scope
ORDER BY scope;

-- name: copy_rules
-- All that stands, by key: place of the reason in $1 (0 for a grant) and of the scope in $2; oldest first, of equals the grant.
SELECT rule.key, coalesce(reason.number, 0)::smallint, scope.number::integer
FROM (
    SELECT fingerprint AS key, reason, scope, asserted_at AS at FROM entries WHERE lifted_at IS NULL
    UNION ALL
    SELECT wide_fingerprint, reason, scope, asserted_at FROM entries
    WHERE lifted_at IS NULL AND wide_fingerprint IS NOT NULL
    UNION ALL
    SELECT fingerprint, NULL, scope, granted_at FROM grants WHERE lifted_at IS NULL
) AS rule
LEFT JOIN unnest($1::reason[]) WITH ORDINALITY AS reason (name, number) ON reason.name = rule.reason
JOIN unnest($2::text[]) WITH ORDINALITY AS scope (name, number) ON scope.name = rule.scope
ORDER BY rule.key, rule.at, reason.number NULLS FIRST, scope.number;

-- name: has_entries_beyond
-- Whether the list is larger than a number of rows, counted no further.
SELECT count(*) > $1::integer AS answer FROM (SELECT FROM entries LIMIT $1 + 1) AS counted;

-- name: delete_old_builders
-- Forget builders that nobody has seen for long: each container that there ever was may have been one.
DELETE FROM index_builds WHERE seen_at < clock_timestamp() - interval '30 days';

-- name: add_build
-- Put a finished file on record; the one before stays there, because it is still in use until this one has its name.
INSERT INTO index_builds AS known (builder, marks, built_at, keys)
VALUES ($1::text, ARRAY[$2::uuid], clock_timestamp(), $3::bigint)
ON CONFLICT (builder) DO UPDATE
SET marks = (excluded.marks || known.marks)[1:2], built_at = excluded.built_at, keys = excluded.keys, changes = 0,
    seen_at = clock_timestamp();

-- name: has_build
-- Whether this server remembers a file.
SELECT EXISTS (SELECT FROM index_builds WHERE $1::uuid = ANY (marks)) AS answer;

-- name: record_builder
-- Say that a builder is alive, how much has changed since its file, and how much may.
INSERT INTO index_builds (builder, changes, changes_max)
VALUES ($1::text, $2::bigint, $3::bigint)
ON CONFLICT (builder) DO UPDATE
SET changes = excluded.changes, changes_max = excluded.changes_max, seen_at = clock_timestamp();

-- name: is_builder_behind
-- Whether a builder that is alive has more changes to take in than it may.
SELECT EXISTS (
    SELECT FROM index_builds WHERE changes > changes_max AND seen_at > clock_timestamp() - $1::interval
) AS answer;
