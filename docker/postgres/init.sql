-- Runs once, when the data directory is new. One database per primitive: none is shared, but iam and data-layer, which
-- are one primitive's two halves. Tables are made by the services' own migrations.
--
-- The services come as `platform`, which is no superuser: row-level security holds for it.
\getenv app_password POSTGRES_APP_PASSWORD
CREATE ROLE platform LOGIN PASSWORD :'app_password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;

ALTER DATABASE platform_kernel OWNER TO platform;
CREATE DATABASE platform_audit OWNER platform;
CREATE DATABASE platform_billing OWNER platform;
CREATE DATABASE platform_domain OWNER platform;
CREATE DATABASE platform_events OWNER platform;
CREATE DATABASE platform_files OWNER platform;
CREATE DATABASE platform_integration OWNER platform;
CREATE DATABASE platform_module OWNER platform;
CREATE DATABASE platform_money OWNER platform;
CREATE DATABASE platform_notify OWNER platform;
