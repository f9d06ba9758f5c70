-- name: set_export_plan
-- Rows must come at once and one by one: no sort or hash of the whole list before the first, and whoever reads may pause for as long as they like.
SELECT set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('idle_in_transaction_session_timeout', '0', true);

-- name: list_entries
-- Every standing entry, lifted ones too where asked, with its sealed address unless it is not wanted.
SELECT entry.fingerprint, entry.wide_fingerprint, entry.kind::text AS kind, entry.channel::text AS channel, entry.scope,
    entry.reason::text AS reason, entry.source::text AS source, entry.canon_version, entry.since, entry.asserted_at,
    entry.lifted_at, address.sealed
FROM entries AS entry
LEFT JOIN addresses AS address ON address.fingerprint = entry.fingerprint AND $2::boolean
WHERE entry.lifted_at IS NULL OR $1::boolean
ORDER BY entry.id;

-- name: list_grants
-- Every standing grant in the same shape, lifted ones too where asked.
SELECT opt_in.fingerprint, NULL::bytea AS wide_fingerprint, 'grant' AS kind, opt_in.channel::text AS channel, opt_in.scope,
    '' AS reason, opt_in.source::text AS source, opt_in.canon_version, opt_in.granted_at AS since,
    opt_in.granted_at AS asserted_at, opt_in.lifted_at, address.sealed
FROM grants AS opt_in
LEFT JOIN addresses AS address ON address.fingerprint = opt_in.fingerprint AND $2::boolean
WHERE opt_in.lifted_at IS NULL OR $1::boolean
ORDER BY opt_in.id;
