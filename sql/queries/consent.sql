-- name: add_consents
-- Record consents, each once; of whoever was erased without evidence. One row back per row given, its id and whether it is new.
WITH given AS (
    SELECT *
    FROM unnest(
        $1::bytea[], $2::channel[], $3::text[], $4::text[], $5::timestamptz[], $6::source[], $7::text[], $8::bytea[]
    ) WITH ORDINALITY AS line (
        fingerprint, channel, scope, wording_version, given_at, source, origin, sealed_evidence, place
    )
), added AS (
    INSERT INTO consents (
        fingerprint, channel, scope, wording_version, given_at, source, origin, sealed_evidence, batch_id, actor
    )
    SELECT fingerprint, channel, scope, wording_version, given_at, source, origin,
        CASE
            WHEN NOT EXISTS (
                SELECT FROM entries AS erased
                WHERE erased.fingerprint = given.fingerprint AND erased.reason = 'erased' AND erased.lifted_at IS NULL
            ) THEN sealed_evidence
        END,
        $9::bigint, $10::text
    FROM given
    ORDER BY fingerprint, channel, scope, wording_version, given_at
    ON CONFLICT (fingerprint, channel, scope, wording_version, given_at) DO NOTHING
    RETURNING id, fingerprint, channel, scope, wording_version, given_at
)
SELECT coalesce(added.id, known.id) AS id, added.id IS NOT NULL AS is_new
FROM given
LEFT JOIN added USING (fingerprint, channel, scope, wording_version, given_at)
LEFT JOIN consents AS known USING (fingerprint, channel, scope, wording_version, given_at)
ORDER BY given.place;

-- name: list_consents_of
-- Every consent of these fingerprints on a channel, withdrawn ones too, the oldest first.
SELECT consent.id, consent.fingerprint, consent.channel::text AS channel, consent.scope, consent.wording_version,
    consent.given_at, consent.source::text AS source, consent.origin, consent.sealed_evidence, consent.grant_id,
    consent.actor, consent.recorded_at, consent.withdrawn_at, consent.withdrawn_by
FROM consents AS consent
WHERE consent.fingerprint = ANY ($1::bytea[]) AND consent.channel = $2::channel
ORDER BY consent.given_at, consent.id;

-- name: set_grant
-- Write down which grant a consent has led to.
UPDATE consents SET grant_id = $2::bigint WHERE id = $1::bigint;

-- name: withdraw_consents
-- Mark the consents of a fingerprint to a scope, and to what lies within it, as withdrawn.
UPDATE consents SET withdrawn_at = clock_timestamp(), withdrawn_by = $4::text
WHERE fingerprint = $1::bytea AND channel = $2::channel AND withdrawn_at IS NULL
    AND ($3::text = '*' OR scope = $3 OR starts_with(scope, $3 || '/'));

-- name: revoke_grants
-- Take back the grants of a fingerprint for a scope, and for what lies within it; a broader grant stays, and what is older than it stays overridden.
WITH revoked AS (
    UPDATE grants SET lifted_at = clock_timestamp(), changed_xid = pg_current_xact_id()
    WHERE fingerprint = $1::bytea AND channel = $2::channel AND lifted_at IS NULL
        AND ($3::text = '*' OR scope = $3 OR starts_with(scope, $3 || '/'))
    RETURNING id, fingerprint, channel, scope
)
INSERT INTO events (action, grant_id, fingerprint, channel, scope, source, actor)
SELECT 'revoked', id, fingerprint, channel, scope, $4::source, $5::text FROM revoked
RETURNING grant_id;

-- name: grant_scope
-- Record a proven opt-in as of when it was given ($6; NULL is now), or renew it; no row where it was taken back since.
WITH written AS (
    INSERT INTO grants AS opt_in (fingerprint, channel, scope, source, canon_version, granted_at)
    VALUES (
        $1::bytea, $2::channel, $3::text, $4::source, $5::smallint,
        least(coalesce($6::timestamptz, clock_timestamp()), clock_timestamp())
    )
    ON CONFLICT (fingerprint, channel, scope) DO UPDATE
    SET lifted_at = NULL, granted_at = greatest(opt_in.granted_at, excluded.granted_at), source = excluded.source,
        changed_xid = pg_current_xact_id()
    WHERE opt_in.lifted_at IS NULL OR excluded.granted_at >= opt_in.lifted_at
    RETURNING id, fingerprint, channel, scope
)
INSERT INTO events (action, grant_id, fingerprint, channel, scope, source, actor)
SELECT 'granted', id, fingerprint, channel, scope, $4::source, $7::text FROM written
RETURNING grant_id;
