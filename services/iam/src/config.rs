//! The settings of this service.

use svc_kit::{Configure, Invalid, NeighbourUrl, Reader, Secret};
use svc_stores::Store;

/// Read from the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// `DATABASE_URL`: users, tenants, roles, sessions.
    pub database_url: Secret,
    /// `SECRETS_URL`: the signing keys.
    pub secrets_url: Secret,
    /// `CACHE_URL`: failed logins.
    pub cache_url: Secret,
    /// `EVENTS_URL`: the event-bus.
    pub event_bus: NeighbourUrl,
    /// `MONEY_URL`: gives a new tenant its wallet. Without it the wallet waits.
    pub money: Option<NeighbourUrl>,
    /// `BILLING_URL`: gives a new tenant its trial. Without it the subscription waits.
    pub billing: Option<NeighbourUrl>,
    /// `NOTIFY_URL`: sends letters. Without it they wait until their links end.
    pub notify: Option<NeighbourUrl>,
    /// `PAGES_URL`: where the pages are that the links of letters lead to.
    pub pages_url: String,
    /// `TOKEN_ISSUER`: the `iss` of access tokens.
    pub token_issuer: String,
    /// `TOKEN_AUDIENCE`: the `aud` of access tokens.
    pub token_audience: String,
    /// `WALLET_CURRENCY`: of a new tenant's wallet.
    pub wallet_currency: String,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
        let database_url = reader.store(Store::Database);
        let secrets_url = reader.store(Store::Secrets);
        let cache_url = reader.store(Store::Cache);
        let event_bus = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let money = reader.optional("MONEY_URL");
        let billing = reader.optional("BILLING_URL");
        let notify = reader.optional("NOTIFY_URL");
        let pages_url = reader.or("PAGES_URL", "http://localhost:3000".to_owned());
        let token_issuer = reader.or("TOKEN_ISSUER", "https://api.septemcore.com".to_owned());
        let token_audience = reader.or("TOKEN_AUDIENCE", "platform-kernel".to_owned());
        let wallet_currency = reader.or("WALLET_CURRENCY", "USD".to_owned());
        Ok(Config {
            database_url: database_url?,
            secrets_url: secrets_url?,
            cache_url: cache_url?,
            event_bus: event_bus?,
            money: money?,
            billing: billing?,
            notify: notify?,
            pages_url: pages_url?,
            token_issuer: token_issuer?,
            token_audience: token_audience?,
            wallet_currency: wallet_currency?,
        })
    }
}
