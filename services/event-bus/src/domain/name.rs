//! Names of topics, types and groups, and how tenants' names are kept apart in the one log.

use std::time::Duration;

use svc_stores::events::Topic;
use uuid::Uuid;

use super::Fault;

/// The bounded contexts whose topics exist from the start.
const DOMAINS: [&str; 11] = [
    "auth",
    "data",
    "module",
    "money",
    "files",
    "notify",
    "audit",
    "billing",
    "integration",
    "domain",
    "gateway",
];
const PLATFORM: &str = "platform.";
const HOUR: u64 = 3600;
const RETENTION: Duration = Duration::from_secs(168 * HOUR);
const AUDIT_RETENTION: Duration = Duration::from_secs(720 * HOUR);
const PLATFORM_PARTITIONS: u32 = 4;
const TENANT_PARTITIONS: u32 = 2;

/// The topics of the platform.
pub(crate) fn standard_topics() -> Vec<Topic> {
    let names = DOMAINS.iter().map(|domain| format!("platform.{domain}.events"));
    names
        .map(|name| {
            let (partitions, retention) = partitions_and_retention(&name);
            Topic { name, partitions, retention }
        })
        .collect()
}

/// How a topic is kept. Events are kept for 7 days, those of the audit topic for 30.
pub(crate) fn partitions_and_retention(stored_name: &str) -> (u32, Duration) {
    let partitions = if stored_name.starts_with(PLATFORM) { PLATFORM_PARTITIONS } else { TENANT_PARTITIONS };
    let retention = if stored_name == "platform.audit.events" { AUDIT_RETENTION } else { RETENTION };
    (partitions, retention)
}

/// A topic as people call it, and as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicName {
    /// `platform.money.events` or `orders`.
    pub shown: String,
    /// The same for the platform's; `tenant/{id}/orders` for a tenant's own.
    pub stored: String,
}

impl TopicName {
    /// Reads the name that a caller gave. Outside of a tenant there are only the platform's topics.
    pub(crate) fn read(field: &str, name: &str, tenant: Option<Uuid>) -> Result<Self, Fault> {
        if let Some(rest) = name.strip_prefix(PLATFORM) {
            let domain = rest.strip_suffix(".events").unwrap_or_default();
            return if is_word(domain) {
                Ok(Self { shown: name.to_owned(), stored: name.to_owned() })
            } else {
                Err(Fault::new(field, "format", "a platform topic is `platform.{domain}.events`"))
            };
        }
        let allowed =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter);
        if name.is_empty()
            || name.len() > 100
            || !name.chars().all(allowed)
            || !name.starts_with(char::is_alphanumeric)
        {
            let rule =
                "1 to 100 lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
            return Err(Fault::new(field, "format", rule));
        }
        let Some(tenant) = tenant else {
            return Err(Fault::new(
                field,
                "tenant",
                "only `platform.{domain}.events` exists outside of a tenant",
            ));
        };
        Ok(Self { shown: name.to_owned(), stored: format!("{}{name}", Self::prefix(tenant)) })
    }

    /// The name that `tenant` sees for a stored topic, or `None` when it is another tenant's.
    pub(crate) fn of_stored(stored: &str, tenant: Option<Uuid>) -> Option<Self> {
        let own = tenant.and_then(|tenant| stored.strip_prefix(&Self::prefix(tenant)));
        let shown = own.or_else(|| stored.starts_with(PLATFORM).then_some(stored))?;
        Some(Self { shown: shown.to_owned(), stored: stored.to_owned() })
    }

    pub(crate) fn is_of_platform(&self) -> bool {
        self.stored.starts_with(PLATFORM)
    }

    /// What the stored names of a tenant's own topics begin with.
    pub(crate) fn prefix(tenant: Uuid) -> String {
        format!("tenant/{tenant}/")
    }
}

/// A consumer group as people call it, and as its positions are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub stored: String,
}

