-- What sql/migrations add up to. Made by scripts/schema and compared by a test; nothing reads it.

CREATE TYPE batch_status AS ENUM (
    'staging',
    'staged',
    'applying',
    'applied',
    'undoing',
    'undone',
    'discarded'
);

CREATE TYPE channel AS ENUM (
    'email',
    'phone',
    'post'
);

CREATE TYPE confirmation_kind AS ENUM (
    'subscribe',
    'return',
    'change_email',
    'lift_bounce'
);

CREATE TYPE entry_kind AS ENUM (
    'match',
    'domain'
);

CREATE TYPE event_action AS ENUM (
    'asserted',
    'already',
    'lifted',
    'undone',
    'granted',
    'revoked'
);

CREATE TYPE intake_channel AS ENUM (
    'phone',
    'letter',
    'email',
    'in_person'
);

CREATE TYPE intake_decision AS ENUM (
    'applied',
    'rejected',
    'done'
);

CREATE TYPE intake_request AS ENUM (
    'everything',
    'scopes',
    'no_sharing',
    'change'
);

CREATE TYPE message_status AS ENUM (
    'waiting',
    'sending',
    'delivered',
    'refused',
    'withheld',
    'given_up'
);

CREATE TYPE party_kind AS ENUM (
    'affiliate',
    'third_party',
    'cosponsor',
    'processor'
);

CREATE TYPE reason AS ENUM (
    'hard_bounce',
    'erased',
    'complaint',
    'manual',
    'objection',
    'unsubscribe',
    'no_sharing',
    'friend_objection',
    'friend_only',
    'soft_bounce'
);

CREATE TYPE scrub_status AS ENUM (
    'running',
    'done',
    'failed'
);

CREATE TYPE source AS ENUM (
    'one_click',
    'page',
    'typed',
    'preferences',
    'mailto',
    'bounce',
    'complaint',
    'phone',
    'letter',
    'api',
    'import',
    'gpc',
    'erasure',
    'operator'
);

CREATE FUNCTION next_xid(xid xid8) RETURNS xid8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((((xid)::text)::bigint + 1))::text)::xid8;

CREATE FUNCTION unseen_spans(xmax xid8, xips xid8[], place_xid xid8 DEFAULT '0'::xid8, place_id bigint DEFAULT 0, until xid8 DEFAULT NULL::xid8) RETURNS TABLE(after_xid xid8, after_id bigint, stop xid8)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT GREATEST(span.first, unseen_spans.place_xid) AS "greatest",
         CASE
             WHEN (span.first <= unseen_spans.place_xid) THEN unseen_spans.place_id
             ELSE (0)::bigint
         END AS "case",
     span.stop
    FROM ( SELECT GREATEST(next_xid(lag(open_now.edge) OVER (ORDER BY open_now.edge)), unseen_spans.xmax) AS "greatest",
             LEAST(open_now.edge, unseen_spans.until) AS "least"
            FROM ( SELECT pg_snapshot_xip(pg_current_snapshot()) AS pg_snapshot_xip
                 UNION ALL
                  SELECT pg_snapshot_xmax(pg_current_snapshot()) AS pg_snapshot_xmax) open_now(edge)
         UNION ALL
          SELECT xid.xid,
             next_xid(xid.xid) AS next_xid
            FROM unnest(unseen_spans.xips) xid(xid)
           WHERE pg_visible_in_snapshot(xid.xid, pg_current_snapshot())) span(first, stop)
   WHERE (GREATEST(span.first, unseen_spans.place_xid) < span.stop);
END;

CREATE TABLE addresses (
    fingerprint bytea NOT NULL,
    sealed bytea NOT NULL
);

CREATE TABLE api_keys (
    id integer NOT NULL,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    permissions text[] NOT NULL,
    purposes text[] NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32))
);

ALTER TABLE api_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE batches (
    id bigint NOT NULL,
    name text NOT NULL,
    status batch_status NOT NULL,
    actor text NOT NULL,
    row_counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone
);

