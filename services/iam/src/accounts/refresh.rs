//! The next pair of tokens, and the end of a session.

use svc_kit::Problem;
use uuid::Uuid;

use super::{Accounts, Granted, later, names};
use crate::{
    domain::{IamError, REFRESH_LIFETIME, Verdict, judge},
    store::{self, FoundToken},
    tokens,
};

impl Accounts {
    /// Trades a refresh token for the next pair. Within ten seconds it gives the same pair again; after that its
    /// session ends, because somebody has a copy.
    ///
    /// # Errors
    ///
    /// When the token is unknown, ended, revoked or used before, or its user may not enter the tenant any more.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Granted, Problem> {
        let now = self.now();
        let digest = tokens::digest(refresh_token);
        let mut transaction = self.store.begin().await?;
        let found = store::sessions::find_token(&mut transaction, &digest).await?;
        let FoundToken { session, record } = found.ok_or(IamError::TokenDead("it is not known"))?;
        let successor = self.tokens.successor(refresh_token);
        let made_at = match judge(record, now) {
            Verdict::Revoked => return Err(IamError::TokenDead("its session was ended").into()),
            Verdict::Expired => return Err(IamError::TokenDead("it has ended").into()),
            Verdict::Stolen => {
                store::sessions::revoke(&mut transaction, session.id, now).await?;
                transaction.commit().await?;
                tracing::warn!(user = %session.user, session = %session.id, "a used refresh token came again");
                return Err(IamError::TokenDead("it was used before, so its session was ended").into());
            }
            Verdict::Repeat(used_at) => used_at,
            Verdict::Rotate => now,
        };
        let user = self.store.user(session.user).await?;
        let tenant = self.store.tenant(session.tenant).await?;
        let roles = store::members::roles_within(&mut transaction, session.tenant, session.user).await?;
        let (Some(user), Some(tenant), Some(roles)) = (user, tenant, roles) else {
            return Err(IamError::NotAMember.into());
        };
        if self.store.is_blocked(tenant.id).await? {
            return Err(IamError::TenantBlocked.into());
        }
        let access_token = self.tokens.access(&user, tenant.id, names(&roles), made_at, None)?;
        if record.used_at.is_none() {
            store::sessions::use_token(&mut transaction, &digest, now).await?;
            let next = tokens::digest(&successor);
            store::sessions::add_token(
                &mut transaction,
                session.id,
                &next,
                now,
                later(now, REFRESH_LIFETIME),
            )
            .await?;
            transaction.commit().await?;
        }
        Ok(Granted { access_token, refresh_token: successor, user, tenant })
    }

    /// Ends the session of a refresh token. A token that is unknown or of somebody else changes nothing, and is not
    /// told apart.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn logout(&self, user: Uuid, refresh_token: &str) -> Result<(), Problem> {
        let mut transaction = self.store.begin().await?;
        let found = store::sessions::find_token(&mut transaction, &tokens::digest(refresh_token)).await?;
        if let Some(found) = found.filter(|found| found.session.user == user) {
            store::sessions::revoke(&mut transaction, found.session.id, self.now()).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}
