//! Public DNS: the name servers of this machine, or one that is named. Answers are not kept: a tenant who has just
//! set a record wants it to be seen.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, ResolverBuilder, TokioResolver};

use crate::domain::instructions::verification_name;
use crate::domain::{Hostname, Records, Token};
use crate::lookup::{Lookup, LookupError};

/// How long one name server may take; each is asked twice.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks name servers.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// Asks the name servers of `/etc/resolv.conf`.
    ///
    /// # Errors
    /// When that file can't be read.
    pub fn system() -> Result<Self, LookupError> {
        let builder = Resolver::builder_tokio().map_err(|error| {
            LookupError::Unavailable(format!(
                "this machine's name servers are not known ({error}); name one as RESOLVER_URL=dns://<address>:53"
            ))
        })?;
        Self::build(builder)
    }

    /// Asks this name server.
    ///
    /// # Errors
    /// When the resolver can't be made.
    pub fn at(server: SocketAddr) -> Result<Self, LookupError> {
        let on_port = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
        name_server.connections = name_server.connections.into_iter().map(on_port).collect();
        let mut config = ResolverConfig::default();
        config.name_servers = vec![name_server];
        Self::build(Resolver::builder_with_config(config, TokioRuntimeProvider::default()))
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, LookupError> {
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        options.attempts = 2;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = builder.build().map_err(|error| LookupError::Unavailable(error.to_string()))?;
        Ok(Self { resolver })
    }

    /// The contents of all records of one kind at a name. None is an answer.
    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, LookupError> {
        // With the final dot, so that no search domain is tried.
        match self.resolver.lookup(format!("{name}."), kind).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| read(&record.data)).collect()),
            Err(error) if is_empty_answer(&error) => Ok(Vec::new()),
            Err(error) => Err(LookupError::Unavailable(format!("{kind} of {name}: {error}"))),
        }
    }
}

#[async_trait]
impl Lookup for Dns {
    fn name(&self) -> &str {
        "dns"
    }

    async fn records(&self, hostname: &Hostname, _token: &Token) -> Result<Records, LookupError> {
        let verification = verification_name(hostname);
        let cname = self.ask(hostname.as_str(), RecordType::CNAME, |data| match data {
            RData::CNAME(target) => Some(target.to_ascii()),
            _ => None,
        });
        // One record may come in several pieces, which are one text.
        let txt = self.ask(&verification, RecordType::TXT, |data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        let (cname, txt) = tokio::try_join!(cname, txt)?;
        Ok(Records { cname, txt })
    }
}

/// Whether the server said that there is nothing, as opposed to not saying anything.
fn is_empty_answer(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NXDomain | ResponseCode::NoError,
            ..
        }))
    )
}
