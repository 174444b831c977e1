//! The rules of tenants' own host names: what a name may look like, what its owner must publish, and when a name
//! counts as verified or as given up. Knows neither tonic nor a database nor DNS; time and records are parameters.

pub mod hostname;
pub mod instructions;
pub mod verification;

pub use hostname::{Hostname, HostnameError};
pub use instructions::{Instruction, RecordType, Token, instructions};
pub use verification::{GIVE_UP_AFTER, Missing, Records, Status, Verdict, judge};
