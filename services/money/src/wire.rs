//! Between what travels and what is kept.

use svc_api::money::v1 as wire;
use svc_kit::message::timestamp;
use uuid::Uuid;

use crate::error::{MoneyError, Result};
use crate::store::{StoredHold, StoredTransaction, StoredWallet};

/// Labels and descriptions have at most so many characters.
const TEXT_LIMIT: usize = 255;

/// The id in a field.
pub(crate) fn id_of(field: &'static str, text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| MoneyError::Field { field, problem: "must be a UUID".to_owned() })
}

/// The id in a field that may be empty.
pub(crate) fn optional_id(field: &'static str, text: &str) -> Result<Option<Uuid>> {
    if text.is_empty() { Ok(None) } else { id_of(field, text).map(Some) }
}

/// Refuses a text for people that is too long.
pub(crate) fn short_text(field: &'static str, text: &str) -> Result<()> {
    let length = text.chars().count();
    if length <= TEXT_LIMIT {
        return Ok(());
    }
    let problem = format!("has {length} characters, but at most {TEXT_LIMIT} are allowed");
    Err(MoneyError::Field { field, problem })
}

pub(crate) fn to_wallet(wallet: &StoredWallet) -> wire::Wallet {
    wire::Wallet {
        id: wallet.id.to_string(),
        tenant_id: wallet.tenant_id.to_string(),
        user_id: wallet.user_id.to_string(),
        currency: wallet.currency.clone(),
        label: wallet.label.clone(),
        balance: Some(to_balance(wallet)),
        created_at: Some(timestamp(wallet.created_at)),
        updated_at: Some(timestamp(wallet.updated_at)),
    }
}

pub(crate) fn to_balance(wallet: &StoredWallet) -> wire::Balance {
    wire::Balance {
        available: wallet.balances.available,
        pending: 0,
        frozen: wallet.balances.frozen,
        currency: wallet.currency.clone(),
    }
}

pub(crate) fn to_hold(hold: &StoredHold) -> wire::Hold {
    wire::Hold {
        id: hold.id.to_string(),
        wallet_id: hold.wallet_id.to_string(),
        amount: hold.amount,
        currency: hold.currency.clone(),
        status: hold.status.as_str().to_owned(),
        expires_at: Some(timestamp(hold.expires_at)),
        created_at: Some(timestamp(hold.created_at)),
    }
}

pub(crate) fn to_transaction(transaction: &StoredTransaction) -> wire::Transaction {
    wire::Transaction {
        transaction_id: transaction.id.to_string(),
        r#type: transaction.kind.clone(),
        status: transaction.status.clone(),
        amount: transaction.amount,
        currency: transaction.currency.clone(),
        wallet_id: transaction.wallet_id.to_string(),
        balance_after: transaction.balance_after,
        created_at: Some(timestamp(transaction.created_at)),
        description: transaction.description.clone(),
        related_id: transaction.related_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}
