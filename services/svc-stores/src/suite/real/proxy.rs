//! A proxy in this process before a real part, which can cut every connection, refuse new ones, and fall silent.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Passes everything on.
    Open,
    /// Keeps connections and passes nothing on, as a part that hangs or a network that drops packets.
    Paused,
    /// Ends every connection, also new ones, as a part that is down.
    Cut,
}

/// Lives until it is dropped.
pub(super) struct Proxy {
    address: String,
    mood: Arc<watch::Sender<Mood>>,
    /// Counts, so that a connection notices a cut that is healed before it looks.
    cuts: Arc<watch::Sender<u32>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl Proxy {
    /// A proxy before `host:port`.
    pub(super) async fn before(part: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mood = Arc::new(watch::Sender::new(Mood::Open));
        let cuts = Arc::new(watch::Sender::new(0));
        let (part, moods, ends) = (part.to_owned(), mood.clone(), cuts.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut ended = ends.subscribe();
                let (part, moods) = (part.clone(), moods.clone());
                tokio::spawn(async move {
                    if *moods.borrow() == Mood::Cut {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(&part).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = pass(from_client, to_server, moods.subscribe()) => {}
                        () = pass(from_server, to_client, moods.subscribe()) => {}
                        _ = ended.changed() => {}
                    }
                });
            }
        });
        Self { address, mood, cuts, task }
    }

    /// Its own `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn cut(&self) {
        self.mood.send_replace(Mood::Cut);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(super) fn pause(&self) {
        self.mood.send_replace(Mood::Paused);
    }

    pub(super) fn heal(&self) {
        self.mood.send_replace(Mood::Open);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mood: watch::Receiver<Mood>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(read) if read > 0 => read,
            _ => return,
        };
        if mood.wait_for(|mood| *mood == Mood::Open).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