ALTER TABLE batches ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME batches_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaigns (
    id integer NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE campaigns ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaigns_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE confirmations (
    id uuid NOT NULL,
    kind confirmation_kind NOT NULL,
    fingerprint bytea NOT NULL,
    sealed bytea NOT NULL,
    asked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    closes_at timestamp with time zone NOT NULL,
    confirmed_at timestamp with time zone,
    CONSTRAINT confirmations_fingerprint_check CHECK ((octet_length(fingerprint) = 16))
);

CREATE TABLE consents (
    id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    wording_version text NOT NULL,
    given_at timestamp with time zone NOT NULL,
    source source NOT NULL,
    origin text DEFAULT ''::text NOT NULL,
    sealed_evidence bytea,
    grant_id bigint,
    batch_id bigint,
    actor text NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    withdrawn_at timestamp with time zone,
    withdrawn_by text,
    CONSTRAINT consents_fingerprint_check CHECK ((octet_length(fingerprint) = 16)),
    CONSTRAINT consents_wording_version_check CHECK ((wording_version ~ '\S'::text))
);

ALTER TABLE consents ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME consents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE contact_hints (
    contact_id bigint NOT NULL,
    kind text NOT NULL,
    fingerprint bytea NOT NULL,
    CONSTRAINT contact_hints_fingerprint_check CHECK ((octet_length(fingerprint) = 16)),
    CONSTRAINT contact_hints_kind_check CHECK ((kind = ANY (ARRAY['name'::text, 'name_postcode'::text])))
);

CREATE TABLE contact_points (
    contact_id bigint NOT NULL,
    channel channel NOT NULL,
    fingerprint bytea NOT NULL,
    canon_version smallint NOT NULL,
    "position" smallint DEFAULT 0 NOT NULL,
    sealed bytea,
    given_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT contact_points_fingerprint_check CHECK ((octet_length(fingerprint) = 16))
);

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
    consents text NOT NULL
);

