//! One transaction of the ledger: what every operation does with money, done in one place.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use svc_stores::outbox::{self, Event};
use svc_stores::relational::Transaction;
use uuid::Uuid;

use crate::domain::{Amount, Balances, Movement, Refusal};
use crate::error::{MoneyError, Result};
use crate::store::{self, NewTransaction, StoredTransaction, StoredWallet};

/// The topic of every event of money.
const TOPIC: &str = "platform.money.events";

/// An open transaction with everything that an operation has to know.
pub(crate) struct Work {
    pub transaction: Transaction,
    pub tenant: Uuid,
    /// Who moves the money; nobody when a hold expires.
    pub user: Option<Uuid>,
    pub trace_id: Option<String>,
    pub now: Timestamp,
    /// What one operation may move at most, in minor units.
    pub maximum_amount: i64,
}

/// What a movement left behind.
pub(crate) struct Posted {
    pub id: Uuid,
    pub amount: Amount,
    pub currency: String,
    /// The wallets as they are now.
    pub wallets: BTreeMap<Uuid, StoredWallet>,
}

impl Posted {
    /// A wallet of the movement as it is now.
    pub fn wallet(&self, id: Uuid) -> Result<&StoredWallet> {
        self.wallets.get(&id).ok_or(MoneyError::NotFound { what: "wallet", id })
    }
}

/// What a transaction says beside the movement that it is a side of.
pub(crate) struct Line<'a> {
    pub wallet: Uuid,
    pub kind: &'a str,
    pub status: &'a str,
    pub description: &'a str,
    pub related: Option<Uuid>,
}

impl Work {
    /// The amount of a request.
    pub fn amount(&self, minor_units: i64) -> Result<Amount> {
        Ok(Amount::new(minor_units, self.maximum_amount)?)
    }

    /// Carries a movement out: locks its wallets in ascending order, applies it, and writes both entries.
    pub async fn post(&mut self, movement: Movement) -> Result<Posted> {
        let mut wallets = BTreeMap::new();
        for id in movement.wallets() {
            let wallet = store::lock_wallet(&mut self.transaction, id, self.now).await?;
            wallets.insert(id, wallet.ok_or(MoneyError::NotFound { what: "wallet", id })?);
        }
        let currency = common_currency(&movement, &wallets)?;
        let mut balances: BTreeMap<Uuid, Balances> =
            wallets.iter().map(|(id, wallet)| (*id, wallet.balances)).collect();
        movement.apply(&mut balances)?;
        for (id, wallet) in &mut wallets {
            wallet.balances = balances.get(id).copied().unwrap_or(wallet.balances);
            store::save_balances(&mut self.transaction, *id, wallet.balances).await?;
        }
        let id = Uuid::now_v7();
        store::insert_entries(&mut self.transaction, id, &currency, movement.entries(), self.now).await?;
        Ok(Posted { id, amount: movement.amount, currency, wallets })
    }

    /// Writes one wallet's side of a movement.
    pub async fn record(&mut self, posted: &Posted, line: Line<'_>) -> Result<StoredTransaction> {
        let new = NewTransaction {
            id: Uuid::now_v7(),
            wallet_id: line.wallet,
            posting_id: posted.id,
            kind: line.kind,
            status: line.status,
            amount: posted.amount.minor_units(),
            currency: &posted.currency,
            balance_after: posted.wallet(line.wallet)?.balances.available,
            description: line.description,
            related_id: line.related,
            created_by: self.user,
            created_at: self.now,
        };
        Ok(store::insert_transaction(&mut self.transaction, &new).await?)
    }

    /// Tells of a transaction, ordered by its wallet. `more` is added to what every event of money says.
    pub async fn announce(&mut self, name: &str, subject: &StoredTransaction, more: Value) -> Result<()> {
        let mut data = json!({
            "transactionId": subject.id,
            "walletId": subject.wallet_id,
            "userId": self.user,
            "amount": subject.amount,
            "currency": subject.currency,
            "balanceAfter": subject.balance_after,
            "description": subject.description,
        });
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        self.publish(name, subject.wallet_id, data).await
    }

    /// Tells of something that happened to a wallet.
    pub async fn publish(&mut self, name: &str, wallet: Uuid, data: Value) -> Result<()> {
        let mut event = Event::new(TOPIC, name, "money", &wallet.to_string())
            .tenant(self.tenant)
            .data(data)
            .trace(self.trace_id.clone());
        event.occurred_at = self.now;
        outbox::append(&mut self.transaction, &event).await?;
        Ok(())
    }
}

/// No fields beside the usual ones.
pub(crate) fn nothing_more() -> Value {
    Value::Object(Map::new())
}

fn common_currency(movement: &Movement, wallets: &BTreeMap<Uuid, StoredWallet>) -> Result<String> {
    let of = |place: crate::domain::Place| place.wallet().and_then(|id| wallets.get(&id));
    let (from, to) = (of(movement.from), of(movement.to));
    if let (Some(from), Some(to)) = (from, to)
        && from.currency != to.currency
    {
        let currency = crate::domain::Currency::parse;
        let mismatch =
            Refusal::CurrencyMismatch { from: currency(&from.currency)?, to: currency(&to.currency)? };
        return Err(mismatch.into());
    }
    let wallet = from.or(to).map(|wallet| wallet.currency.clone());
    wallet.ok_or(MoneyError::Refused(Refusal::UnknownWallet(Uuid::nil())))
}
