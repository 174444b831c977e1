//! Who listens on which port of this machine, by reading `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::scope::ScopeId;
use kernel_engine::EngineError;
use tokio::net::TcpSocket;

use crate::codes;
use crate::processes;

/// Checks that nobody else listens where services will, and names everyone who does. Processes of `scope` are no
/// obstacle: the plan ends them first.
///
/// # Errors
/// All taken ports at once, each with who holds it.
pub(crate) fn check(wanted: &[(ServiceName, u16)], scope: &ScopeId) -> Result<(), EngineError> {
    if wanted.is_empty() {
        return Ok(());
    }
    // In this order: whoever began to listen before the port was tried is in the tables that are read after it.
    let bindable: Vec<bool> = wanted.iter().map(|(_, port)| can_bind(*port)).collect();
    let sockets = sockets();
    let wanted: Vec<Wanted<'_>> = wanted
        .iter()
        .zip(bindable)
        .map(|((service, port), bindable)| {
            let all = sockets.get(port).map(Vec::as_slice).unwrap_or_default();
            let listening: Vec<u64> = all.iter().filter(|it| it.listens).map(|it| it.inode).collect();
            // Without a listener, an outgoing connection may have been given the port. One that is gone by now
            // is no obstacle.
            let outgoing = listening.is_empty() && !bindable && !can_bind(*port);
            let used: Vec<u64> = if outgoing { all.iter().map(|it| it.inode).collect() } else { listening };
            Wanted { service, port: *port, used, outgoing }
        })
        .collect();
    let inodes: BTreeSet<u64> = wanted.iter().flat_map(|wanted| &wanted.used).copied().collect();
    let owners = if inodes.is_empty() { BTreeMap::new() } else { owners(&inodes) };
    let taken: Vec<String> = wanted.iter().filter_map(|wanted| wanted.taken(&owners, scope)).collect();
    if taken.is_empty() { Ok(()) } else { Err(error(taken)) }
}

/// A port that a service will listen on, and the sockets that use it now.
struct Wanted<'a> {
    service: &'a ServiceName,
    port: u16,
    used: Vec<u64>,
    /// It can't be had although nobody listens.
    outgoing: bool,
}

impl Wanted<'_> {
    /// By whom it is taken, when it is.
    fn taken(&self, owners: &BTreeMap<u64, Vec<u32>>, scope: &ScopeId) -> Option<String> {
        let mut strangers = BTreeSet::new();
        let mut unknown = self.outgoing && self.used.is_empty();
        for inode in &self.used {
            match owners.get(inode).map(Vec::as_slice).unwrap_or_default() {
                [] => unknown = true,
                pids if !self.outgoing && pids.iter().any(|pid| processes::carries(*pid, scope)) => {}
                pids => strangers.extend(pids.first().map(|pid| processes::describe(*pid))),
            }
        }
        if unknown && strangers.is_empty() {
            strangers.insert("a process that can't be seen from here".to_owned());
        }
        let strangers: Vec<String> = strangers.into_iter().collect();
        let by = if self.outgoing { "by an outgoing connection of" } else { "by" };
        let (port, service) = (self.port, self.service);
        (!strangers.is_empty())
            .then(|| format!("port {port} for `{service}` is taken {by} {}", strangers.join(" and ")))
    }
}

fn error(taken: Vec<String>) -> EngineError {
    let message = match taken.as_slice() {
        [one] => format!("can't start: {one}"),
        all => format!("can't start: {} ports are taken", all.len()),
    };
    EngineError::new(codes::PORT_TAKEN, ExitCode::Prerequisite, message)
        .evidence(taken)
        .help("end who holds them, or move the whole platform with `--port-offset 10000`")
}

/// Whether 127.0.0.1 has the port free for a listener.
fn can_bind(port: u16) -> bool {
    bind(port).is_ok()
}

/// A socket that is bound and does not listen, so that two who look at once are not in each other's way: sockets
/// that allow the reuse of their address conflict only with one that listens (`man 7 socket`).
fn bind(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// One socket that has a port.
struct Socket {
    inode: u64,
    listens: bool,
}

/// The sockets of each port, whatever the address: `0.0.0.0`, `127.0.0.1`, `::` and `::1` all stand in the way of
/// somebody who says `localhost`.
fn sockets() -> BTreeMap<u16, Vec<Socket>> {
    let mut found: BTreeMap<u16, Vec<Socket>> = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for (port, socket) in text.lines().skip(1).filter_map(socket) {
            found.entry(port).or_default().push(socket);
        }
    }
    found
}