impl Group {
    /// Reads the name that a caller gave. Groups of a tenant and of the platform do not meet.
    pub(crate) fn read(field: &str, name: &str, tenant: Option<Uuid>) -> Result<Self, Fault> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-/@:".contains(letter);
        if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) {
            let rule = "1 to 200 letters, digits, `.`, `_`, `-`, `/`, `@` and `:`";
            return Err(Fault::new(field, "format", rule));
        }
        let stored = match tenant {
            Some(tenant) => format!("tenant/{tenant}/{name}"),
            None => format!("platform/{name}"),
        };
        Ok(Self { stored })
    }

    /// The name of a group of the platform's own; `None` for one of a tenant.
    pub(crate) fn of_platform(&self) -> Option<&str> {
        self.stored.strip_prefix("platform/")
    }
}

/// `{domain}.{entity}.{past-verb}`: three words of lower-case letters, digits and `_`.
pub(crate) fn is_type(name: &str) -> bool {
    name.len() <= 150 && name.split('.').count() == 3 && name.split('.').all(is_word)
}

/// A type, or the beginning of one with a `*` at its end.
pub(crate) fn is_type_pattern(name: &str) -> bool {
    let allowed =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._".contains(letter);
    match name.strip_suffix('*') {
        Some(beginning) => beginning.len() <= 150 && beginning.chars().all(allowed),
        None => is_type(name),
    }
}

fn is_word(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_lowercase())
        && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: Uuid = Uuid::from_u128(1);

    #[test]
    fn topics_of_tenants_are_kept_apart() {
        let of = |name: &str, tenant| TopicName::read("topic", name, tenant).map(|topic| topic.stored);
        assert_eq!(of("platform.money.events", Some(TENANT)).unwrap(), "platform.money.events");
        assert_eq!(of("platform.money.events", None).unwrap(), "platform.money.events");
        assert_eq!(of("orders.eu-1", Some(TENANT)).unwrap(), format!("tenant/{TENANT}/orders.eu-1"));
        assert_ne!(of("orders", Some(TENANT)), of("orders", Some(Uuid::from_u128(2))));
        for (name, tenant) in [
            ("orders", None),
            ("", Some(TENANT)),
            ("platform.money", Some(TENANT)),
            ("platform..events", Some(TENANT)),
            ("platform.Money.events", Some(TENANT)),
            ("tenant/x/orders", Some(TENANT)),
            ("Orders", Some(TENANT)),
            (".orders", Some(TENANT)),
        ] {
            assert!(of(name, tenant).is_err(), "{name}");
        }
    }

    #[test]
    fn a_stored_topic_is_seen_by_its_tenant_only() {
        let stored = TopicName::read("topic", "orders", Some(TENANT)).unwrap().stored;
        assert_eq!(TopicName::of_stored(&stored, Some(TENANT)).unwrap().shown, "orders");
        assert_eq!(TopicName::of_stored(&stored, Some(Uuid::from_u128(2))), None);
        assert_eq!(TopicName::of_stored(&stored, None), None);
        assert!(TopicName::of_stored("platform.auth.events", None).is_some());
    }

    #[test]
    fn types_are_three_words() {
        for good in ["money.wallet.credited", "auth.user.logged_in", "smoke.thing.made", "a1.b.c"] {
            assert!(is_type(good), "{good}");
        }
        for bad in [
            "",
            "money",
            "money.credited",
            "a.b.c.d",
            "Money.wallet.credited",
            "a..c",
            "a.b.c ",
            "a-b.c.d",
            "1.b.c",
        ] {
            assert!(!is_type(bad), "{bad}");
        }
        for good in ["money.*", "*", "money.wallet.*", "money.wallet.credited"] {
            assert!(is_type_pattern(good), "{good}");
        }
        for bad in ["*.credited", "money", "Money.*", "money.**"] {
            assert!(!is_type_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn the_audit_topic_is_kept_longer() {
        let topics = standard_topics();
        let hours = |name: &str| {
            topics.iter().find(|topic| topic.name == name).map(|topic| topic.retention.as_secs() / 3600)
        };
        assert_eq!(hours("platform.money.events"), Some(168));
        assert_eq!(hours("platform.audit.events"), Some(720));
    }
}
