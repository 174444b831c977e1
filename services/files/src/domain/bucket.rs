//! The five logical buckets, and where a file's bytes lie. All share one physical bucket; each tenant has a
//! prefix, which the objects port adds.

use uuid::Uuid;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Pictures of people and organisations.
    Avatars,
    /// Pictures and media of a tenant's pages.
    Assets,
    /// Papers.
    Documents,
    /// What the platform has made for a tenant to take away.
    Exports,
    /// Bundles of modules.
    Modules,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 5] = [Self::Avatars, Self::Assets, Self::Documents, Self::Exports, Self::Modules];

    /// The name in requests, records and object keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Avatars => "avatars",
            Self::Assets => "assets",
            Self::Documents => "documents",
            Self::Exports => "exports",
            Self::Modules => "modules",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.as_str() == name)
    }
}

/// Where an upload lies until it is scanned, inside its tenant's prefix.
#[must_use]
pub fn staging_path(file: Uuid) -> String {
    format!("staging/{file}")
}

/// Where a file lies once it is available, inside its tenant's prefix.
#[must_use]
pub fn object_path(bucket: Bucket, file: Uuid) -> String {
    format!("{}/{file}", bucket.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys() {
        for bucket in Bucket::ALL {
            assert_eq!(Bucket::from_name(bucket.as_str()), Some(bucket));
            assert_ne!(bucket.as_str(), "staging", "a bucket would collide with the staging area");
        }
        assert_eq!(Bucket::from_name("staging"), None);
        let file = Uuid::from_u128(2);
        assert_eq!(object_path(Bucket::Avatars, file), "avatars/00000000-0000-0000-0000-000000000002");
        assert_eq!(staging_path(file), "staging/00000000-0000-0000-0000-000000000002");
    }
}
