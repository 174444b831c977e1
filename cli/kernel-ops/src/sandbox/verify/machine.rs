//! What two sandboxes have to do with each other on this machine: files, secrets, processes, ports.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Open, Outcome, Side};

/// How many findings are shown of a row.
const SHOWN: usize = 5;

/// The rows of one direction.
pub(super) fn rows(from: &Side, to: &Side) -> Vec<(&'static str, &'static str, Outcome)> {
    vec![
        ("rights", "the rights of its folder and of its files with secrets", rights(to)),
        ("shared-files", "files and links that lead into it", shared_files(from, to)),
        ("secrets", "values that were made for both", secrets(from, to)),
        ("stores", "where its processes keep databases, queues, objects and secrets", stores(from)),
        ("environment", "what its processes were told of the other", environment(from, to)),
        ("open-files", "files of the other that its processes have open", open_files(from, to)),
        ("connections", "connections of its processes to the other's ports", connections(from, to)),
        ("ports", "where its processes listen", ports(from)),
        ("network", "a connection to the other's gateway", network(to)),
    ]
}

fn leak(found: &[String]) -> Outcome {
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(SHOWN);
    let mut text = found[..found.len() - more].join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    Err(Open::Leak(text))
}

fn unproved(what: &str, error: &dyn std::fmt::Display) -> Open {
    Open::Unproved(format!("{what}: {error}"))
}

/// Nobody else may enter its folder or read its secrets.
fn rights(side: &Side) -> Outcome {
    let mut found = Vec::new();
    for path in std::iter::once(&side.folder).chain(&side.secret_files) {
        let shown = path.display();
        let mode = std::fs::metadata(path).map_err(|error| unproved(&shown.to_string(), &error))?.mode();
        if mode & 0o077 != 0 {
            found.push(format!("{shown} has the mode {:o}", mode & 0o777));
        }
    }
    leak(&found)
}

fn shared_files(from: &Side, to: &Side) -> Outcome {
    let theirs = files(&from.folder).map_err(|error| unproved("its files", &error))?;
    let ours = files(&to.folder).map_err(|error| unproved("the other's files", &error))?;
    let known: BTreeMap<(u64, u64), &PathBuf> =
        ours.iter().filter_map(|path| Some((identity(path)?, path))).collect();
    let mut found = Vec::new();
    for path in &theirs {
        if let Some(other) = identity(path).and_then(|identity| known.get(&identity)) {
            found.push(format!("{} is {}", path.display(), other.display()));
        }
        if let Ok(target) = std::fs::read_link(path) {
            let target = path.parent().unwrap_or(path).join(target);
            let target = target.canonicalize().unwrap_or(target);
            if target.starts_with(&to.folder) {
                found.push(format!("{} leads to {}", path.display(), target.display()));
            }
        }
    }
    leak(&found)
}

/// Everything below a folder that is none itself. Links are not followed. What goes meanwhile is not there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    // The folder itself has to be there.
    std::fs::read_dir(folder)?;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    Ok(found)
}

/// What makes a file one file, whatever its names are.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

fn secrets(from: &Side, to: &Side) -> Outcome {
    if from.secrets.is_empty() || to.secrets.is_empty() {
        return Err(Open::Unproved("nothing was made for one of them".to_owned()));
    }
    let all = |side: &Side| -> BTreeSet<String> {
        let made = side.secrets.values().chain(side.users.iter().map(|(_, password)| password));
        made.map(|secret| secret.expose().to_owned()).collect()
    };
    let ours = all(to);
    let named = from.secrets.iter().map(|(name, secret)| (name.as_str(), secret));
    let passwords = from.users.iter().map(|(email, password)| (email.as_str(), password));
    let common = named.chain(passwords).filter(|(_, secret)| ours.contains(secret.expose()));
    leak(&common.map(|(name, _)| format!("{name} is a secret of both")).collect::<Vec<_>>())
}

/// Every store of its processes lies in its own folder.
fn stores(side: &Side) -> Outcome {
    const KINDS: [&str; 3] = ["sqlite://", "sealed://", "file://"];
    /// Flags are read-only, and those of all sandboxes.
    const FLAGS: &str = "FLAGS_URL";
    let mut found = Vec::new();
    for (pid, environment) in environments(side)? {
        for (name, value) in environment.split('\0').filter_map(|entry| entry.split_once('=')) {
            let path = KINDS.iter().find_map(|kind| value.strip_prefix(kind)).filter(|_| name != FLAGS);
            if path.is_some_and(|path| !Path::new(path).starts_with(&side.folder)) {
                found.push(format!("process {pid} has {name}={value}"));
            }
        }
    }
    leak(&found)
}

