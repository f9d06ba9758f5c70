-- name: add_scope
-- Register a scope, or set its titles where it exists.
INSERT INTO scopes (name, titles) VALUES ($1::text, $2::jsonb)
ON CONFLICT (name) DO UPDATE SET titles = scopes.titles || excluded.titles
RETURNING id;

-- name: list_scopes
-- Every registered scope with its number and titles per language.
SELECT id, name, titles FROM scopes ORDER BY name;

-- name: add_campaign
-- Give a campaign's name its number.
WITH added AS (
    INSERT INTO campaigns (name) VALUES ($1::text) ON CONFLICT (name) DO NOTHING RETURNING id
)
SELECT id FROM added UNION ALL SELECT id FROM campaigns WHERE name = $1::text LIMIT 1;
