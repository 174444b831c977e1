//! The second factor: codes of an authenticator, and recovery codes for when it is lost.

use qrcode::{QrCode, render::svg};
use rand::RngCore as _;
use svc_kit::{Caller, Problem, RequestContext, Secret};
use svc_stores::outbox;
use uuid::Uuid;

use super::Accounts;
use crate::{
    domain::{IamError, User, recovery, totp},
    events,
    limits::CODES_OF_USER,
    store::{self, Authenticator},
    tokens,
};

/// What a user must see once to use a second factor.
#[derive(Debug, Clone)]
pub struct NewFactor {
    /// The shared secret in base 32.
    pub secret: String,
    /// The key URI.
    pub uri: String,
    /// The same as a picture, SVG.
    pub picture: String,
    /// Ten codes, each good once.
    pub recovery_codes: Vec<String>,
}

/// Which codes are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    /// Only what the authenticator shows now.
    Shown,
    /// Recovery codes too.
    Any,
}

impl Accounts {
    /// Makes a second factor, which is off until it is proven. One that was not proven is replaced.
    ///
    /// # Errors
    ///
    /// When there is one that is on.
    pub async fn enable_mfa(&self, caller: &Caller) -> Result<NewFactor, Problem> {
        let user = self.store.user(caller.user()?).await?.ok_or(IamError::NotFound("user"))?;
        if user.mfa_enabled {
            return Err(IamError::MfaEnabled.into());
        }
        let mut secret = [0; totp::SECRET_LENGTH];
        rand::rng().fill_bytes(&mut secret);
        let (recovery_codes, recovery_salt, hashes) = self.new_recovery_codes().await?;
        let sealed_secret = self.sealer.seal(user.id, &secret)?;
        let authenticator = Authenticator { sealed_secret, last_step: -1, recovery_salt };
        let mut transaction = self.store.begin().await?;
        let current = store::users::by_id(&mut transaction, user.id).await?;
        if current.is_none_or(|user| user.mfa_enabled) {
            return Err(IamError::MfaEnabled.into());
        }
        store::mfa::replace(&mut transaction, user.id, &authenticator, &hashes, self.now()).await?;
        transaction.commit().await?;
        let uri = totp::key_uri(self.platform_name(), user.email.as_str(), &secret);
        let picture = picture_of(&uri)?;
        Ok(NewFactor { secret: totp::base32(&secret), uri, picture, recovery_codes })
    }

    /// Switches the second factor on, which its code proves to be the user's.
    ///
    /// # Errors
    ///
    /// When there is none to switch on, or the code is wrong.
    pub async fn verify_mfa(
        &self,
        caller: &Caller,
        code: &str,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let user = self.store.user(caller.user()?).await?.ok_or(IamError::NotFound("user"))?;
        if user.mfa_enabled {
            return Err(IamError::MfaEnabled.into());
        }
        self.check_code(user.id, code, Accepted::Shown).await?;
        let mut transaction = self.store.begin().await?;
        store::mfa::switch(&mut transaction, user.id, true).await?;
        outbox::append(&mut transaction, &events::mfa_changed(user.id, caller.tenant, true, context)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Switches the second factor off.
    ///
    /// # Errors
    ///
    /// When there is none, or the code is wrong.
    pub async fn disable_mfa(
        &self,
        caller: &Caller,
        code: &str,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let user = self.user_with_mfa(caller).await?;
        self.check_code(user.id, code, Accepted::Any).await?;
        let mut transaction = self.store.begin().await?;
        store::mfa::switch(&mut transaction, user.id, false).await?;
        outbox::append(&mut transaction, &events::mfa_changed(user.id, caller.tenant, false, context))
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes new recovery codes; the old ones are dead.
    ///
    /// # Errors
    ///
    /// When there is no second factor, or the code is not what the authenticator shows.
    pub async fn regenerate_recovery_codes(
        &self,
        caller: &Caller,
        code: &str,
    ) -> Result<Vec<String>, Problem> {
        let user = self.user_with_mfa(caller).await?;
        self.check_code(user.id, code, Accepted::Shown).await?;
        let (codes, salt, hashes) = self.new_recovery_codes().await?;
        let mut transaction = self.store.begin().await?;
        store::mfa::replace_recovery_codes(&mut transaction, user.id, &salt, &hashes).await?;
        transaction.commit().await?;
        Ok(codes)
    }

    /// Checks the code that comes with a right password.
    pub(super) async fn check_second_factor(&self, user: &User, code: &str) -> Result<(), Problem> {
        if code.is_empty() {
            return Err(IamError::CodeMissing.into());
        }
        self.check_code(user.id, code, Accepted::Any).await
    }

    async fn user_with_mfa(&self, caller: &Caller) -> Result<User, Problem> {
        let user = self.store.user(caller.user()?).await?.ok_or(IamError::NotFound("user"))?;
        if user.mfa_enabled { Ok(user) } else { Err(IamError::MfaMissing.into()) }
    }

    /// Checks a code and takes it: no code is good twice.
    async fn check_code(&self, user: Uuid, code: &str, accepted: Accepted) -> Result<(), Problem> {
        let authenticator = self.store.authenticator(user).await?.ok_or(IamError::MfaMissing)?;
        let whom = user.to_string();
        self.limits.spend(&CODES_OF_USER, &[&whom]).await?;
        let secret = self.sealer.open(user, &authenticator.sealed_secret)?;
        let step = totp::step_of(&secret, code, self.now().as_second(), authenticator.last_step);
        let taken = match (step, recovery::normalized(code)) {
            (Some(step), _) => self.store.use_step(user, step).await?,
            (None, Some(recovery_code)) if accepted == Accepted::Any => {
                let salt = authenticator.recovery_salt;
                let hash = self.passwords.hash_code(Secret::new(recovery_code), salt).await?;
                self.store.use_recovery_code(user, &hash).await?
            }
            (None, _) => false,
        };
        if !taken {
            return Err(IamError::WrongCode.into());
        }
        self.limits.forget(&CODES_OF_USER, &[&whom]).await;
        Ok(())
    }

    /// New codes, the salt of their hashes, and the hashes.
    async fn new_recovery_codes(&self) -> Result<(Vec<String>, String, Vec<String>), Problem> {
        let (codes, salt) = (recovery::new_codes(), tokens::opaque());
        let mut hashes = Vec::new();
        for code in &codes {
            let code = recovery::normalized(code).unwrap_or_default();
            hashes.push(self.passwords.hash_code(Secret::new(code), salt.clone()).await?);
        }
        Ok((codes, salt, hashes))
    }

    /// What authenticators call the platform: the host of the issuer.
    fn platform_name(&self) -> &str {
        let issuer = self.tokens.issuer();
        let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        host.split('/').next().unwrap_or(host)
    }
}

fn picture_of(uri: &str) -> Result<String, Problem> {
    let code = QrCode::new(uri).map_err(Problem::internal)?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(240, 240).build())
}
