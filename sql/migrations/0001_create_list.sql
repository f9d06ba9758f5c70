-- The list: state rows, their history, what proves it, and who may ask.

CREATE TYPE channel AS ENUM ('email', 'phone', 'post');
CREATE TYPE entry_kind AS ENUM ('match', 'domain');
CREATE TYPE reason AS ENUM (
    'hard_bounce', 'erased', 'complaint', 'manual', 'objection', 'unsubscribe',
    'no_sharing', 'friend_objection', 'friend_only', 'soft_bounce'
);
CREATE TYPE source AS ENUM (
    'one_click', 'page', 'typed', 'preferences', 'mailto', 'bounce', 'complaint', 'phone', 'letter',
    'api', 'import', 'gpc', 'erasure', 'operator'
);
CREATE TYPE event_action AS ENUM ('asserted', 'already', 'lifted', 'undone', 'granted', 'revoked');
CREATE TYPE batch_status AS ENUM ('staging', 'staged', 'applying', 'applied', 'undoing', 'undone', 'discarded');
CREATE TYPE scrub_status AS ENUM ('running', 'done', 'failed');

-- Keys that this list was written with. A process that lacks one must not run.
CREATE TABLE key_records (
    role text NOT NULL,
    id smallint NOT NULL,
    check_value bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (role, id)
);

CREATE TABLE scopes (
    id smallint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text PRIMARY KEY CHECK (name ~ '^(\*|[a-z0-9-]+(/[a-z0-9-]+)?)$'),
    titles jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE campaigns (
    id integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE api_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    secret_hash bytea NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
    permissions text[] NOT NULL,
    purposes text[] NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);

CREATE TABLE batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    status batch_status NOT NULL,
    actor text NOT NULL,
    row_counts jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);

-- One row per (fingerprint, channel, scope, reason). Lifting leaves a tombstone; nothing is ever deleted.
-- asserted_at is the latest assertion that counted: a grant that came before it no longer overrides the entry.
CREATE TABLE entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    wide_fingerprint bytea CHECK (octet_length(wide_fingerprint) = 16),
    kind entry_kind NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    reason reason NOT NULL,
    source source NOT NULL,
    batch_id bigint,
    canon_version smallint NOT NULL,
    since timestamptz NOT NULL,
    asserted_at timestamptz NOT NULL,
    lifted_at timestamptz,
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (fingerprint, channel, scope, reason)
);
CREATE INDEX entries_wide_fingerprint ON entries (wide_fingerprint) WHERE wide_fingerprint IS NOT NULL;
CREATE INDEX entries_erased ON entries (fingerprint) WHERE reason = 'erased';
CREATE INDEX entries_changed_xid ON entries (changed_xid, id);
CREATE INDEX entries_batch_id ON entries (batch_id, id) WHERE batch_id IS NOT NULL;

CREATE TABLE grants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    channel channel NOT NULL,
    scope text NOT NULL,
    source source NOT NULL,
    canon_version smallint NOT NULL,
    granted_at timestamptz NOT NULL,
    lifted_at timestamptz,
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (fingerprint, channel, scope)
);
CREATE INDEX grants_granted_at ON grants (granted_at);
CREATE INDEX grants_changed_xid ON grants (changed_xid, id);

-- What happened, for ever: fingerprints and ids only. The service's role may add and read, never change.
-- Batches, entries and grants cannot be deleted, so nothing references them by a foreign key: each would cost a
-- look-up for every row of an import, half as much again as all the rest.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action event_action NOT NULL,
    entry_id bigint,
    grant_id bigint,
    fingerprint bytea NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    reason reason,
    source source NOT NULL,
    batch_id bigint,
    actor text NOT NULL
);
CREATE INDEX events_entry_id ON events (entry_id);

-- What proves an event, sealed; retention and erasure may empty it.
CREATE TABLE evidence (
    event_id bigint PRIMARY KEY REFERENCES events,
    fingerprint bytea NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz
);
CREATE INDEX evidence_fingerprint ON evidence (fingerprint);
CREATE INDEX evidence_expires_at ON evidence (expires_at) WHERE expires_at IS NOT NULL;

-- The plain address behind a fingerprint, sealed; erasure deletes it.
CREATE TABLE addresses (
    fingerprint bytea PRIMARY KEY,
    sealed bytea NOT NULL
);

-- Rows of an import on their way into the list; deleted as they are applied. Where a row says no date it counts as
-- said when it is applied.
CREATE TABLE import_rows (
    batch_id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    wide_fingerprint bytea,
    kind entry_kind NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    reason reason NOT NULL,
    source source NOT NULL,
    since timestamptz,
    asserted_at timestamptz,
    sealed bytea
);
CREATE INDEX import_rows_batch_id ON import_rows (batch_id, fingerprint);

CREATE TABLE scrubs (
    id uuid PRIMARY KEY,
    status scrub_status NOT NULL,
    actor text NOT NULL,
    channel channel NOT NULL,
    purpose text NOT NULL,
    scope text NOT NULL,
    campaign text,
    as_of timestamptz,
    row_counts jsonb NOT NULL DEFAULT '{}',
    error jsonb,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE INDEX scrubs_started_at ON scrubs (started_at);
