//! Stands between a client and the Engine: writes down each request, and cuts the wire at one of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// When the wire is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Never.
    Never,
    /// Before the so-manieth changing request reaches the Engine, counted from 1; from then on nothing gets through.
    Before(usize),
    /// After the Engine has answered it; the client never hears.
    After(usize),
}

#[derive(Debug)]
struct State {
    cut: Cut,
    /// Request lines.
    seen: Vec<String>,
    changes: usize,
    dead: bool,
}

/// One proxy, until it is dropped.
pub struct Proxy {
    _folder: tempfile::TempDir,
    pub host: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub fn start(target: &str, cut: Cut) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let target = PathBuf::from(target.strip_prefix("unix://").unwrap());
        let state = Arc::new(Mutex::new(State { cut, seen: Vec::new(), changes: 0, dead: false }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, target.clone(), Arc::clone(&shared)));
            }
        });
        Self { host: format!("unix://{}", path.display()), _folder: folder, state, task }
    }

    /// The requests that change something. Running a health check in a container is one.
    pub fn changes(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.iter().filter(|line| is_change(line)).cloned().collect()
    }

    /// Every request.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Mends the wire: from now on everything gets through.
    pub fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        (state.dead, state.cut) = (false, Cut::Never);
    }

    /// Whether the wire was cut.
    pub fn was_cut(&self) -> bool {
        self.state.lock().unwrap().dead
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_change(line: &str) -> bool {
    ["POST ", "PUT ", "DELETE ", "PATCH "].iter().any(|method| line.starts_with(method))
}

/// The first line, when this is where a request begins. A client writes nothing before it has its answer, so a request
/// is always at the beginning of what is read.
fn request_line(bytes: &[u8]) -> Option<String> {
    let methods = ["GET /", "POST /", "PUT /", "DELETE /", "HEAD /"];
    let begins = methods.iter().any(|method| bytes.starts_with(method.as_bytes()));
    let end = bytes.iter().position(|byte| *byte == b'\r').filter(|_| begins)?;
    Some(String::from_utf8_lossy(&bytes[..end]).trim_end_matches(" HTTP/1.1").to_owned())
}

async fn serve(client: UnixStream, target: PathBuf, state: Arc<Mutex<State>>) {
    if state.lock().unwrap().dead {
        return;
    }
    let Ok(engine) = UnixStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let deaf = Arc::new(Mutex::new(false));
    let hears = Arc::clone(&deaf);
    let shared = Arc::clone(&state);
    let back = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from_engine.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            if *hears.lock().unwrap() {
                // It has answered: now everything is cut.
                shared.lock().unwrap().dead = true;
                break;
            }
            if shared.lock().unwrap().dead || to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from_client.read(&mut buffer).await {
        if count == 0 {
            drop(to_engine.shutdown().await);
            break;
        }
        let cut_now = {
            let mut state = state.lock().unwrap();
            if let Some(line) = request_line(&buffer[..count]) {
                if is_change(&line) {
                    state.changes += 1;
                    match state.cut {
                        Cut::Before(at) if state.changes == at => state.dead = true,
                        Cut::After(at) if state.changes == at => *deaf.lock().unwrap() = true,
                        _ => {}
                    }
                }
                state.seen.push(line);
            }
            state.dead
        };
        if cut_now || to_engine.write_all(&buffer[..count]).await.is_err() {
            back.abort();
            return;
        }
    }
    drop(back.await);
}
