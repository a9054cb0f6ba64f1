//! A place that nothing of an agent may ever reach. It accepts everybody, answers as if all were well, and keeps every
//! byte that comes.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Answers that fit a proxy, a token endpoint and an API alike.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// What came, connection by connection.
type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

/// A listener. It closes when this goes.
pub(super) struct Foreign {
    address: std::net::SocketAddr,
    kept: Kept,
    accepting: JoinHandle<()>,
}

impl Foreign {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Kept::default();
        let keep = Arc::clone(&kept);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                tokio::spawn(record(stream, Arc::clone(&keep), number));
            }
        });
        Self { address, kept, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What every connection has brought so far.
    pub(super) fn kept(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn record(mut stream: TcpStream, kept: Kept, number: usize) {
    let mut block = [0; 4096];
    let mut answered = false;
    while let Ok(count) = stream.read(&mut block).await {
        if count == 0 {
            return;
        }
        kept.lock().unwrap_or_else(PoisonError::into_inner)[number].extend_from_slice(&block[..count]);
        if !std::mem::replace(&mut answered, true) {
            drop(stream.write_all(ANSWER).await);
        }
    }
}

/// The listener can fail: what is sent to it is kept.
#[tokio::test]
async fn a_listener_keeps_every_byte() {
    let foreign = Foreign::open().await;
    let mut stream = TcpStream::connect(foreign.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nAuthorization: canary\r\n\r\n").await.unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(foreign.kept()[0].windows(6).any(|bytes| bytes == b"canary"));
}
