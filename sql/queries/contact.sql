-- name: put_contact
-- Write a contact down, or change the fields that $6 names; the row is locked until the transaction ends.
INSERT INTO contacts AS contact (external_id, language, country, notice_channel, sealed_name)
VALUES ($1::text, $2::text, $3::text, coalesce($4::channel, 'email'), $5::bytea)
ON CONFLICT (external_id) DO UPDATE
SET language = CASE WHEN 'language' = ANY ($6::text[]) THEN excluded.language ELSE contact.language END,
    country = CASE WHEN 'country' = ANY ($6) THEN excluded.country ELSE contact.country END,
    notice_channel = CASE WHEN 'notice_channel' = ANY ($6) THEN excluded.notice_channel ELSE contact.notice_channel END,
    sealed_name = CASE WHEN 'name' = ANY ($6) THEN excluded.sealed_name ELSE contact.sealed_name END,
    changed_at = clock_timestamp()
RETURNING id, xmax = 0 AS is_new;

-- name: find_contact
-- A contact by the organisation's own id.
SELECT id, external_id, language, country, notice_channel::text AS notice_channel, sealed_name, created_at, changed_at
FROM contacts
WHERE external_id = $1::text;

-- name: list_contacts_of
-- The contacts that have any of these points, the oldest first, up to $2 of them.
SELECT id, external_id, language, country, notice_channel::text AS notice_channel, sealed_name, created_at, changed_at
FROM contacts
WHERE id IN (SELECT contact_id FROM contact_points WHERE fingerprint = ANY ($1::bytea[]))
ORDER BY id
LIMIT $2::integer;

-- name: list_contacts_like
-- The contacts whom any of these hints may mean, the oldest first, up to $2 of them.
SELECT id, external_id, language, country, notice_channel::text AS notice_channel, sealed_name, created_at, changed_at
FROM contacts
WHERE id IN (SELECT contact_id FROM contact_hints WHERE fingerprint = ANY ($1::bytea[]))
ORDER BY id
LIMIT $2::integer;

-- name: list_points
-- The points of contacts: of each channel the latest given first, in the order given.
SELECT contact_id, channel::text AS channel, fingerprint, sealed
FROM contact_points
WHERE contact_id = ANY ($1::bigint[])
ORDER BY contact_id, contact_points.channel, given_at DESC, position, fingerprint;

-- name: put_points
-- Give contacts points, or say that they still have them; of what was erased the fingerprint only.
INSERT INTO contact_points AS point (contact_id, channel, fingerprint, canon_version, position, given_at, sealed)
SELECT contact_id, channel, fingerprint, min(canon_version), min(position), statement_timestamp(),
    CASE
        WHEN NOT EXISTS (
            SELECT FROM entries AS erased
            WHERE erased.fingerprint = given.fingerprint AND erased.reason = 'erased' AND erased.lifted_at IS NULL
            OFFSET 0
        ) THEN (array_agg(sealed))[1]
    END
FROM unnest($1::bigint[], $2::channel[], $3::bytea[], $4::smallint[], $5::smallint[], $6::bytea[])
    AS given (contact_id, channel, fingerprint, canon_version, position, sealed)
GROUP BY contact_id, channel, fingerprint
ORDER BY contact_id, channel, fingerprint
ON CONFLICT (contact_id, channel, fingerprint) DO UPDATE
SET sealed = excluded.sealed, position = excluded.position, canon_version = excluded.canon_version,
    given_at = excluded.given_at;

-- name: delete_other_points
-- Take the points of a channel from a contact, but these.
DELETE FROM contact_points
WHERE contact_id = $1::bigint AND channel = $2::channel AND fingerprint <> ALL ($3::bytea[]);