/// Its processes know neither the other's folder nor its secrets nor its addresses.
fn environment(from: &Side, to: &Side) -> Outcome {
    let folder = to.folder.display().to_string();
    let mut found = Vec::new();
    for (pid, environment) in environments(from)? {
        for (name, value) in environment.split('\0').filter_map(|entry| entry.split_once('=')) {
            let port = |port: u16| value.contains(&format!("127.0.0.1:{port}"));
            if value.contains(&folder) || to.ports.clone().any(port) {
                found.push(format!("process {pid} has {name}={value}"));
            } else if let Some((secret, _)) = to.secrets.iter().find(|(_, it)| value.contains(it.expose())) {
                found.push(format!("process {pid} has the other's {secret} as {name}"));
            }
        }
    }
    leak(&found)
}

/// The environment of each process as it was started. One that has gone meanwhile is not there.
fn environments(side: &Side) -> Result<Vec<(u32, String)>, Open> {
    let read = |pid: &u32| Some((*pid, std::fs::read(format!("/proc/{pid}/environ")).ok()?));
    let found: Vec<(u32, String)> = side
        .processes
        .iter()
        .filter_map(read)
        .map(|(pid, bytes)| (pid, String::from_utf8_lossy(&bytes).into_owned()))
        .collect();
    if found.is_empty() { Err(no_processes(side)) } else { Ok(found) }
}

fn no_processes(side: &Side) -> Open {
    Open::Unproved(format!("no process of {} can be looked at", side.tenant))
}

fn open_files(from: &Side, to: &Side) -> Outcome {
    let mut found = Vec::new();
    let mut seen = false;
    for pid in &from.processes {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let entries = std::fs::read_dir(folder.join("fd"));
        seen |= entries.is_ok();
        let files = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        let targets = files.chain([folder.join("cwd")]).filter_map(|link| std::fs::read_link(link).ok());
        let theirs = targets.filter(|target| target.starts_with(&to.folder));
        found.extend(theirs.map(|target| format!("process {pid} has {} open", target.display())));
    }
    if seen { leak(&found) } else { Err(no_processes(from)) }
}

/// One TCP socket of this machine.
struct Socket {
    inode: u64,
    local: (bool, u16),
    remote: u16,
    listens: bool,
}

fn connections(from: &Side, to: &Side) -> Outcome {
    let own = sockets_of(from)?;
    let theirs = own.iter().filter(|socket| !socket.listens && to.ports.contains(&socket.remote));
    leak(&theirs.map(|socket| format!("a connection to port {}", socket.remote)).collect::<Vec<_>>())
}

fn ports(side: &Side) -> Outcome {
    let mut found = Vec::new();
    for socket in sockets_of(side)?.iter().filter(|socket| socket.listens) {
        let (loopback, port) = socket.local;
        if !loopback {
            found.push(format!("port {port} is open to other machines"));
        }
        if !side.ports.contains(&port) {
            found.push(format!("port {port} is not one of its own"));
        }
    }
    leak(&found)
}

fn sockets_of(side: &Side) -> Result<Vec<Socket>, Open> {
    let mut inodes: BTreeSet<u64> = BTreeSet::new();
    let mut seen = false;
    for pid in &side.processes {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
        seen |= entries.is_ok();
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
            inodes.extend(inode);
        }
    }
    if !seen {
        return Err(no_processes(side));
    }
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no second table.
        let text = std::fs::read_to_string(table).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(socket));
    }
    sockets.retain(|socket: &Socket| inodes.contains(&socket.inode));
    Ok(sockets)
}

/// One line of such a table.
fn socket(line: &str) -> Option<Socket> {
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let place = |field: usize| {
        let (address, port) = fields.get(field)?.rsplit_once(':')?;
        Some((address, u16::from_str_radix(port, 16).ok()?))
    };
    let ((address, port), (_, remote)) = (place(1)?, place(2)?);
    let mapped = address.strip_prefix("0000000000000000FFFF0000").unwrap_or(address);
    let loopback =
        (mapped.len() == 8 && mapped.ends_with("7F")) || address == "00000000000000000000000001000000";
    Some(Socket {
        inode: fields.get(9)?.parse().ok()?,
        local: (loopback, port),
        remote,
        listens: *fields.get(3)? == LISTENS,
    })
}

