//! What each mutation does: parse, decide by the rules, write, tell.

use serde_json::json;
use svc_api::money::v1 as wire;
use uuid::Uuid;

use crate::domain::{
    Amount, Balances, Currency, HoldStatus, Lifetime, MAXIMUM_OPEN_HOLDS, Movement, Refusal,
};
use crate::error::{MoneyError, Result};
use crate::ledger::Operation;
use crate::store::{self, StoredHold, StoredTransaction, StoredWallet};
use crate::wire::{id_of, short_text, to_hold, to_transaction, to_wallet};
use crate::work::{Line, Posted, Work, nothing_more};

impl Operation for wire::CreateWalletRequest {
    type Reply = wire::Wallet;
    const NAME: &'static str = "create-wallet";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::Wallet> {
        let currency = Currency::parse(&self.currency)?;
        short_text("label", &self.label)?;
        let user_id = match (self.user_id.is_empty(), work.user) {
            (true, Some(caller)) => caller,
            (true, None) => {
                let problem = "must be given when nobody is signed in".to_owned();
                return Err(MoneyError::Field { field: "userId", problem });
            }
            (false, _) => id_of("userId", &self.user_id)?,
        };
        let wallet = StoredWallet {
            id: Uuid::now_v7(),
            tenant_id: work.tenant,
            user_id,
            currency: currency.as_str().to_owned(),
            label: self.label.clone(),
            balances: Balances::default(),
            created_at: work.now,
            updated_at: work.now,
        };
        store::insert_wallet(&mut work.transaction, &wallet).await?;
        let data = json!({ "walletId": wallet.id, "userId": wallet.user_id, "currency": wallet.currency });
        work.publish("money.wallet.created", wallet.id, data).await?;
        Ok(to_wallet(&wallet))
    }
}

impl Operation for wire::CreditRequest {
    type Reply = wire::Transaction;
    const NAME: &'static str = "credit";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::Transaction> {
        let wallet = id_of("id", &self.id)?;
        short_text("description", &self.description)?;
        let posted = work.post(Movement::credit(wallet, work.amount(self.amount)?)).await?;
        let line = completed(wallet, "credit", &self.description);
        let transaction = work.record(&posted, line).await?;
        work.announce("money.wallet.credited", &transaction, nothing_more()).await?;
        Ok(to_transaction(&transaction))
    }
}

impl Operation for wire::DebitRequest {
    type Reply = wire::Transaction;
    const NAME: &'static str = "debit";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::Transaction> {
        let wallet = id_of("id", &self.id)?;
        short_text("description", &self.description)?;
        let posted = work.post(Movement::debit(wallet, work.amount(self.amount)?)).await?;
        let line = completed(wallet, "debit", &self.description);
        let transaction = work.record(&posted, line).await?;
        work.announce("money.wallet.debited", &transaction, nothing_more()).await?;
        Ok(to_transaction(&transaction))
    }
}

impl Operation for wire::HoldRequest {
    type Reply = wire::HoldReply;
    const NAME: &'static str = "hold";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::HoldReply> {
        let wallet = id_of("id", &self.id)?;
        short_text("description", &self.description)?;
        let amount = work.amount(self.amount)?;
        let lifetime = Lifetime::new(self.ttl_seconds)?;
        // Posting first locks the wallet, so that nobody opens a hold between counting and opening.
        let posted = work.post(Movement::hold(wallet, amount)).await?;
        if store::count_open_holds(&mut work.transaction, wallet).await? >= MAXIMUM_OPEN_HOLDS {
            return Err(Refusal::TooManyHolds.into());
        }
        let hold = StoredHold {
            id: Uuid::now_v7(),
            wallet_id: wallet,
            amount: amount.minor_units(),
            currency: posted.currency.clone(),
            status: HoldStatus::Held,
            expires_at: lifetime.ends(work.now),
            created_at: work.now,
        };
        store::insert_hold(&mut work.transaction, &hold).await?;
        let line = Line {
            wallet,
            kind: "hold",
            status: HoldStatus::Held.as_str(),
            description: &self.description,
            related: Some(hold.id),
        };
        let transaction = work.record(&posted, line).await?;
        let more = json!({ "holdId": hold.id, "expiresAt": hold.expires_at.to_string() });
        work.announce("money.hold.placed", &transaction, more).await?;
        Ok(hold_reply(&hold, &transaction))
    }
}

impl Operation for wire::ConfirmHoldRequest {
    type Reply = wire::HoldReply;
    const NAME: &'static str = "confirm-hold";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::HoldReply> {
        let mut hold = locked_hold(work, &self.id).await?;
        hold.status.may_confirm(hold.expires_at, work.now)?;
        let posted = work.post(Movement::confirm(hold.wallet_id, Amount::accepted(hold.amount)?)).await?;
        let transaction = settle(work, &mut hold, HoldStatus::Confirmed, &posted, "").await?;
        work.announce("money.hold.confirmed", &transaction, json!({ "holdId": hold.id })).await?;
        Ok(hold_reply(&hold, &transaction))
    }
}

impl Operation for wire::CancelHoldRequest {
    type Reply = wire::HoldReply;
    const NAME: &'static str = "cancel-hold";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::HoldReply> {
        let hold = locked_hold(work, &self.id).await?;
        hold.status.may_cancel()?;
        cancel(work, hold, false).await
    }
}