-- name: list_inherited
-- What stands on every point that a contact has on a channel, for each point that it is about to be given there: it is said about the new one as well.
-- Of how many rows there are the planner knows nothing, so look-ups are made to go by index (OFFSET 0).
WITH novel AS MATERIALIZED (
    SELECT DISTINCT contact_id, channel, fingerprint
    FROM unnest($1::bigint[], $2::channel[], $3::bytea[]) AS given (contact_id, channel, fingerprint)
    WHERE NOT EXISTS (
        SELECT FROM contact_points AS known
        WHERE (known.contact_id, known.channel, known.fingerprint)
            = (given.contact_id, given.channel, given.fingerprint)
        OFFSET 0
    )
)
SELECT DISTINCT novel.fingerprint, novel.channel::text AS channel, wish.scope, wish.reason::text AS reason, wish.said_at
FROM novel, LATERAL (
    SELECT entry.scope, entry.reason, max(entry.asserted_at) AS said_at
    FROM contact_points AS point, LATERAL (
        SELECT scope, asserted_at, CASE WHEN reason = 'complaint' THEN 'objection' ELSE reason END AS reason
        FROM entries
        WHERE entries.fingerprint = point.fingerprint AND entries.channel = point.channel AND entries.kind = 'match'
            AND entries.lifted_at IS NULL
            AND entries.reason IN ('unsubscribe', 'objection', 'complaint', 'no_sharing', 'friend_objection')
        OFFSET 0
    ) AS entry
    WHERE point.contact_id = novel.contact_id AND point.channel = novel.channel
    GROUP BY 1, 2
    HAVING count(DISTINCT point.fingerprint) = (
        SELECT count(*)
        FROM contact_points AS held
        WHERE held.contact_id = novel.contact_id AND held.channel = novel.channel
    )
    OFFSET 0
) AS wish
ORDER BY novel.fingerprint;

-- name: delete_hints
-- Forget what contacts may be known by.
DELETE FROM contact_hints WHERE contact_id = ANY ($1::bigint[]);

-- name: add_hints
-- Write down what contacts may be known by.
INSERT INTO contact_hints (contact_id, kind, fingerprint)
SELECT DISTINCT contact_id, kind, fingerprint
FROM unnest($1::bigint[], $2::text[], $3::bytea[]) AS hint (contact_id, kind, fingerprint)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: erase_points
-- Forget that fingerprints belong to anybody, what their owners may be known by, and what identifies somebody in their consents; an owner without any point left goes altogether.
WITH point AS (
    DELETE FROM contact_points WHERE fingerprint = ANY ($1::bytea[]) RETURNING contact_id, fingerprint
), hint AS (
    DELETE FROM contact_hints WHERE contact_id IN (SELECT contact_id FROM point)
), consent AS (
    UPDATE consents SET sealed_evidence = NULL
    WHERE fingerprint = ANY ($1) AND sealed_evidence IS NOT NULL
), owner AS (
    DELETE FROM contacts
    WHERE id IN (SELECT contact_id FROM point)
        AND NOT EXISTS (
            SELECT FROM contact_points AS other
            WHERE other.contact_id = contacts.id AND other.fingerprint <> ALL ($1)
        )
    RETURNING id
)
SELECT (SELECT count(*) FROM point) AS points, (SELECT count(*) FROM owner) AS contacts;

-- name: delete_erased_points
-- Retention: delete the plain form of points, and the evidence of consents, that were written beside an erasure under way.
WITH consent AS (
    UPDATE consents SET sealed_evidence = NULL
    FROM entries
    WHERE entries.fingerprint = consents.fingerprint AND entries.reason = 'erased' AND entries.lifted_at IS NULL
        AND consents.sealed_evidence IS NOT NULL
)
UPDATE contact_points SET sealed = NULL
FROM entries
WHERE entries.fingerprint = contact_points.fingerprint AND entries.reason = 'erased' AND entries.lifted_at IS NULL
    AND contact_points.sealed IS NOT NULL;

-- name: delete_contact
-- Forget a contact altogether; what stands on the list about its points stays.
DELETE FROM contacts WHERE id = $1::bigint;