/// The processes of one user on one machine have one loopback network.
fn network(to: &Side) -> Outcome {
    const PATIENCE: Duration = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, to.ports.start));
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(_) => Err(Open::Shared(
            "every process of this machine can connect; what counts is what it can show".to_owned(),
        )),
        Err(error) => Err(unproved("its gateway", &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::{Child, Command, Stdio};

    use kernel_core::secret::Secret;

    use super::super::tests::side;
    use super::*;

    /// Two sandboxes with a folder each, and a process each that does nothing.
    struct Two {
        _folder: tempfile::TempDir,
        acme: Side,
        rival: Side,
        processes: Vec<Child>,
    }

    impl Drop for Two {
        fn drop(&mut self) {
            for process in &mut self.processes {
                drop(process.kill());
                drop(process.wait());
            }
        }
    }

    /// A process that waits for its input to end.
    fn process(two: &mut Vec<Child>, prepare: impl FnOnce(&mut Command)) -> u32 {
        let mut command = Command::new("sleep");
        command.arg("1000").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        prepare(&mut command);
        let child = command.spawn().unwrap();
        let pid = child.id();
        two.push(child);
        pid
    }

    fn two() -> Two {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Vec::new();
        let mut at = |tenant: &str, ports| {
            let path = folder.path().canonicalize().unwrap().join(tenant);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            let secret_file = path.join("secrets.env");
            std::fs::write(&secret_file, tenant).unwrap();
            std::fs::set_permissions(&secret_file, std::fs::Permissions::from_mode(0o600)).unwrap();
            let database = format!("sqlite://{}/iam.db", path.display());
            let pid = process(&mut processes, |command| {
                command.env("DATABASE_URL", database).env("FLAGS_URL", "file:///somewhere/flags.yaml");
            });
            Side {
                folder: path,
                secret_files: vec![secret_file],
                ports,
                processes: vec![pid],
                ..side(tenant)
            }
        };
        let (acme, rival) = (at("acme", 11_000..11_016), at("rival", 11_016..11_032));
        Two { _folder: folder, acme, rival, processes }
    }

    fn outcome(two: &Two, what: &str) -> Outcome {
        rows(&two.acme, &two.rival).into_iter().find(|(name, ..)| *name == what).unwrap().2
    }

    #[track_caller]
    fn assert_leak(two: &Two, what: &str, words: &str) {
        let found = outcome(two, what);
        assert!(matches!(&found, Err(Open::Leak(seen)) if seen.contains(words)), "{what}: {found:?}");
    }

    #[test]
    fn without_a_leak_everything_is_closed_but_the_network() {
        let two = two();
        for (what, _, outcome) in rows(&two.acme, &two.rival) {
            match what {
                "network" => {
                    assert!(matches!(outcome, Err(Open::Unproved(_))), "nobody listens: {outcome:?}")
                }
                _ => assert_eq!(outcome, Ok(()), "{what}"),
            }
        }
    }

    #[test]
    fn a_leak_of_files_and_secrets_is_found() {
        let mut two = two();
        let (theirs, ours) = (two.acme.folder.clone(), two.rival.folder.clone());
        std::fs::set_permissions(&two.rival.secret_files[0], std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_leak(&two, "rights", "640");
        std::fs::set_permissions(&two.rival.secret_files[0], std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_leak(&two, "rights", "755");
        std::fs::hard_link(ours.join("secrets.env"), theirs.join("same")).unwrap();
        assert_leak(&two, "shared-files", "same is ");
        std::fs::remove_file(theirs.join("same")).unwrap();
        symlink("../rival", theirs.join("way")).unwrap();
        assert_leak(&two, "shared-files", "way leads to ");
        two.acme.secrets.insert("VAULT_TOKEN".to_owned(), Secret::new("token of rival"));
        assert_leak(&two, "secrets", "VAULT_TOKEN");
        two.acme.secrets.clear();
        assert!(matches!(outcome(&two, "secrets"), Err(Open::Unproved(_))));
    }

    #[test]
    fn a_leak_of_a_process_is_found() {
        let mut two = two();
        let ours = two.rival.folder.clone();
        let store = format!("sqlite://{}/money.db", ours.display());
        let pid = process(&mut two.processes, |command| {
            command.env("DATABASE_URL", store);
        });
        two.acme.processes.push(pid);
        assert_leak(&two, "stores", "money.db");
        assert_leak(&two, "environment", "money.db");
        for (name, value, words) in [
            ("IAM_URL", "http://127.0.0.1:11017", "IAM_URL=http://127.0.0.1:11017"),
            ("ANY", "token of rival", "the other's INTERNAL_TOKEN as ANY"),
        ] {
            two.acme.processes.pop();
            let pid = process(&mut two.processes, |command| {
                command.env(name, value);
            });
            two.acme.processes.push(pid);
            assert_leak(&two, "environment", words);
        }
        let pid = process(&mut two.processes, |command| {
            command.stdin(std::fs::File::open(ours.join("secrets.env")).unwrap());
        });
        two.acme.processes.push(pid);
        assert_leak(&two, "open-files", "secrets.env");
        two.acme.processes.clear();
        for what in ["stores", "environment", "open-files", "connections", "ports"] {
            assert!(matches!(outcome(&two, what), Err(Open::Unproved(_))), "{what}");
        }
    }

    #[test]
    fn a_leak_of_the_network_is_found() {
        let mut two = two();
        // This process stands for one of acme's.
        two.acme.processes = vec![std::process::id()];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_leak(&two, "ports", "is not one of its own");
        two.rival.ports = port..port + 1;
        let _connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_leak(&two, "connections", &format!("port {port}"));
        assert!(matches!(outcome(&two, "network"), Err(Open::Shared(_))));
        let line = |address: &str| {
            socket(&format!("0: {address}:1F90 00000000:0000 0A 0:0 0:0 0 0 0 42 1")).unwrap()
        };
        assert!(line("0100007F").local.0 && !line("00000000").local.0);
    }
}