/// One line of such a table: the local port and the socket, when it has an owner.
fn socket(line: &str) -> Option<(u16, Socket)> {
    const LISTENS: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok().filter(|inode| *inode != 0)?;
    let (address, port) = local.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    stands_in_the_way(address).then_some((port, Socket { inode, listens: state == LISTENS }))
}

/// Any address, or one of loopback; not one of another network.
fn stands_in_the_way(address: &str) -> bool {
    let any = address.bytes().all(|digit| digit == b'0');
    let loopback_v4 = address.len() == 8 && address.ends_with("7F");
    let loopback_v6 = address == "00000000000000000000000001000000";
    let mapped_v4 = address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F");
    any || loopback_v4 || loopback_v6 || mapped_v4
}

/// The processes that hold each of the sockets.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    let mut owners: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for pid in processes::numbers() {
        let folder = Path::new("/proc").join(pid.to_string()).join("fd");
        for link in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(target) = std::fs::read_link(link.path()) else { continue };
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|inode| inodes.contains(inode)) {
                owners.entry(inode).or_default().push(pid);
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, TcpListener};

    use kernel_core::name::ProjectName;

    use super::*;

    fn scope() -> ScopeId {
        ScopeId::new("/nowhere", &ProjectName::new("p").unwrap())
    }

    #[test]
    fn only_a_listening_socket_that_stands_in_the_way_counts() {
        let line = |local: &str, state: &str| {
            let line = format!("  0: {local} 0:0 {state} 00000000:00000000 00:00000000 00000000 0 0 4711 1");
            socket(&line).map(|(port, socket)| (port, socket.inode, socket.listens))
        };
        assert_eq!(line("0100007F:1F90", "0A"), Some((8080, 4711, true)));
        assert_eq!(line("00000000:1F90", "0A"), Some((8080, 4711, true)));
        assert_eq!(line("00000000000000000000000000000000:1F90", "0A"), Some((8080, 4711, true)));
        assert_eq!(line("00000000000000000000000001000000:1F90", "0A"), Some((8080, 4711, true)));
        assert_eq!(line("0100007F:1F90", "01"), Some((8080, 4711, false)), "connected, not listening");
        assert_eq!(line("0A00000A:1F90", "0A"), None, "another network");
    }

    #[test]
    fn every_taken_port_is_told_with_its_owner() {
        let any = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let local = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut ports: Vec<u16> = [&any, &local].map(|socket| socket.local_addr().unwrap().port()).to_vec();
        let six = TcpListener::bind((IpAddr::V6(Ipv6Addr::LOCALHOST), 0)).ok();
        ports.extend(six.as_ref().map(|socket| socket.local_addr().unwrap().port()));
        let wanted: Vec<(ServiceName, u16)> =
            ports.iter().map(|port| (ServiceName::new("iam").unwrap(), *port)).collect();
        let error = check(&wanted, &scope()).unwrap_err();
        let own = format!("is taken by pid {} `", std::process::id());
        assert_eq!(error.evidence.len(), ports.len(), "{:?}", error.evidence);
        assert!(error.evidence.iter().all(|line| line.contains(&own)), "{:?}", error.evidence);
        assert!(error.help.unwrap_or_default().contains("--port-offset"));
    }

    #[test]
    fn an_outgoing_connection_that_was_given_the_port_is_told() {
        let there = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let outgoing = std::net::TcpStream::connect(there.local_addr().unwrap()).unwrap();
        let port = outgoing.local_addr().unwrap().port();
        let error = check(&[(ServiceName::new("iam").unwrap(), port)], &scope()).unwrap_err();
        let expected = format!("is taken by an outgoing connection of pid {} `", std::process::id());
        assert!(error.evidence[0].contains(&expected), "{:?}", error.evidence);
    }

    #[test]
    fn two_who_look_at_once_are_not_in_each_others_way() {
        let port = free_port(20_000);
        let _looks = bind(port).unwrap();
        check(&[(ServiceName::new("iam").unwrap(), port)], &scope()).unwrap();
    }

    #[test]
    fn a_free_port_is_no_obstacle() {
        check(&[(ServiceName::new("iam").unwrap(), free_port(26_000))], &scope()).unwrap();
    }

    /// Below the range of outgoing connections, which come and go in every test.
    fn free_port(from: u16) -> u16 {
        let first = from + u16::try_from(std::process::id() % 5_000).unwrap();
        let mut ports = (first..).filter(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok());
        ports.next().unwrap()
    }
}
