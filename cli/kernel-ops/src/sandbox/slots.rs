//! Which ports a sandbox has: a slot of [`PORTS_PER_SLOT`] ports that follows from the tenant's name.
//!
//! One offset for all ports, as `--port-offset` has it, can't do this: 18000 of the gateway stays below 32768 only
//! with offsets below 14768, and the ports from 8080 to 8095 need 16 of them each, so that fewer than 1,000 fit.
//! Hence a slot is one block of ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TenantName;

/// How many ports a slot has. The twelve services, Envoy's two and xDS need 15.
pub const PORTS_PER_SLOT: u16 = 16;

/// Every port of every slot: above the documented ones of services, below what Linux hands out by itself (32768).
const RANGE: Range<u16> = 10_000..32_768;

/// Documented ports of the default platform that lie in [`RANGE`]: RabbitMQ's management and the gateway's xDS.
const DOCUMENTED: [u16; 2] = [15_672, 18_000];

/// How many slots there are, those around documented ports included.
pub const SLOTS: u16 = (RANGE.end - RANGE.start) / PORTS_PER_SLOT;

/// One block of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

impl Slot {
    /// Every slot in the order in which a tenant takes them: the one that its name gives, then those behind it.
    pub fn of(tenant: &TenantName) -> impl Iterator<Item = Self> + use<> {
        let first = preferred(tenant);
        (0..SLOTS).filter_map(move |step| Self::new((first + step) % SLOTS))
    }

    /// Its ports.
    #[must_use]
    pub const fn ports(self) -> Range<u16> {
        let first = RANGE.start + self.0 * PORTS_PER_SLOT;
        first..first + PORTS_PER_SLOT
    }

    /// Whether no other program has one of its ports on 127.0.0.1.
    #[must_use]
    pub fn is_free(self) -> bool {
        self.ports().all(|port| can_bind(port).is_ok())
    }

    fn new(number: u16) -> Option<Self> {
        let slot = Self(number);
        let documented = || DOCUMENTED.iter().any(|port| slot.ports().contains(port));
        (number < SLOTS && !documented()).then_some(slot)
    }
}

impl TryFrom<u16> for Slot {
    type Error = &'static str;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("there is no slot of this number")
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

/// Binds and does not listen: two who look at once are not in each other's way.
fn can_bind(port: u16) -> rustix::io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Where a name's search begins, the same on every machine: the first eight bytes of its SHA-256.
fn preferred(tenant: &TenantName) -> u16 {
    let hash = Sha256::digest(tenant.as_str().as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // A remainder below `SLOTS`, which is a u16.
    u16::try_from(number % u64::from(SLOTS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn tenant(text: &str) -> TenantName {
        TenantName::new(text).unwrap()
    }

    #[test]
    fn a_name_gives_the_same_slot_everywhere() {
        // Worked out by another program than this one: a change here would move every sandbox.
        assert_eq!(preferred(&tenant("acme")), 763);
        assert_eq!(Slot::of(&tenant("acme")).next(), Slot::new(763));
    }

    #[test]
    fn a_slot_with_a_port_of_another_program_is_not_free() {
        let mut slots = Slot::of(&tenant("slots-test")).filter(|slot| slot.is_free());
        let slot = slots.next().unwrap();
        let held = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, slot.ports().start + 3)).unwrap();
        assert!(!slot.is_free());
        drop(held);
        assert!(slot.is_free());
    }

    proptest! {
        // Each case looks at every port of every slot.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_tenant_tries_every_slot_once_and_none_has_a_documented_or_ephemeral_port(name in "[a-z][a-z0-9]{0,20}") {
            let slots: Vec<Slot> = Slot::of(&tenant(&name)).collect();
            prop_assert_eq!(slots.len(), usize::from(SLOTS) - DOCUMENTED.len());
            let ports: BTreeSet<u16> = slots.iter().flat_map(|slot| slot.ports()).collect();
            prop_assert_eq!(ports.len(), slots.len() * usize::from(PORTS_PER_SLOT), "no port is given twice");
            prop_assert!(ports.iter().all(|port| (10_000..32_768).contains(port)));
            prop_assert!(DOCUMENTED.iter().all(|port| !ports.contains(port)));
        }
    }
}
