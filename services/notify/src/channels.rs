//! Which channels a tenant can send through, and what it set up for them.

use serde_json::Value;
use svc_kit::Caller;
use svc_stores::relational::{Row, Scope};
use svc_stores::values;

use crate::adapters::Setup;
use crate::domain::{Channel, Fault};
use crate::error::{NotifyError, Result};
use crate::sender::Sender;
use crate::store;

const NAME_LIMIT: usize = 255;

/// A channel as a tenant sees it.
pub(crate) struct Offered {
    pub channel: Channel,
    pub name: String,
    /// Why nothing can be sent through it; empty when something can.
    pub reason: &'static str,
}

/// A channel to set up.
pub(crate) struct NewChannel {
    pub channel: String,
    pub name: String,
    pub config: Setup,
}

/// What a tenant set up for a channel.
pub(crate) struct SetUp {
    pub channel: Channel,
    pub name: String,
    pub config: Setup,
}

impl Sender {
    /// Sets a channel up, in place of what was set up before.
    pub(crate) async fn set_up(&self, caller: &Caller, new: NewChannel) -> Result<Offered> {
        let settable = || {
            let able = |channel: &Channel| self.adapters.find(*channel).is_some_and(|it| it.needs_setup());
            Channel::ALL.into_iter().filter(able).map(Channel::as_str).collect::<Vec<_>>().join(", ")
        };
        let Some(channel) = Channel::parse(&new.channel) else {
            let message = format!("must be a channel that can be set up: {}", settable());
            return Err(Fault::new("type", "unknown", message).into());
        };
        let adapter = self.adapters.find(channel).ok_or(NotifyError::NoAdapter(channel))?;
        let mut faults = Vec::new();
        if !adapter.needs_setup() {
            let message = format!("`{channel}` needs no setting up; what does: {}", settable());
            faults.push(Fault::new("type", "not-needed", message));
        }
        if new.name.len() > NAME_LIMIT {
            faults.push(Fault::new("name", "too-long", format!("has more than {NAME_LIMIT} bytes")));
        }
        faults.extend(adapter.check_setup(&new.config).err().into_iter().flatten());
        if !faults.is_empty() {
            return Err(NotifyError::Faults(faults));
        }
        let name = if new.name.is_empty() { channel.title().to_owned() } else { new.name };
        let sql =
            "INSERT INTO channels (tenant_id, channel, name, config, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tenant_id, channel) DO UPDATE SET name = $3, config = $4";
        let values = values![channel.as_str(), &name, Value::Object(new.config), store::now()];
        self.database.tenant(caller.tenant).execute(sql, values).await?;
        Ok(Offered { channel, name, reason: "" })
    }

    /// Every channel of the platform, as the caller's tenant sees it.
    pub(crate) async fn offered(&self, caller: &Caller) -> Result<Vec<Offered>> {
        let sql = "SELECT channel, name, config FROM channels WHERE tenant_id = $1";
        let rows = self.database.tenant(caller.tenant).fetch_all(sql, values![]).await?;
        let ready = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let offered = Channel::ALL.into_iter().map(|channel| {
            let ready = ready.iter().find(|ready| ready.channel == channel);
            let reason = match self.adapters.find(channel) {
                None => "nothing sends through this channel here",
                Some(adapter) if adapter.needs_setup() && ready.is_none() => {
                    "it is not set up; do so with POST /v1/notify/channels"
                }
                Some(_) => "",
            };
            let name = ready.map_or_else(|| channel.title().to_owned(), |ready| ready.name.clone());
            Offered { channel, name, reason }
        });
        Ok(offered.collect())
    }
}

/// What a tenant set up for a channel, if anything.
pub(crate) async fn setup_of(scope: &Scope, channel: Channel) -> Result<Option<Setup>> {
    let sql = "SELECT channel, name, config FROM channels WHERE tenant_id = $1 AND channel = $2";
    let row = scope.fetch_optional(sql, values![channel.as_str()]).await?;
    Ok(row.as_ref().map(read).transpose()?.map(|ready| ready.config))
}

fn read(row: &Row) -> Result<SetUp> {
    let config: Value = row.get("config")?;
    let Value::Object(config) = config else {
        let what = "column `config`".to_owned();
        let problem = "it is no JSON object".to_owned();
        return Err(svc_stores::StoreError::Corrupt { what, problem }.into());
    };
    Ok(SetUp { channel: store::known(row, "channel", Channel::parse)?, name: row.get("name")?, config })
}
