-- Messages on their way out, the confirmations that some of them ask for, and the counters that limit who may ask.

CREATE TYPE message_status AS ENUM ('waiting', 'sending', 'delivered', 'refused', 'withheld', 'given_up');

-- Content and recipient are sealed, and gone once the message has ended. A worker that takes a message holds it until
-- due_at; whoever comes later takes it over. is_offered says that its fate is not known: it was about to be handed
-- over, and no answer was written down. mark stands in the Message-ID, the same at every attempt.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mark uuid NOT NULL UNIQUE,
    kind text NOT NULL,
    status message_status NOT NULL DEFAULT 'waiting',
    fingerprint bytea CHECK (octet_length(fingerprint) = 16),
    sealed bytea,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    give_up_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    holder uuid,
    is_offered boolean NOT NULL DEFAULT false,
    code smallint,
    ended_at timestamptz,
    CONSTRAINT outbox_ended_is_empty CHECK ((ended_at IS NULL) = (sealed IS NOT NULL AND fingerprint IS NOT NULL)),
    CONSTRAINT outbox_ended_says_how CHECK ((ended_at IS NULL) = (status IN ('waiting', 'sending')))
);
CREATE INDEX outbox_due_at ON outbox (due_at) WHERE ended_at IS NULL;
CREATE INDEX outbox_fingerprint ON outbox (fingerprint) WHERE ended_at IS NULL;
CREATE INDEX outbox_ended_at ON outbox (ended_at) WHERE ended_at IS NOT NULL;

CREATE TYPE confirmation_kind AS ENUM ('subscribe', 'return', 'change_email', 'lift_bounce');

-- What somebody was asked to confirm: sealed, because it may hold addresses. A row makes its link work once.
CREATE TABLE confirmations (
    id uuid PRIMARY KEY,
    kind confirmation_kind NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    sealed bytea NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closes_at timestamptz NOT NULL,
    confirmed_at timestamptz
);
CREATE INDEX confirmations_closes_at ON confirmations (closes_at);
CREATE INDEX confirmations_fingerprint ON confirmations (fingerprint);

-- How often something was done since a window began. A key is a keyed fingerprint: of a network, an address, a name.
CREATE TABLE counters (
    key bytea PRIMARY KEY CHECK (octet_length(key) = 16),
    began_at timestamptz NOT NULL,
    number integer NOT NULL
);
CREATE INDEX counters_began_at ON counters (began_at);
