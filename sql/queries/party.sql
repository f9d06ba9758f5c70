-- name: put_party
-- Register a party, or change what is told about it; no row where it has ended or is of another kind.
INSERT INTO parties AS party (name, kind, title, postal_address, products)
VALUES ($1::text, $2::party_kind, $3::text, $4::text, $5::text)
ON CONFLICT (name) DO UPDATE
SET title = excluded.title, postal_address = excluded.postal_address, products = excluded.products,
    changed_at = clock_timestamp()
WHERE party.kind = excluded.kind AND party.ended_at IS NULL
RETURNING id, name, kind::text AS kind, title, postal_address, products, created_at, ended_at,
    party.xmax = 0 AS is_new;

-- name: find_party
-- A party by name, ended or not.
SELECT id, name, kind::text AS kind, title, postal_address, products, created_at, ended_at
FROM parties
WHERE name = $1::text;

-- name: list_parties
-- Every party, ended ones too, by name.
SELECT id, name, kind::text AS kind, title, postal_address, products, created_at, ended_at
FROM parties
ORDER BY name;

-- name: end_party
-- End a party from now on; no row when it has ended before or is none.
UPDATE parties SET ended_at = clock_timestamp() WHERE name = $1::text AND ended_at IS NULL RETURNING id;
