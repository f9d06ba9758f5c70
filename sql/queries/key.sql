-- name: list_key_records
-- The keys this list was written with.
SELECT role, id, check_value FROM key_records ORDER BY role, id;

-- name: add_key_record
-- Remember a key in use; a key recorded already stays as it is.
INSERT INTO key_records (role, id, check_value) VALUES ($1::text, $2::smallint, $3::bytea)
ON CONFLICT (role, id) DO NOTHING;

-- name: has_entries
-- Whether anything was ever written to the list.
SELECT EXISTS (SELECT FROM entries) OR EXISTS (SELECT FROM addresses) AS answer;
