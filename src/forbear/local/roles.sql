-- The two roles of an embedded PostgreSQL and its one database, made or made right again.
-- Run by psql as the superuser; passwords come through the environment.
\set ON_ERROR_STOP on
\set QUIET on
\getenv owner_password FORBEAR_OWNER_PASSWORD
\getenv service_password FORBEAR_SERVICE_PASSWORD

-- A statement that fails must not leave a password in the server's log.
SET log_min_error_statement = panic;
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I', name)
FROM (VALUES ('forbear_owner'), ('forbear_service')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE forbear_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE forbear_service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'service_password';

SELECT 'CREATE DATABASE forbear OWNER forbear_owner TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C'''
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'forbear') \gexec

REVOKE ALL ON DATABASE forbear FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE forbear TO forbear_service;
