-- name: take_contact_rows
-- Take the staged contacts from one place up to another off the stage.
DELETE FROM contact_rows
WHERE batch_id = $1::bigint AND place >= $2::bigint AND place < $3::bigint
RETURNING place, external_id, language, country, sealed_name, channels, fingerprints, sealed_points, hint_kinds, hints,
    consents;

-- name: count_contact_rows
-- How many contacts of a batch are new, and how many are known.
SELECT count(*) FILTER (WHERE contacts.id IS NULL) AS added, count(*) FILTER (WHERE contacts.id IS NOT NULL) AS changed
FROM (SELECT DISTINCT external_id FROM contact_rows WHERE batch_id = $1::bigint) AS given
LEFT JOIN contacts USING (external_id);

-- name: find_last_place
-- The last place that is still staged; NULL where none is.
SELECT max(place) FROM contact_rows WHERE batch_id = $1::bigint;

-- name: put_contacts
-- Write contacts down; what is NULL stays as it is.
INSERT INTO contacts AS contact (external_id, language, country, sealed_name)
SELECT external_id, language, country, sealed_name
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS given (external_id, language, country, sealed_name)
ORDER BY external_id
ON CONFLICT (external_id) DO UPDATE
SET language = coalesce(excluded.language, contact.language), country = coalesce(excluded.country, contact.country),
    sealed_name = coalesce(excluded.sealed_name, contact.sealed_name), changed_at = clock_timestamp()
RETURNING id, external_id, xmax = 0 AS is_new;

-- name: delete_contact_rows
-- Delete staged contacts that will not be applied, a page at a time.
DELETE FROM contact_rows
WHERE ctid IN (SELECT ctid FROM contact_rows WHERE batch_id = $1::bigint LIMIT $2::integer);
