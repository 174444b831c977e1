//! The rules of identity. Nothing here knows a wire, a database or a clock.

mod email;
mod error;
mod permission;
mod refresh;
mod role;
mod rules;
mod tenant;

pub use email::Email;
pub use error::{Broken, IamError};
pub use permission::grants_of;
pub use refresh::{GRACE, REFRESH_LIFETIME, RefreshRecord, Verdict, judge};
pub use role::{
    ADMIN, BUILT_IN, MEMBER, OWNER, PLATFORM_OWNER, Role, Scope, check_assignment, check_new_role,
};
pub use rules::{check_name, check_organization, check_password};
pub use tenant::{Choice, Tenant, TenantStatus, Tier, choose};

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
    /// The tenant of the last login.
    pub last_tenant: Option<Uuid>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
