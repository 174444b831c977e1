//! The hash chain: each record carries the hash of the one before it, so that a change of any shows in all behind.
//!
//! What is hashed is a list of texts in fixed order, as JSON, behind the previous hash. The documents of a record are
//! hashed as the very text that is stored; nothing is parsed and printed again in between. A chain alone cannot show that
//! its end was cut off, nor that somebody hashed everything behind a change anew: for both, compare the newest hash with
//! one that was noted elsewhere.

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Entry;

/// What stands before the first record.
pub(crate) const GENESIS: &str = "";
/// Part of what is hashed, so that another form can never give the same hash.
const FORM: &str = "kernel audit 1";

/// A record in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub sequence: i64,
    pub entry: Entry,
    pub previous_hash: String,
    pub hash: String,
}

impl Link {
    /// Puts a record behind the one with `sequence - 1` and `previous_hash`.
    pub(crate) fn forge(tenant: Uuid, sequence: i64, previous_hash: String, entry: Entry) -> Self {
        let hash = hash(tenant, sequence, &previous_hash, &entry);
        Self { sequence, entry, previous_hash, hash }
    }
}

fn hash(tenant: Uuid, sequence: i64, previous_hash: &str, entry: &Entry) -> String {
    let Entry {
        id,
        action,
        entity_type,
        entity_id,
        user_id,
        ip,
        user_agent,
        before,
        after,
        metadata,
        occurred_at,
    } = entry;
    let canonical = json!([
        FORM,
        previous_hash,
        tenant.to_string(),
        sequence.to_string(),
        id.to_string(),
        action,
        entity_type,
        entity_id,
        user_id,
        ip,
        user_agent,
        before,
        after,
        metadata,
        occurred_at.as_microsecond().to_string(),
    ]);
    hex::encode(Sha256::digest(canonical.to_string().as_bytes()))
}

/// Walks along a chain from its first record on.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    tenant: Uuid,
    checked: i64,
    last_hash: String,
}

/// Where a chain does not fit, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    pub sequence: i64,
    pub reason: String,
}

impl Chain {
    /// A walk that has seen nothing yet.
    pub(crate) fn new(tenant: Uuid) -> Self {
        Self { tenant, checked: 0, last_hash: GENESIS.to_owned() }
    }

    /// How many records fitted.
    pub(crate) const fn checked(&self) -> i64 {
        self.checked
    }

    /// Takes the next record, or says why it does not fit.
    pub(crate) fn follow(&mut self, link: &Link) -> Result<(), Break> {
        let expected = self.checked + 1;
        let broken = |sequence: i64, reason: String| Err(Break { sequence, reason });
        if link.sequence != expected {
            return broken(
                expected,
                format!("the record is missing; the next one is number {}", link.sequence),
            );
        }
        if link.previous_hash != self.last_hash {
            return broken(expected, "the record does not name the hash of the one before it".to_owned());
        }
        if link.hash != hash(self.tenant, link.sequence, &link.previous_hash, &link.entry) {
            return broken(expected, "the record is not what it was when it was hashed".to_owned());
        }
        self.checked = expected;
        self.last_hash.clone_from(&link.hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const TENANT: Uuid = Uuid::from_u128(7);

    fn entry(number: u128) -> Entry {
        Entry {
            id: Uuid::from_u128(number),
            action: "shop.order.placed".to_owned(),
            entity_type: "order".to_owned(),
            entity_id: number.to_string(),
            user_id: "u".to_owned(),
            ip: String::new(),
            user_agent: String::new(),
            before: None,
            after: Some("{\"a\":1}".to_owned()),
            metadata: None,
            occurred_at: Timestamp::from_microsecond(1_790_000_000_000_000).unwrap(),
        }
    }

    fn chain(length: i64) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        for sequence in 1..=length {
            let previous = links.last().map_or(GENESIS.to_owned(), |last| last.hash.clone());
            links.push(Link::forge(TENANT, sequence, previous, entry(sequence.unsigned_abs().into())));
        }
        links
    }

    fn walk(links: &[Link]) -> Result<i64, Break> {
        let mut chain = Chain::new(TENANT);
        links.iter().try_for_each(|link| chain.follow(link)).map(|()| chain.checked())
    }

    #[test]
    fn a_chain_holds_and_its_form_is_pinned() {
        let links = chain(3);
        assert_eq!(walk(&links), Ok(3));
        assert_eq!(walk(&[]), Ok(0));
        // Another value here would break the chain of every trail that exists.
        assert_eq!(links[0].hash, "12e3fd394935d6a8294f83f30494dca5122b1885eae275f5441d7d72755d78af");
    }

    #[test]
    fn every_change_of_any_record_shows() {
        type Change = fn(&mut Link);
        let mut changes: Vec<(&str, Change)> = Vec::new();
        changes.push(("action", |link| link.entry.action.push('x')));
        changes.push(("id", |link| link.entry.id = Uuid::from_u128(99)));
        changes.push(("type", |link| link.entry.entity_type.push('x')));
        changes.push(("entity", |link| link.entry.entity_id.push('x')));
        changes.push(("user", |link| link.entry.user_id.clear()));
        changes.push(("ip", |link| link.entry.ip.push('x')));
        changes.push(("agent", |link| link.entry.user_agent.push('x')));
        changes.push(("before", |link| link.entry.before = Some(String::new())));
        changes.push(("after", |link| link.entry.after = Some("{\"a\":2}".to_owned())));
        changes.push(("metadata", |link| link.entry.metadata = Some("{}".to_owned())));
        changes.push(("time", |link| link.entry.occurred_at = Timestamp::UNIX_EPOCH));
        changes.push(("moved text", |link| {
            // The same letters in another field are another record.
            link.entry.ip = std::mem::take(&mut link.entry.user_id);
        }));
        for (name, change) in changes {
            let mut links = chain(3);
            change(&mut links[1]);
            let found = walk(&links).unwrap_err();
            assert_eq!((found.sequence, found.reason.contains("not what it was")), (2, true), "{name}");
        }
    }

    #[test]
    fn a_missing_a_moved_and_a_replaced_record_show() {
        let mut links = chain(3);
        links.remove(1);
        assert_eq!(walk(&links).unwrap_err().sequence, 2);
        let mut links = chain(3);
        links.remove(0);
        assert_eq!(walk(&links).unwrap_err().sequence, 1);
        let mut links = chain(3);
        links.swap(1, 2);
        assert_eq!(walk(&links).unwrap_err().sequence, 2);
        // Somebody hashes the changed record anew: then the next one does not fit.
        let mut links = chain(3);
        links[1] = Link::forge(TENANT, 2, links[0].hash.clone(), entry(50));
        let found = walk(&links).unwrap_err();
        assert_eq!((found.sequence, found.reason.contains("hash of the one before")), (3, true));
        // A record of another tenant fits nowhere.
        let mut links = chain(2);
        links[1] = Link::forge(Uuid::from_u128(8), 2, links[0].hash.clone(), entry(2));
        assert_eq!(walk(&links).unwrap_err().sequence, 2);
    }
}
