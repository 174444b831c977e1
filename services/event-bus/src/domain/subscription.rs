//! A subscription: a group with its own position on one topic, and the types that it wants.

use jiff::Timestamp;
use uuid::Uuid;

use super::Fault;
use super::name::{Group, TopicName, is_type_pattern};

const MOST_TYPES: usize = 50;

/// A subscription as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub id: Uuid,
    pub topic: TopicName,
    pub group: String,
    pub types: Vec<String>,
    pub max_retries: u32,
    pub created_at: Timestamp,
}

/// What a caller asked for.
#[derive(Clone, Debug)]
pub(crate) struct NewSubscription {
    pub topic: String,
    pub group: String,
    pub types: Vec<String>,
    pub max_retries: i32,
}

impl NewSubscription {
    /// Checks it and fills in what is missing, or says everything that is wrong.
    pub(crate) fn check(self, tenant: Uuid, now: Timestamp) -> Result<Subscription, Vec<Fault>> {
        let id = Uuid::now_v7();
        let mut faults = Vec::new();
        let topic = TopicName::read("topic", &self.topic, Some(tenant)).map_err(|fault| faults.push(fault));
        let group = if self.group.is_empty() { format!("subscription-{id}") } else { self.group };
        if let Err(fault) = Group::read("group", &group, Some(tenant)) {
            faults.push(fault);
        }
        faults.extend(type_faults(&self.types));
        let max_retries = match self.max_retries {
            0 => 3,
            retries @ 1..=100 => retries.unsigned_abs(),
            _ => {
                faults.push(Fault::new("maxRetries", "range", "from 0 to 100"));
                0
            }
        };
        match topic {
            Ok(topic) if faults.is_empty() => {
                Ok(Subscription { id, topic, group, types: self.types, max_retries, created_at: now })
            }
            _ => Err(faults),
        }
    }
}

impl Subscription {
    /// The group as its positions are stored.
    pub(crate) fn stored_group(&self, tenant: Uuid) -> String {
        format!("tenant/{tenant}/{}", self.group)
    }
}

/// Everything that is wrong with a list of wanted types.
pub(crate) fn type_faults(types: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if types.len() > MOST_TYPES {
        faults.push(Fault::new("types", "too-many", format!("at most {MOST_TYPES}")));
    }
    for (index, name) in types.iter().enumerate() {
        if !is_type_pattern(name) {
            let message = "a type such as `money.wallet.credited`, or the beginning of one with `*`";
            faults.push(Fault::new(format!("types[{index}]"), "format", message));
        }
    }
    faults
}

/// The types that a reader wants; all when there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypeFilter(Vec<String>);

impl TypeFilter {
    /// A filter for these types, or everything that is wrong with them.
    pub(crate) fn read(types: Vec<String>) -> Result<Self, Vec<Fault>> {
        let faults = type_faults(&types);
        if faults.is_empty() { Ok(Self(types)) } else { Err(faults) }
    }

    /// A filter for types that were checked when they were stored.
    pub(crate) fn stored(types: &[String]) -> Self {
        Self(types.to_vec())
    }

    /// Whether a type is wanted.
    pub(crate) fn wants(&self, event_type: &str) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(beginning) => event_type.starts_with(beginning),
                None => event_type == wanted,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: Uuid = Uuid::from_u128(1);

    fn wish() -> NewSubscription {
        NewSubscription {
            topic: "orders".to_owned(),
            group: String::new(),
            types: Vec::new(),
            max_retries: 0,
        }
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let subscription = wish().check(TENANT, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(subscription.group, format!("subscription-{}", subscription.id));
        assert_eq!((subscription.max_retries, subscription.topic.shown.as_str()), (3, "orders"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let wrong = NewSubscription {
            topic: "Orders".to_owned(),
            group: "a group".to_owned(),
            types: vec!["money.*".to_owned(), "money".to_owned()],
            max_retries: -1,
        };
        let faults = wrong.check(TENANT, Timestamp::UNIX_EPOCH).unwrap_err();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["topic", "group", "types[1]", "maxRetries"]);
    }

    #[test]
    fn a_filter_wants_types_and_beginnings() {
        let filter =
            TypeFilter::read(vec!["money.wallet.*".to_owned(), "auth.user.created".to_owned()]).unwrap();
        for (name, wanted) in [
            ("money.wallet.credited", true),
            ("money.hold.placed", false),
            ("auth.user.created", true),
            ("auth.user.created_too", false),
        ] {
            assert_eq!(filter.wants(name), wanted, "{name}");
        }
        assert!(TypeFilter::default().wants("anything.at.all"));
    }
}
