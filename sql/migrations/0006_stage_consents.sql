-- Consents of a file are copied in as text, because the driver copies no jsonb.
ALTER TABLE contact_rows ALTER COLUMN consents DROP DEFAULT, ALTER COLUMN consents TYPE text;
