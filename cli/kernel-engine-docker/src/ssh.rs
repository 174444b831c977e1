//! An Engine on another machine, by `ssh`: the system's own program leads a socket in a folder of ours to the Engine's socket
//! there. So what `~/.ssh/config` says counts, with agents, jump hosts and known hosts, and one login serves all connections
//! at once, however many.
//!
//! What keeps the way open is a `cat` at the other end, whose input is ours: it ends when this process does, however it ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::codes;

/// Where an Engine listens on its machine when nothing says where.
const USUAL: &str = "/var/run/docker.sock";

/// How long it may take to get there and to log in.
const LOGIN: Duration = Duration::from_secs(30);

/// Pause before the way is opened again that was cut.
const AGAIN: Duration = Duration::from_secs(1);

/// The line that is sent there and comes back when the way is open.
const ECHO: &str = "kernel";

/// Where an Engine is that is reached by ssh. Nothing of it can be taken for an option of ssh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    socket: String,
}

impl Destination {
    /// Understands `ssh://[user@]host[:port][/path/to/the/socket]`. The error is a few words.
    pub(crate) fn parse(address: &str) -> Result<Self, &'static str> {
        let rest = address.strip_prefix("ssh://").ok_or("it does not begin with `ssh://`")?;
        if rest.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '%' | '\\')) {
            return Err("it has characters that it can't have");
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err("a password has no place in it"),
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or("its port is no number")?)),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(|port| port.parse().map_err(|_| "its port is no number")).transpose()?;
        if [Some(host), user.as_deref()]
            .into_iter()
            .flatten()
            .any(|name| name.is_empty() || name.starts_with('-'))
        {
            return Err("a host and a user are not empty and don't begin with `-`");
        }
        // Between ssh and its other end, colons separate the two sockets.
        if path.contains(':') {
            return Err("the path of its socket has a colon");
        }
        let socket = if path.len() > 1 { path } else { USUAL };
        Ok(Self { user, host: host.to_owned(), port, socket: socket.to_owned() })
    }

    fn arguments(&self, local: &Path) -> Vec<String> {
        let mut forward = local.display().to_string();
        forward.extend([":", &self.socket]);
        let options = [
            // There is nobody to ask: the terminal is for what `kernel` tells.
            "BatchMode=yes",
            // Other ways that its settings say for this host may be open already: that is no failure of ours.
            "ExitOnForwardFailure=no",
            "RemoteCommand=none",
            // A connection that others share would keep our socket when we are gone.
            "ControlPath=none",
            "StreamLocalBindUnlink=yes",
            "ServerAliveInterval=10",
        ];
        let mut arguments = vec!["-T".to_owned()];
        arguments.extend(options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
        arguments.extend(["-L".to_owned(), forward]);
        arguments.extend(self.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]));
        arguments.extend(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        arguments.extend(["--".to_owned(), self.host.clone(), "cat".to_owned()]);
        arguments
    }

    /// How people get there by hand.
    fn by_hand(&self) -> String {
        let user = self.user.iter().map(|user| format!("{user}@"));
        let port = self.port.iter().map(|port| format!("-p {port} "));
        format!("ssh {}{}{}", port.collect::<String>(), user.collect::<String>(), self.host)
    }
}

/// An open way to an Engine. It is opened again when it is cut, and closed when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Tunnel {
    folder: tempfile::TempDir,
    keeper: JoinHandle<()>,
}

/// Those that are open.
static OPEN: Mutex<BTreeMap<Destination, Weak<Tunnel>>> = Mutex::const_new(BTreeMap::new());

impl Tunnel {
    /// The way to a destination: the one that is open already, or a new one.
    ///
    /// # Errors
    /// When ssh is not there, does not get there, or is not let in.
    pub(crate) async fn to(destination: &Destination) -> Result<Arc<Self>, EngineError> {
        let mut open = OPEN.lock().await;
        if let Some(tunnel) = open.get(destination).and_then(Weak::upgrade)
            && !tunnel.keeper.is_finished()
        {
            return Ok(tunnel);
        }
        let tunnel = Arc::new(Self::open(destination).await?);
        open.insert(destination.clone(), Arc::downgrade(&tunnel));
        Ok(tunnel)
    }

