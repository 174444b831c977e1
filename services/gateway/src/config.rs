//! The settings of the gateway.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use http::HeaderValue;
use svc_kit::{Configure, Invalid, NeighbourUrl, Reader};

use crate::upstream::AREAS;

/// Read from the environment; see `docs/gateway.md` for the table.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every service but the gateway, by area.
    pub services: Vec<Neighbour>,
    /// Where TLS is listened on. `HOST` is the chassis' too.
    pub tls_host: IpAddr,
    /// The port for TLS; 0 takes any.
    pub tls_port: u16,
    /// Where the development certificate is kept; without it, it lives as long as the process.
    pub tls_directory: Option<PathBuf>,
    /// The `iss` that tokens must have.
    pub token_issuer: String,
    /// The `aud` that tokens must have.
    pub token_audience: String,
    /// Requests per minute of a tenant; 0 switches the limit off.
    pub rate_limit: u32,
    /// Requests per minute of a tenant's admins; 0 switches the limit off.
    pub rate_limit_admin: u32,
    /// Requests per minute of one address without a token; 0 switches the limit off.
    pub rate_limit_anonymous: u32,
    /// How long a service may take.
    pub upstream_timeout: Duration,
    /// The largest body of a transcoded request, in bytes.
    pub body_limit: usize,
    /// The origins that browsers may call from; none switches CORS off.
    pub cors_origins: Vec<HeaderValue>,
    /// How many proxies in front of the gateway add to `X-Forwarded-For`.
    pub trusted_proxies: usize,
}

/// A service and where it is.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// The area of the protos.
    pub area: &'static str,
    /// The name of the service.
    pub name: &'static str,
    /// Its URL.
    pub url: NeighbourUrl,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
        let neighbours: Vec<_> = AREAS
            .iter()
            .filter(|(area, _)| area != "gateway")
            .map(|(area, name)| {
                let variable = format!("{}_URL", name.to_uppercase().replace('-', "_"));
                let url = reader.required(&variable, &format!("a URL such as http://{name}:8080"));
                url.map(|url| Neighbour { area, name, url })
            })
            .collect();
        let tls_host = reader.or("HOST", IpAddr::from([0, 0, 0, 0]));
        let tls_port = reader.or("TLS_PORT", 8443);
        let tls_directory = reader.optional("TLS_DIRECTORY");
        let token_issuer = reader.or("TOKEN_ISSUER", "https://api.septemcore.com".to_owned());
        let token_audience = reader.or("TOKEN_AUDIENCE", "platform-kernel".to_owned());
        let rate_limit = reader.or("RATE_LIMIT_PER_MINUTE", 1_000);
        let rate_limit_admin = reader.or("RATE_LIMIT_ADMIN_PER_MINUTE", 5_000);
        let rate_limit_anonymous = reader.or("RATE_LIMIT_ANONYMOUS_PER_MINUTE", 1_000);
        let upstream_timeout = reader.or("UPSTREAM_TIMEOUT", Duration::from_secs(10));
        let body_limit = reader.or("BODY_LIMIT", 1024 * 1024);
        let cors_origins = origins(reader);
        let trusted_proxies = reader.or("TRUSTED_PROXIES", 0);
        Ok(Config {
            services: neighbours.into_iter().collect::<Result<_, _>>()?,
            tls_host: tls_host?,
            tls_port: tls_port?,
            tls_directory: tls_directory?,
            token_issuer: token_issuer?,
            token_audience: token_audience?,
            rate_limit: rate_limit?,
            rate_limit_admin: rate_limit_admin?,
            rate_limit_anonymous: rate_limit_anonymous?,
            upstream_timeout: upstream_timeout?,
            body_limit: body_limit?,
            cors_origins: cors_origins?,
            trusted_proxies: trusted_proxies?,
        })
    }
}

/// `https://a.example,https://b.example`, or `*`.
fn origins(reader: &mut Reader<'_>) -> Result<Vec<HeaderValue>, Invalid> {
    let text = reader.optional::<String>("CORS_ORIGINS")?.unwrap_or_default();
    let origins: Result<Vec<_>, _> = text
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let is_origin =
                url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == origin);
            if origin == "*" || is_origin {
                HeaderValue::from_str(origin).map_err(|_| origin)
            } else {
                Err(origin)
            }
        })
        .collect();
    origins.map_err(|origin| {
        let problem = format!("has `{origin}`, which is no origin such as https://app.example");
        reader.complain("CORS_ORIGINS", problem);
        Invalid
    })
}

#[cfg(test)]
mod tests {
    use svc_kit::Environment;

    use super::*;

    fn environment() -> Environment {
        let names = AREAS.iter().filter(|(area, _)| area != "gateway");
        names
            .map(|(_, name)| {
                (format!("{}_URL", name.to_uppercase().replace('-', "_")), format!("http://{name}:8080"))
            })
            .collect()
    }

    #[test]
    fn the_neighbours_are_enough() {
        let config: Config = environment().read().unwrap();
        let services: Vec<&str> = config.services.iter().map(|service| service.name).collect();
        for name in ["data-layer", "domain-resolver", "event-bus", "iam", "money", "notify"] {
            assert!(services.contains(&name), "{services:?}");
        }
        assert_eq!((config.tls_port, config.rate_limit, config.rate_limit_admin), (8443, 1_000, 5_000));
        assert_eq!(config.body_limit, 1_048_576);
        assert!(config.cors_origins.is_empty());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let broken = environment()
            .with("DATA_LAYER_URL", "data-layer")
            .with("IAM_URL", "")
            .with("CORS_ORIGINS", "https://a.example, a.example")
            .with("UPSTREAM_TIMEOUT", "soon");
        let error = broken.read::<Config>().unwrap_err();
        let names: Vec<&str> = error.problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names, ["DATA_LAYER_URL", "IAM_URL", "UPSTREAM_TIMEOUT", "CORS_ORIGINS"]);
    }

    #[test]
    fn origins_are_listed_with_commas() {
        let config: Config =
            environment().with("CORS_ORIGINS", "https://a.example,http://localhost:3000").read().unwrap();
        assert_eq!(config.cors_origins, ["https://a.example", "http://localhost:3000"]);
    }
}
