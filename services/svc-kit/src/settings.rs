//! The settings that all services share.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{Configure, Invalid, Reader, Secret};

/// How the chassis behaves.
pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    pub(crate) log_level: String,
    pub(crate) log_json: bool,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) shutdown_delay: Duration,
    pub(crate) internal_token: Secret,
    pub(crate) request_limit: usize,
}

impl Configure for Settings {
    fn configure(reader: &mut Reader<'_>) -> Result<Settings, Invalid> {
        let host = reader.or("HOST", IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let port = reader.or("PORT", 8080);
        let log_level = reader.or("LOG_LEVEL", "info".to_owned());
        if let Ok(level) = &log_level
            && let Err(error) = level.parse::<tracing_subscriber::filter::Targets>()
        {
            reader.complain("LOG_LEVEL", format!("is `{level}`: {error}; expected a level such as info"));
        }
        let log_json = reader.or("LOG_JSON", true);
        let shutdown_timeout = reader.or("SHUTDOWN_TIMEOUT", Duration::from_secs(30));
        let shutdown_delay = reader.or("SHUTDOWN_DELAY", Duration::ZERO);
        let internal_token =
            reader.required("INTERNAL_TOKEN", "the secret that all services of the platform share");
        let request_limit = reader.or("REQUEST_LIMIT", 1024);
        Ok(Settings {
            address: SocketAddr::new(host?, port?),
            log_level: log_level?,
            log_json: log_json?,
            shutdown_timeout: shutdown_timeout?,
            shutdown_delay: shutdown_delay?,
            internal_token: internal_token?,
            request_limit: request_limit?,
        })
    }
}
