-- What the service's role may do, set anew at every migration. It owns nothing, and it can neither change nor
-- delete an event. The role's name comes in by set_config('forbear.service_role', ...).
DO $$
DECLARE
    service text := current_setting('forbear.service_role');
    owner text := current_user;
BEGIN
    IF service = owner THEN
        RAISE WARNING 'the service runs as the owner of the tables: nothing in PostgreSQL keeps it from changing events';
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', service);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I', service);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', service);
    EXECUTE format('GRANT INSERT ON key_records, scopes, campaigns, api_keys, batches, entries, grants, events, evidence,
        addresses, import_rows, scrubs, list_identity, index_builds, logos, parties, contacts, contact_points,
        contact_hints, consents, contact_rows, outbox, confirmations, counters, intakes,
        intake_matches, intake_decisions TO %I', service);
    EXECUTE format('GRANT UPDATE ON scopes, api_keys, batches, entries, grants, evidence, addresses, scrubs, list_identity,
        index_builds, logos, parties, contacts, contact_points, consents, outbox, confirmations,
        counters TO %I', service);
    EXECUTE format('GRANT DELETE ON evidence, addresses, import_rows, scrubs, index_builds, logos, contacts, contact_points,
        contact_hints, contact_rows, outbox, confirmations, counters, intakes TO %I', service);
    EXECUTE format('GRANT UPDATE (done_at) ON intakes TO %I', service);
END
$$;
