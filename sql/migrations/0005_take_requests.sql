-- What people ask for by phone, by letter, by e-mail or in person, and what was decided about it.

CREATE TYPE intake_channel AS ENUM ('phone', 'letter', 'email', 'in_person');
CREATE TYPE intake_request AS ENUM ('everything', 'scopes', 'no_sharing', 'change');
CREATE TYPE intake_decision AS ENUM ('applied', 'rejected', 'done');

-- Who took it, by which reference it is found, and until when the law gives time. What the person gave is sealed.
CREATE TABLE intakes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel intake_channel NOT NULL,
    request intake_request NOT NULL,
    scopes text[] NOT NULL,
    jurisdiction text NOT NULL,
    taken_by text NOT NULL CHECK (taken_by ~ '\S'),
    reference text NOT NULL CHECK (reference ~ '\S'),
    received_on date NOT NULL,
    due_on date NOT NULL,
    actor text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed bytea NOT NULL,
    done_at timestamptz
);
CREATE INDEX intakes_due_on ON intakes (due_on, id) WHERE done_at IS NULL;
CREATE INDEX intakes_done_at ON intakes (done_at) WHERE done_at IS NOT NULL;

-- Contacts that may be meant. One that is not certain waits for a person to decide.
CREATE TABLE intake_matches (
    intake_id bigint NOT NULL REFERENCES intakes ON DELETE CASCADE,
    contact_id bigint NOT NULL,
    external_id text NOT NULL,
    is_certain boolean NOT NULL,
    PRIMARY KEY (intake_id, contact_id)
);

-- Who decided what, and why. The service's role may add and read, never change. About no contact: about the whole.
CREATE TABLE intake_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intake_id bigint NOT NULL REFERENCES intakes ON DELETE CASCADE,
    contact_id bigint,
    decision intake_decision NOT NULL,
    actor text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (intake_id, contact_id)
);
