//! Service chassis: configuration, serve, health, drain, telemetry, problem+json, tenancy.
