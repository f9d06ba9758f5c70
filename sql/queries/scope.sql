-- name: add_scope
-- Register a scope, or change what is given of it (NULL leaves the rest as it is); titles and descriptions are taken in one by one, an empty one takes its language away.
INSERT INTO scopes AS scope (name, titles, descriptions, position, is_offered, look)
VALUES (
    $1::text, jsonb_strip_nulls($2::jsonb), jsonb_strip_nulls($3::jsonb), coalesce($4::smallint, 0),
    coalesce($5::boolean, true), $6::jsonb
)
ON CONFLICT (name) DO UPDATE
SET titles = jsonb_strip_nulls(scope.titles || $2::jsonb),
    descriptions = jsonb_strip_nulls(scope.descriptions || $3::jsonb),
    position = coalesce($4::smallint, scope.position),
    is_offered = coalesce($5::boolean, scope.is_offered),
    look = coalesce($6::jsonb, scope.look)
RETURNING id;

-- name: list_scopes
-- Every registered scope: brands in their order, each with its topics in theirs.
SELECT scope.id, scope.name, scope.titles, scope.descriptions, scope.position, scope.is_offered, scope.look,
    logos.digest AS logo_digest
FROM scopes AS scope
LEFT JOIN scopes AS brand ON brand.name = split_part(scope.name, '/', 1)
LEFT JOIN logos ON logos.scope = scope.name
ORDER BY scope.name <> '*', coalesce(brand.position, 0), split_part(scope.name, '/', 1), scope.name LIKE '%/%',
    scope.position, scope.name;

-- name: put_logo
-- Give a scope its logo, or another one.
INSERT INTO logos (scope, media_type, content, digest) VALUES ($1::text, $2::text, $3::bytea, $4::text)
ON CONFLICT (scope) DO UPDATE
SET media_type = excluded.media_type, content = excluded.content, digest = excluded.digest,
    changed_at = clock_timestamp();

-- name: delete_logo
-- Take a scope's logo away.
DELETE FROM logos WHERE scope = $1::text;

-- name: find_logo
-- A logo by scope.
SELECT media_type, content, digest FROM logos WHERE scope = $1::text;

-- name: add_campaign
-- Give a campaign's name its number.
WITH added AS (
    INSERT INTO campaigns (name) VALUES ($1::text) ON CONFLICT (name) DO NOTHING RETURNING id
)
SELECT id FROM added UNION ALL SELECT id FROM campaigns WHERE name = $1::text LIMIT 1;
