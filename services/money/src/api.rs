//! The gRPC door to the ledger.

use svc_api::money::v1 as wire;
use svc_api::money::v1::money_service_server::MoneyService;
use svc_kit::{Caller, message::Page};
use tonic::{Request, Response, Status};

use crate::error::MoneyError;
use crate::ledger::{Ledger, Operation};
use crate::store;
use crate::wire::{id_of, optional_id, to_balance, to_transaction, to_wallet};

type Answer<T> = Result<Response<T>, Status>;

impl Ledger {
    async fn mutate<O: Operation>(&self, request: Request<O>) -> Answer<O::Reply> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.perform(&caller, request.get_ref()).await?))
    }

    async fn stored_wallet<T>(&self, request: &Request<T>, id: &str) -> Result<store::StoredWallet, Status> {
        let scope = self.database.tenant(Caller::of(request)?.tenant);
        let id = id_of("id", id)?;
        let wallet = store::wallet(&scope, id).await.map_err(MoneyError::from)?;
        Ok(wallet.ok_or(MoneyError::NotFound { what: "wallet", id })?)
    }
}

#[tonic::async_trait]
impl MoneyService for Ledger {
    async fn create_wallet(&self, request: Request<wire::CreateWalletRequest>) -> Answer<wire::Wallet> {
        self.mutate(request).await
    }

    async fn list_wallets(
        &self,
        request: Request<wire::ListWalletsRequest>,
    ) -> Answer<wire::ListWalletsReply> {
        let scope = self.database.tenant(Caller::of(&request)?.tenant);
        let request = request.get_ref();
        let page = Page::read(request.page_size, &request.page_token)?;
        let user = optional_id("userId", &request.user_id)?;
        let rows = store::list_wallets(&scope, user, page).await.map_err(MoneyError::from)?;
        let (rows, next_page_token) = page.cut(rows, |wallet| wallet.id);
        let wallets = rows.iter().map(to_wallet).collect();
        Ok(Response::new(wire::ListWalletsReply { wallets, next_page_token }))
    }

    async fn get_wallet(&self, request: Request<wire::GetWalletRequest>) -> Answer<wire::Wallet> {
        let wallet = self.stored_wallet(&request, &request.get_ref().id).await?;
        Ok(Response::new(to_wallet(&wallet)))
    }

    async fn get_balance(&self, request: Request<wire::GetBalanceRequest>) -> Answer<wire::Balance> {
        let wallet = self.stored_wallet(&request, &request.get_ref().id).await?;
        Ok(Response::new(to_balance(&wallet)))
    }

    async fn credit(&self, request: Request<wire::CreditRequest>) -> Answer<wire::Transaction> {
        self.mutate(request).await
    }

    async fn debit(&self, request: Request<wire::DebitRequest>) -> Answer<wire::Transaction> {
        self.mutate(request).await
    }

    async fn hold(&self, request: Request<wire::HoldRequest>) -> Answer<wire::HoldReply> {
        self.mutate(request).await
    }

    async fn confirm_hold(&self, request: Request<wire::ConfirmHoldRequest>) -> Answer<wire::HoldReply> {
        self.mutate(request).await
    }

    async fn cancel_hold(&self, request: Request<wire::CancelHoldRequest>) -> Answer<wire::HoldReply> {
        self.mutate(request).await
    }

    async fn transfer(&self, request: Request<wire::TransferRequest>) -> Answer<wire::TransferReply> {
        self.mutate(request).await
    }

    async fn reverse(&self, request: Request<wire::ReverseRequest>) -> Answer<wire::Transaction> {
        self.mutate(request).await
    }

    async fn list_transactions(
        &self,
        request: Request<wire::ListTransactionsRequest>,
    ) -> Answer<wire::ListTransactionsReply> {
        let scope = self.database.tenant(Caller::of(&request)?.tenant);
        let request = request.get_ref();
        let page = Page::read(request.page_size, &request.page_token)?;
        let wallet = optional_id("walletId", &request.wallet_id)?;
        let rows = store::list_transactions(&scope, wallet, page).await.map_err(MoneyError::from)?;
        let (rows, next_page_token) = page.cut(rows, |transaction| transaction.id);
        let transactions = rows.iter().map(to_transaction).collect();
        Ok(Response::new(wire::ListTransactionsReply { transactions, next_page_token }))
    }

    async fn get_transaction(
        &self,
        request: Request<wire::GetTransactionRequest>,
    ) -> Answer<wire::Transaction> {
        let scope = self.database.tenant(Caller::of(&request)?.tenant);
        let id = id_of("id", &request.get_ref().id)?;
        let transaction = store::transaction(&scope, id).await.map_err(MoneyError::from)?;
        let transaction = transaction.ok_or(MoneyError::NotFound { what: "transaction", id })?;
        Ok(Response::new(to_transaction(&transaction)))
    }
}
