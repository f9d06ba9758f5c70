-- What readers need to follow the list: which server its transaction ids belong to, what a reader has not seen yet,
-- and how far index builders have come.

-- The server that changed_xid values were last made valid for. On another one (a restore, a failover) nobody may
-- follow changes before `forbear migrate` or the worker has adopted the list there.
CREATE TABLE list_identity (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    storage text NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The server that answers. Its timeline is null while it is a standby. The storage is another where the database or
-- its tables were made anew, which a restore into the same server does.
CREATE VIEW server_identity AS
SELECT system_identifier,
    CASE
        WHEN NOT pg_is_in_recovery() THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer
    END AS timeline,
    pg_relation_filepath('entries') || ' ' || pg_relation_filepath('grants') AS storage
FROM pg_control_system();

CREATE FUNCTION next_xid(xid xid8) RETURNS xid8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (xid::text::bigint + 1)::text::xid8;

-- Where to look for what a reader has not seen whose position is a snapshot (xmax, xips): in the order of
-- (changed_xid, id), after (after_xid, after_id) and before the transaction `stop`. That is from xmax on, and at the
-- transactions that the snapshot found open. The transactions that are open now are left out, so that nobody passes
-- over the rows of a large import again and again until it commits, and a foreign transaction that stays open for
-- hours costs one look-up. Who reads in pages gives the place behind the last row and the transaction to stop before.
CREATE FUNCTION unseen_spans(
    xmax xid8, xips xid8[], place_xid xid8 = '0', place_id bigint = 0, until xid8 = NULL
) RETURNS TABLE (after_xid xid8, after_id bigint, stop xid8)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT greatest(span.first, place_xid), CASE WHEN span.first <= place_xid THEN place_id ELSE 0 END, span.stop
    FROM (
        SELECT greatest(next_xid(lag(edge) OVER (ORDER BY edge)), xmax), least(edge, until)
        FROM (
            SELECT pg_snapshot_xip(pg_current_snapshot())
            UNION ALL
            SELECT pg_snapshot_xmax(pg_current_snapshot())
        ) AS open_now (edge)
        UNION ALL
        SELECT xid, next_xid(xid) FROM unnest(xips) AS xid WHERE pg_visible_in_snapshot(xid, pg_current_snapshot())
    ) AS span (first, stop)
    WHERE greatest(span.first, place_xid) < span.stop;
END;

-- One row for each folder with index files: the last two of them, and how much has changed since. Imports wait for
-- builders that are alive. A file that is not on record here is of a time that this server does not remember.
CREATE TABLE index_builds (
    builder text PRIMARY KEY,
    marks uuid[] NOT NULL DEFAULT '{}',
    built_at timestamptz,
    keys bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    changes_max bigint NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
