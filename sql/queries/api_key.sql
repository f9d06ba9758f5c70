-- name: add_api_key
-- Store a new API key by the hash of its secret.
INSERT INTO api_keys (name, secret_hash, permissions, purposes, scopes)
VALUES ($1::text, $2::bytea, $3::text[], $4::text[], $5::text[])
RETURNING id;

-- name: find_api_key
-- The key that a secret's hash belongs to, unless it was revoked.
SELECT id, name, permissions, purposes, scopes FROM api_keys WHERE secret_hash = $1::bytea AND revoked_at IS NULL;

-- name: list_api_keys
-- Every API key, revoked ones too.
SELECT id, name, permissions, purposes, scopes, created_at, revoked_at FROM api_keys ORDER BY id;

-- name: revoke_api_key
-- Revoke a key; no row when there is none in force.
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = $1::integer AND revoked_at IS NULL RETURNING id;
