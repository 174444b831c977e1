//! The rules of files: what an upload may be, the way from staging to available, and how content is handed out.
//! Knows neither tonic nor axum nor a database nor a disk; time and bytes are parameters.

pub mod bucket;
pub mod eicar;
pub mod file;
pub mod filename;
pub mod lifecycle;
pub mod media;
pub mod metadata;
pub mod range;

pub use bucket::Bucket;
pub use eicar::EicarMatcher;
pub use file::File;
pub use lifecycle::{Event, Next, NotAllowed, STAGING_TTL, Status, TRASH_TTL};
pub use range::{ByteRange, parse_range};
