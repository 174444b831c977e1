//! Archives that are written on a thread of their own while they are sent: nothing is held whole.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use futures::stream::BoxStream;

/// A tar archive on its way.
pub type Archive = BoxStream<'static, io::Result<Bytes>>;

/// How many bytes are sent at once.
const CHUNK: usize = 256 * 1024;

/// How many chunks may wait for the receiver.
const WAITING: usize = 4;

/// What `write` writes, as a stream. When it fails, the stream ends with its error, so that nobody takes a part for the
/// whole; when nobody reads any more, its writes fail.
pub fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Archive {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut out = Sender { sender: sender.clone(), buffer: BytesMut::with_capacity(CHUNK) };
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // Nobody may be there to hear it; then it was they who ended it.
            drop(sender.blocking_send(Err(error)));
        }
    });
    ReceiverStream::new(receiver).boxed()
}

struct Sender {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK)).freeze();
        self.sender.blocking_send(Ok(full)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_in_order_and_whole() {
        let sent: Vec<u8> = (0..3 * CHUNK + 7).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let copy = sent.clone();
        let chunks: Vec<Bytes> = stream(move |out| out.write_all(&copy)).try_collect().await.unwrap();
        assert_eq!(chunks.len(), 4);
        assert_eq!(chunks.concat(), sent);
    }

    #[tokio::test]
    async fn a_failure_ends_the_stream_as_one() {
        let mut stream = stream(|out| {
            out.write_all(b"a part")?;
            out.flush()?;
            Err(io::Error::other("the disk is gone"))
        });
        assert_eq!(stream.next().await.unwrap().unwrap(), "a part");
        assert_eq!(stream.next().await.unwrap().unwrap_err().to_string(), "the disk is gone");
        assert!(stream.next().await.is_none());
    }
}