CREATE TABLE contacts (
    id bigint NOT NULL,
    external_id text NOT NULL,
    language text,
    country text,
    notice_channel channel DEFAULT 'email'::channel NOT NULL,
    sealed_name bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT contacts_country_check CHECK ((country ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT contacts_external_id_check CHECK (((external_id ~ '\S'::text) AND (external_id !~ '@'::text))),
    CONSTRAINT contacts_notice_channel_check CHECK ((notice_channel = ANY (ARRAY['email'::channel, 'post'::channel])))
);

ALTER TABLE contacts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME contacts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE counters (
    key bytea NOT NULL,
    began_at timestamp with time zone NOT NULL,
    number integer NOT NULL,
    CONSTRAINT counters_key_check CHECK ((octet_length(key) = 16))
);

CREATE TABLE entries (
    id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    wide_fingerprint bytea,
    kind entry_kind NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    reason reason NOT NULL,
    source source NOT NULL,
    batch_id bigint,
    canon_version smallint NOT NULL,
    since timestamp with time zone NOT NULL,
    asserted_at timestamp with time zone NOT NULL,
    lifted_at timestamp with time zone,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT entries_fingerprint_check CHECK ((octet_length(fingerprint) = 16)),
    CONSTRAINT entries_wide_fingerprint_check CHECK ((octet_length(wide_fingerprint) = 16))
);

ALTER TABLE entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE events (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
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

ALTER TABLE events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE evidence (
    event_id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamp with time zone
);

CREATE TABLE grants (
    id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    source source NOT NULL,
    canon_version smallint NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    lifted_at timestamp with time zone,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT grants_fingerprint_check CHECK ((octet_length(fingerprint) = 16))
);

ALTER TABLE grants ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME grants_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE import_rows (
    batch_id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    wide_fingerprint bytea,
    kind entry_kind NOT NULL,
    channel channel NOT NULL,
    scope text NOT NULL,
    reason reason NOT NULL,
    source source NOT NULL,
    since timestamp with time zone,
    asserted_at timestamp with time zone,
    sealed bytea
);

CREATE TABLE index_builds (
    builder text NOT NULL,
    marks uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    built_at timestamp with time zone,
    keys bigint DEFAULT 0 NOT NULL,
    changes bigint DEFAULT 0 NOT NULL,
    changes_max bigint DEFAULT 0 NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE intake_decisions (
    id bigint NOT NULL,
    intake_id bigint NOT NULL,
    contact_id bigint,
    decision intake_decision NOT NULL,
    actor text NOT NULL,
    why text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE intake_decisions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME intake_decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE intake_matches (
    intake_id bigint NOT NULL,
    contact_id bigint NOT NULL,
    external_id text NOT NULL,
    is_certain boolean NOT NULL
);

CREATE TABLE intakes (
    id bigint NOT NULL,
    channel intake_channel NOT NULL,
    request intake_request NOT NULL,
    scopes text[] NOT NULL,
    jurisdiction text NOT NULL,
    taken_by text NOT NULL,
    reference text NOT NULL,
    received_on date NOT NULL,
    due_on date NOT NULL,
    actor text NOT NULL,
    taken_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    sealed bytea NOT NULL,
    done_at timestamp with time zone,
    CONSTRAINT intakes_reference_check CHECK ((reference ~ '\S'::text)),
    CONSTRAINT intakes_taken_by_check CHECK ((taken_by ~ '\S'::text))
);

ALTER TABLE intakes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME intakes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE key_records (
    role text NOT NULL,
    id smallint NOT NULL,
    check_value bytea NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE list_identity (
    is_only boolean DEFAULT true NOT NULL,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    storage text NOT NULL,
    adopted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT list_identity_is_only_check CHECK (is_only)
);

CREATE TABLE logos (
    scope text NOT NULL,
    media_type text NOT NULL,
    content bytea NOT NULL,
    digest text NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT logos_content_check CHECK (((octet_length(content) >= 1) AND (octet_length(content) <= 131072))),
    CONSTRAINT logos_media_type_check CHECK ((media_type = ANY (ARRAY['image/png'::text, 'image/svg+xml'::text])))
);

CREATE TABLE migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE outbox (
    id bigint NOT NULL,
    mark uuid NOT NULL,
    kind text NOT NULL,
    status message_status DEFAULT 'waiting'::message_status NOT NULL,
    fingerprint bytea,
    sealed bytea,
    queued_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    due_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    give_up_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    holder uuid,
    is_offered boolean DEFAULT false NOT NULL,
    code smallint,
    ended_at timestamp with time zone,
    CONSTRAINT outbox_ended_is_empty CHECK (((ended_at IS NULL) = ((sealed IS NOT NULL) AND (fingerprint IS NOT NULL)))),
    CONSTRAINT outbox_ended_says_how CHECK (((ended_at IS NULL) = (status = ANY (ARRAY['waiting'::message_status, 'sending'::message_status])))),
    CONSTRAINT outbox_fingerprint_check CHECK ((octet_length(fingerprint) = 16))
);

ALTER TABLE outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE parties (
    id integer NOT NULL,
    name text NOT NULL,
    kind party_kind NOT NULL,
    title text NOT NULL,
    postal_address text NOT NULL,
    products text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT parties_name_check CHECK (((name ~ '^[a-z0-9-]+$'::text) AND (name <> ALL (ARRAY['affiliate'::text, 'third-party'::text, 'cosponsor'::text, 'processor'::text])))),
    CONSTRAINT parties_postal_address_check CHECK ((postal_address ~ '\S'::text)),
    CONSTRAINT parties_title_check CHECK ((title ~ '\S'::text))
);

ALTER TABLE parties ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME parties_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE scopes (
    id smallint NOT NULL,
    name text NOT NULL,
    titles jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    descriptions jsonb DEFAULT '{}'::jsonb NOT NULL,
    "position" smallint DEFAULT 0 NOT NULL,
    is_offered boolean DEFAULT true NOT NULL,
    look jsonb,
    CONSTRAINT scopes_name_check CHECK ((name ~ '^(\*|[a-z0-9-]+(/[a-z0-9-]+)?)$'::text))
);

ALTER TABLE scopes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME scopes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE scrubs (
    id uuid NOT NULL,
    status scrub_status NOT NULL,
    actor text NOT NULL,
    channel channel NOT NULL,
    purpose text NOT NULL,
    scope text NOT NULL,
    campaign text,
    as_of timestamp with time zone,
    row_counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    error jsonb,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone
);

CREATE VIEW server_identity AS
 SELECT system_identifier,
        CASE
            WHEN (NOT pg_is_in_recovery()) THEN ((('x'::text || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)))::bit(32))::integer
            ELSE NULL::integer
        END AS timeline,
    ((pg_relation_filepath('entries'::regclass) || ' '::text) || pg_relation_filepath('grants'::regclass)) AS storage
   FROM pg_control_system() pg_control_system(pg_control_version, catalog_version_no, system_identifier, pg_control_last_modified);

ALTER TABLE ONLY addresses
    ADD CONSTRAINT addresses_pkey PRIMARY KEY (fingerprint);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_secret_hash_key UNIQUE (secret_hash);

ALTER TABLE ONLY batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaigns
    ADD CONSTRAINT campaigns_id_key UNIQUE (id);

ALTER TABLE ONLY campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (name);

ALTER TABLE ONLY confirmations
    ADD CONSTRAINT confirmations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY consents
    ADD CONSTRAINT consents_fingerprint_channel_scope_wording_version_given_at_key UNIQUE (fingerprint, channel, scope, wording_version, given_at);

ALTER TABLE ONLY consents
    ADD CONSTRAINT consents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY contact_hints
    ADD CONSTRAINT contact_hints_pkey PRIMARY KEY (contact_id, kind, fingerprint);

ALTER TABLE ONLY contact_points
    ADD CONSTRAINT contact_points_pkey PRIMARY KEY (contact_id, channel, fingerprint);

ALTER TABLE ONLY contacts
    ADD CONSTRAINT contacts_external_id_key UNIQUE (external_id);

ALTER TABLE ONLY contacts
    ADD CONSTRAINT contacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (key);

ALTER TABLE ONLY entries
    ADD CONSTRAINT entries_fingerprint_channel_scope_reason_key UNIQUE (fingerprint, channel, scope, reason);

ALTER TABLE ONLY entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY evidence
    ADD CONSTRAINT evidence_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY grants
    ADD CONSTRAINT grants_fingerprint_channel_scope_key UNIQUE (fingerprint, channel, scope);

ALTER TABLE ONLY grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY index_builds
    ADD CONSTRAINT index_builds_pkey PRIMARY KEY (builder);

ALTER TABLE ONLY intake_decisions
    ADD CONSTRAINT intake_decisions_intake_id_contact_id_key UNIQUE NULLS NOT DISTINCT (intake_id, contact_id);

ALTER TABLE ONLY intake_decisions
    ADD CONSTRAINT intake_decisions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY intake_matches
    ADD CONSTRAINT intake_matches_pkey PRIMARY KEY (intake_id, contact_id);

ALTER TABLE ONLY intakes
    ADD CONSTRAINT intakes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY key_records
    ADD CONSTRAINT key_records_pkey PRIMARY KEY (role, id);

ALTER TABLE ONLY list_identity
    ADD CONSTRAINT list_identity_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY logos
    ADD CONSTRAINT logos_pkey PRIMARY KEY (scope);

ALTER TABLE ONLY migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_mark_key UNIQUE (mark);

ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY parties
    ADD CONSTRAINT parties_id_key UNIQUE (id);

ALTER TABLE ONLY parties
    ADD CONSTRAINT parties_pkey PRIMARY KEY (name);

ALTER TABLE ONLY scopes
    ADD CONSTRAINT scopes_id_key UNIQUE (id);

ALTER TABLE ONLY scopes
    ADD CONSTRAINT scopes_pkey PRIMARY KEY (name);

ALTER TABLE ONLY scrubs
    ADD CONSTRAINT scrubs_pkey PRIMARY KEY (id);

CREATE INDEX confirmations_closes_at ON confirmations USING btree (closes_at);

CREATE INDEX confirmations_fingerprint ON confirmations USING btree (fingerprint);

CREATE INDEX contact_hints_fingerprint ON contact_hints USING btree (fingerprint);

CREATE INDEX contact_points_fingerprint ON contact_points USING btree (fingerprint);

CREATE INDEX contact_rows_batch_id ON contact_rows USING btree (batch_id, place);

CREATE INDEX counters_began_at ON counters USING btree (began_at);

CREATE INDEX entries_batch_id ON entries USING btree (batch_id, id) WHERE (batch_id IS NOT NULL);

CREATE INDEX entries_changed_xid ON entries USING btree (changed_xid, id);

CREATE INDEX entries_erased ON entries USING btree (fingerprint) WHERE (reason = 'erased'::reason);

CREATE INDEX entries_wide_fingerprint ON entries USING btree (wide_fingerprint) WHERE (wide_fingerprint IS NOT NULL);

CREATE INDEX events_entry_id ON events USING btree (entry_id);

CREATE INDEX evidence_expires_at ON evidence USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX evidence_fingerprint ON evidence USING btree (fingerprint);

CREATE INDEX grants_changed_xid ON grants USING btree (changed_xid, id);

CREATE INDEX grants_granted_at ON grants USING btree (granted_at);

CREATE INDEX import_rows_batch_id ON import_rows USING btree (batch_id, fingerprint);

CREATE INDEX intakes_done_at ON intakes USING btree (done_at) WHERE (done_at IS NOT NULL);

CREATE INDEX intakes_due_on ON intakes USING btree (due_on, id) WHERE (done_at IS NULL);

CREATE INDEX outbox_due_at ON outbox USING btree (due_at) WHERE (ended_at IS NULL);

CREATE INDEX outbox_ended_at ON outbox USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX outbox_fingerprint ON outbox USING btree (fingerprint) WHERE (ended_at IS NULL);

CREATE INDEX scrubs_started_at ON scrubs USING btree (started_at);

ALTER TABLE ONLY contact_hints
    ADD CONSTRAINT contact_hints_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts(id) ON DELETE CASCADE;

ALTER TABLE ONLY contact_points
    ADD CONSTRAINT contact_points_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts(id) ON DELETE CASCADE;

ALTER TABLE ONLY evidence
    ADD CONSTRAINT evidence_event_id_fkey FOREIGN KEY (event_id) REFERENCES events(id);

ALTER TABLE ONLY intake_decisions
    ADD CONSTRAINT intake_decisions_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes(id) ON DELETE CASCADE;

ALTER TABLE ONLY intake_matches
    ADD CONSTRAINT intake_matches_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes(id) ON DELETE CASCADE;

ALTER TABLE ONLY logos
    ADD CONSTRAINT logos_scope_fkey FOREIGN KEY (scope) REFERENCES scopes(name);
