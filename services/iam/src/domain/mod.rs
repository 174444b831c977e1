//! The rules of identity. Nothing here knows a wire, a database or a clock.

mod email;
mod error;
pub mod letter;
mod permission;
pub mod recovery;
mod refresh;
mod role;
mod rules;
pub mod signing;
mod tenant;
pub mod totp;

pub use email::Email;
pub use error::{Broken, IamError};
pub use letter::{Letter, Purpose};
pub use permission::{grants_in, grants_of};
pub use refresh::{GRACE, REFRESH_LIFETIME, RefreshRecord, Verdict, judge};
pub use role::{
    ADMIN, BUILT_IN, IMPERSONATED, MEMBER, OWNER, PLATFORM_OWNER, Role, Scope, check_assignment,
    check_new_role, check_removal,
};
pub use rules::{check_name, check_organization, check_password, check_reason};
pub use tenant::{Choice, Tenant, TenantStatus, Tier, check_new_tier, choose};

use jiff::Timestamp;
use uuid::Uuid;

/// A person with an account. One account may belong to many tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// UUID v7.
    pub id: Uuid,
    /// Unique over the platform.
    pub email: Email,
    /// The person's name.
    pub name: String,
    /// Whether the address was confirmed.
    pub email_verified: bool,
    /// Whether a second factor is on.
    pub mfa_enabled: bool,
    /// The tenant of the last login.
    pub last_tenant: Option<Uuid>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