/// Makes the money of an open hold available again.
pub(crate) async fn cancel(work: &mut Work, mut hold: StoredHold, expired: bool) -> Result<wire::HoldReply> {
    let posted = work.post(Movement::cancel(hold.wallet_id, Amount::accepted(hold.amount)?)).await?;
    let description = if expired { "the hold expired" } else { "" };
    let transaction = settle(work, &mut hold, HoldStatus::Canceled, &posted, description).await?;
    let more = json!({ "holdId": hold.id, "expired": expired });
    work.announce("money.hold.canceled", &transaction, more).await?;
    Ok(hold_reply(&hold, &transaction))
}

impl Operation for wire::TransferRequest {
    type Reply = wire::TransferReply;
    const NAME: &'static str = "transfer";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::TransferReply> {
        let from = id_of("fromWalletId", &self.from_wallet_id)?;
        let to = id_of("toWalletId", &self.to_wallet_id)?;
        short_text("description", &self.description)?;
        let posted = work.post(Movement::transfer(from, to, work.amount(self.amount)?)?).await?;
        let debit = work.record(&posted, completed(from, "transfer_out", &self.description)).await?;
        let line = Line { related: Some(debit.id), ..completed(to, "transfer_in", &self.description) };
        let credit = work.record(&posted, line).await?;
        let more = json!({ "toWalletId": to, "creditTransactionId": credit.id });
        work.announce("money.transfer.completed", &debit, more).await?;
        Ok(wire::TransferReply { debit: Some(to_transaction(&debit)), credit: Some(to_transaction(&credit)) })
    }
}

impl Operation for wire::ReverseRequest {
    type Reply = wire::Transaction;
    const NAME: &'static str = "reverse";

    async fn carry_out(&self, work: &mut Work) -> Result<wire::Transaction> {
        let id = id_of("id", &self.id)?;
        short_text("description", &self.description)?;
        let original = store::transaction_in(&mut work.transaction, id).await?;
        let original = original.ok_or(MoneyError::NotFound { what: "transaction", id })?;
        if let Some(by) = original.reversed_by {
            return Err(Refusal::AlreadyReversed(by).into());
        }
        let sides = store::of_posting(&mut work.transaction, original.posting_id).await?;
        let posted = work.post(opposite(&original, &sides)?).await?;
        let mut own = None;
        for side in &sides {
            let line =
                Line { related: Some(side.id), ..completed(side.wallet_id, "reversal", &self.description) };
            let reversal = work.record(&posted, line).await?;
            if !store::mark_reversed(&mut work.transaction, side.id, reversal.id).await? {
                return Err(Refusal::AlreadyReversed(reversal.id).into());
            }
            if side.id == original.id {
                own = Some(reversal);
            }
        }
        let reversal = own.ok_or(MoneyError::NotFound { what: "transaction", id })?;
        work.announce("money.transaction.reversed", &reversal, json!({ "reversedId": id })).await?;
        Ok(to_transaction(&reversal))
    }
}

/// The movement that undoes a transaction. What a confirmed hold took comes back as available money.
fn opposite(original: &StoredTransaction, sides: &[StoredTransaction]) -> Result<Movement> {
    let amount = Amount::accepted(original.amount)?;
    let side = |kind: &str| sides.iter().find(|side| side.kind == kind).map(|side| side.wallet_id);
    match original.kind.as_str() {
        "credit" => Ok(Movement::debit(original.wallet_id, amount)),
        "debit" | "confirm" => Ok(Movement::credit(original.wallet_id, amount)),
        kind @ ("transfer_in" | "transfer_out") => {
            let both = side("transfer_in").zip(side("transfer_out"));
            let (from, to) = both.ok_or_else(|| Refusal::NotReversible(kind.to_owned()))?;
            Ok(Movement::transfer(from, to, amount)?)
        }
        other => Err(Refusal::NotReversible(other.to_owned()).into()),
    }
}

async fn locked_hold(work: &mut Work, id: &str) -> Result<StoredHold> {
    let id = id_of("id", id)?;
    let hold = store::lock_hold(&mut work.transaction, id, work.now).await?;
    hold.ok_or(MoneyError::NotFound { what: "hold", id })
}

async fn settle(
    work: &mut Work,
    hold: &mut StoredHold,
    status: HoldStatus,
    posted: &Posted,
    description: &str,
) -> Result<StoredTransaction> {
    hold.status = status;
    store::settle_hold(&mut work.transaction, hold.id, status).await?;
    let kind = if status == HoldStatus::Confirmed { "confirm" } else { "cancel" };
    let line =
        Line { wallet: hold.wallet_id, kind, status: status.as_str(), description, related: Some(hold.id) };
    work.record(posted, line).await
}

fn completed<'a>(wallet: Uuid, kind: &'a str, description: &'a str) -> Line<'a> {
    Line { wallet, kind, status: "completed", description, related: None }
}

fn hold_reply(hold: &StoredHold, transaction: &StoredTransaction) -> wire::HoldReply {
    wire::HoldReply { hold: Some(to_hold(hold)), transaction: Some(to_transaction(transaction)) }
}
