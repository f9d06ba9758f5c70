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
-- What stands on every point that a contact had on a channel before it was given another: it is said about the new one as well.
WITH given AS (
    SELECT DISTINCT contact_id, channel, fingerprint
    FROM unnest($1::bigint[], $2::channel[], $3::bytea[]) AS given (contact_id, channel, fingerprint)
), held AS (
    SELECT contact_id, channel, count(*) AS points
    FROM contact_points
    WHERE contact_id = ANY ($1)
    GROUP BY contact_id, channel
), wish AS (
    SELECT point.contact_id, point.channel, entry.scope,
        CASE WHEN entry.reason = 'complaint' THEN 'objection' ELSE entry.reason END AS reason,
        max(entry.asserted_at) AS said_at
    FROM contact_points AS point
    JOIN entries AS entry ON entry.fingerprint = point.fingerprint AND entry.channel = point.channel
    JOIN held ON held.contact_id = point.contact_id AND held.channel = point.channel
    WHERE point.contact_id = ANY ($1) AND entry.kind = 'match' AND entry.lifted_at IS NULL
        AND entry.reason IN ('unsubscribe', 'objection', 'complaint', 'no_sharing', 'friend_objection')
    GROUP BY 1, 2, 3, 4
    HAVING count(DISTINCT point.fingerprint) = min(held.points)
)
SELECT DISTINCT given.fingerprint, given.channel::text AS channel, wish.scope, wish.reason::text AS reason, wish.said_at
FROM given
JOIN wish USING (contact_id, channel)
WHERE NOT EXISTS (
    SELECT FROM contact_points AS known
    WHERE (known.contact_id, known.channel, known.fingerprint) = (given.contact_id, given.channel, given.fingerprint)
)
ORDER BY given.fingerprint;

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
-- Retention: delete the plain form of points that were written beside an erasure under way.
UPDATE contact_points SET sealed = NULL
FROM entries
WHERE entries.fingerprint = contact_points.fingerprint AND entries.reason = 'erased' AND entries.lifted_at IS NULL
    AND contact_points.sealed IS NOT NULL;

-- name: delete_contact
-- Forget a contact altogether; what stands on the list about its points stays.
DELETE FROM contacts WHERE id = $1::bigint;
