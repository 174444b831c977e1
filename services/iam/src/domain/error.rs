//! What can go wrong, in the words of the domain.

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The field, as the request names it.
    pub field: &'static str,
    /// The stable name of the rule.
    pub rule: &'static str,
    /// What would be right.
    pub message: String,
}

impl Broken {
    /// A broken rule.
    pub fn new(field: &'static str, rule: &'static str, message: impl Into<String>) -> Broken {
        Broken { field, rule, message: message.into() }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IamError {
    /// Values break rules; all of them are listed.
    #[error("the request breaks {} rule(s)", .0.len())]
    Invalid(Vec<Broken>),
    /// Somebody has this address.
    #[error("the address is taken")]
    EmailTaken,
    /// Wrong address or wrong password: which one is not told.
    #[error("wrong address or password")]
    WrongCredentials,
    /// A token is unknown, used up, ended or revoked.
    #[error("the token is not valid: {0}")]
    TokenDead(&'static str),
    /// The password is right; the code of the second factor is missing.
    #[error("a code of the second factor is needed")]
    CodeMissing,
    /// The code is wrong, or was used before.
    #[error("wrong code")]
    WrongCode,
    /// A second factor is on already.
    #[error("the second factor is on already")]
    MfaEnabled,
    /// There is no second factor.
    #[error("there is no second factor")]
    MfaMissing,
    /// Too many guesses or requests.
    #[error("too many {what}")]
    TooMany {
        /// What there were too many of.
        what: &'static str,
        /// How long to wait.
        minutes: u64,
    },
    /// Somebody else acts in the user's name.
    #[error("somebody who impersonates a user cannot do this")]
    Impersonated,
    /// Only the Platform Owner impersonates, and nobody impersonates the Platform Owner.
    #[error("this user cannot be impersonated by you")]
    NoImpersonation,
    /// Partners stand below the platform, clients below both, nothing below a client.
    #[error("a tenant of the tier {0} cannot be made here")]
    TierNotAllowed(&'static str),
    /// A tenant is not blocked or deleted from inside.
    #[error("your own tenant cannot be blocked or deleted by yourself")]
    OwnTenant,
    /// There is no such tenant at or below the caller's.
    #[error("no such tenant")]
    NoTenant,
    /// There are tenants below.
    #[error("there are tenants below this one")]
    TenantNotEmpty,
    /// Built-in roles stand in the code.
    #[error("a built-in role cannot be changed")]
    BuiltInRole,
    /// The tenant or one above it is blocked.
    #[error("the tenant is blocked")]
    TenantBlocked,
    /// The user does not belong to the tenant.
    #[error("not a member of this tenant")]
    NotAMember,
    /// There is no such thing in this tenant.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// There is one by this name.
    #[error("there is a {0} of this name already")]
    Exists(&'static str),
    /// A role that is given or taken away grants more than its giver has.
    #[error("`{0}` is more than you have yourself")]
    Escalation(String),
    /// Every tenant has exactly one Owner, and the platform its Platform Owner.
    #[error(
        "a tenant has exactly one Owner, and the platform its Platform Owner; this cannot be changed here"
    )]
    OneOwner,
    /// There is a Platform Owner already.
    #[error("the platform is set up already")]
    AlreadySetUp,
}