    async fn open(destination: &Destination) -> Result<Self, EngineError> {
        let folder = tempfile::Builder::new().prefix("kernel-ssh-").tempdir().map_err(|error| {
            let message = "making a folder for the socket that leads to the Engine failed";
            EngineError::new(codes::UNREACHABLE, ExitCode::Prerequisite, message)
                .because(error)
                .help("see whether there is room in the folder for temporary files (TMPDIR)")
        })?;
        let first = Login::new(destination, folder.path()).await?;
        let keeper = tokio::spawn(keep(destination.clone(), folder.path().to_owned(), first));
        Ok(Self { folder, keeper })
    }

    /// The socket at this end.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("engine.sock")
}

async fn keep(destination: Destination, folder: PathBuf, mut login: Login) {
    loop {
        drop(login.child.wait().await);
        login = loop {
            tokio::time::sleep(AGAIN).await;
            // Whoever needs it asks for its Engine and says that it is gone.
            if let Ok(login) = Login::new(&destination, &folder).await {
                break login;
            }
        };
    }
}

/// One run of ssh, ended when it is dropped.
struct Login {
    child: Child,
    /// While it is open, so is the way.
    _input: ChildStdin,
}

impl Login {
    async fn new(destination: &Destination, folder: &Path) -> Result<Self, EngineError> {
        let said = folder.join("said");
        let begun = tokio::time::timeout(LOGIN, Self::begin(destination, folder, &said)).await;
        let why = match begun {
            Ok(Ok(login)) => return Ok(login),
            Ok(Err(why)) => why,
            Err(_) => format!("it is not there after {} s", LOGIN.as_secs()),
        };
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        let message = format!("ssh does not get to the machine of the Docker Engine: {why}");
        let by_hand = destination.by_hand();
        Err(EngineError::new(codes::UNREACHABLE, ExitCode::Prerequisite, message)
            .evidence(said.lines().map(str::to_owned).collect())
            .help(format!(
                "try `{by_hand}` by hand: it has to get in without a question, so add the key to an agent (`ssh-add`) \
                 and answer once whether the host is known"
            )))
    }

    /// Returns when the way is open. The error is a few words.
    async fn begin(destination: &Destination, folder: &Path, said: &Path) -> Result<Self, String> {
        let said = File::create(said).map_err(|error| error.to_string())?;
        let mut child = Command::new("ssh")
            .args(destination.arguments(&socket(folder)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            // Ctrl-C asks this process to end well, for which it still needs the Engine.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("starting `ssh` failed: {error}"))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("it has no input and output".to_owned());
        };
        // When it ended already, reading tells.
        drop(input.write_all(format!("{ECHO}\n").as_bytes()).await);
        let mut lines = BufReader::new(output).lines();
        // A shell there may greet first.
        while let Ok(Some(line)) = lines.next_line().await {
            if line.trim_end() == ECHO {
                let is_there = socket(folder).exists();
                return is_there
                    .then_some(Self { child, _input: input })
                    .ok_or_else(|| "it did not make the socket at this end".to_owned());
            }
        }
        let status = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        Err(format!("it ended ({status})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let parse = |address| Destination::parse(address).unwrap();
        let arguments = |address| parse(address).arguments(Path::new("/here")).join(" ");
        assert!(arguments("ssh://far").ends_with("-L /here:/var/run/docker.sock -- far cat"));
        assert!(
            arguments("ssh://me@far:2222/run/user/1000/docker.sock")
                .ends_with("-L /here:/run/user/1000/docker.sock -l me -p 2222 -- far cat")
        );
        assert!(arguments("ssh://[::1]:22/").ends_with("-L /here:/var/run/docker.sock -p 22 -- ::1 cat"));
        assert_eq!(parse("ssh://me@far:2222").by_hand(), "ssh -p 2222 me@far");
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_refused() {
        for address in [
            "ssh://",
            "ssh://@far",
            "ssh://-oProxyCommand=true",
            "ssh://-lroot@far",
            "ssh://me:secret@far",
            "ssh://far:port",
            "ssh://[::1]x",
            "ssh://far/with:colon",
            "ssh://far/with space",
            "ssh://far?query",
            "far",
        ] {
            assert!(Destination::parse(address).is_err(), "{address}");
        }
    }
}
