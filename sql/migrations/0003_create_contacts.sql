-- Who the organisation knows, what they have agreed to, whom data may be disclosed to, and how a scope looks.

CREATE TYPE party_kind AS ENUM ('affiliate', 'third_party', 'cosponsor', 'processor');

-- What people read about a scope by language, its place among the others, and whether pages offer it. A look has
-- accent colours for a light and a dark background.
ALTER TABLE scopes
    ADD COLUMN descriptions jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN position smallint NOT NULL DEFAULT 0,
    ADD COLUMN is_offered boolean NOT NULL DEFAULT true,
    ADD COLUMN look jsonb;

-- A brand's logo, apart from the scopes, which are read every few seconds.
CREATE TABLE logos (
    scope text PRIMARY KEY REFERENCES scopes (name),
    media_type text NOT NULL CHECK (media_type IN ('image/png', 'image/svg+xml')),
    content bytea NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 131072),
    digest text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whoever asks what was disclosed is told names and postal addresses (California Civil Code 1798.83), so no party is
-- without one. One that has ended stays, because the ledger names it.
CREATE TABLE parties (
    id integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text PRIMARY KEY CHECK (
        name ~ '^[a-z0-9-]+$' AND name NOT IN ('affiliate', 'third-party', 'cosponsor', 'processor')
    ),
    kind party_kind NOT NULL,
    title text NOT NULL CHECK (title ~ '\S'),
    postal_address text NOT NULL CHECK (postal_address ~ '\S'),
    products text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);

-- A person by the id that the organisation's own systems use. What names them is sealed.
CREATE TABLE contacts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id text NOT NULL UNIQUE CHECK (external_id ~ '\S' AND external_id !~ '@'),
    language text,
    country text CHECK (country ~ '^[A-Z]{2}$'),
    notice_channel channel NOT NULL DEFAULT 'email' CHECK (notice_channel IN ('email', 'post')),
    sealed_name bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Where a contact can be reached. Several per channel, the latest given first, in the order given; one address may be
-- that of several contacts. What was erased comes back without its plain form.
CREATE TABLE contact_points (
    contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE,
    channel channel NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    canon_version smallint NOT NULL,
    position smallint NOT NULL DEFAULT 0,
    sealed bytea,
    given_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (contact_id, channel, fingerprint)
);
CREATE INDEX contact_points_fingerprint ON contact_points (fingerprint);

-- Keyed fingerprints of a name, or of a name with a postcode, loosely written: they find contacts who may be meant
-- when somebody calls or writes. They never suppress.
CREATE TABLE contact_hints (
    contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('name', 'name_postcode')),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    PRIMARY KEY (contact_id, kind, fingerprint)
);
CREATE INDEX contact_hints_fingerprint ON contact_hints (fingerprint);

-- What somebody agreed to, as a record. It overrides no entry: only the grant of a confirmed opt-in does, which then
-- stands here by its id. The evidence is sealed, and goes with an erasure.
CREATE TABLE consents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    channel channel NOT NULL,
    scope text NOT NULL,
    wording_version text NOT NULL CHECK (wording_version ~ '\S'),
    given_at timestamptz NOT NULL,
    source source NOT NULL,
    origin text NOT NULL DEFAULT '',
    sealed_evidence bytea,
    grant_id bigint,
    batch_id bigint,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    withdrawn_at timestamptz,
    withdrawn_by text,
    UNIQUE (fingerprint, channel, scope, wording_version, given_at)
);

-- Contacts of a file on their way in; deleted as they are applied.
CREATE TABLE contact_rows (
    batch_id bigint NOT NULL,
    place bigint NOT NULL,
    external_id text NOT NULL,
    language text,
    country text,
    notice_channel text,
    sealed_name bytea,
    channels text[] NOT NULL,
    fingerprints bytea[] NOT NULL,
    sealed_points bytea[] NOT NULL,
    hint_kinds text[] NOT NULL,
    hints bytea[] NOT NULL,
    consents jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX contact_rows_batch_id ON contact_rows (batch_id, place);
