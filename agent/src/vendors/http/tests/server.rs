//! A small scripted server: reads one request per connection, notes it, and does what the script says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What happens after a request was read.
pub(in crate::vendors::http) enum Act {
    /// Answers and closes.
    Reply(Vec<u8>),
    /// Writes these bytes, then resets the connection.
    Reset(Vec<u8>),
    /// Never answers.
    Silence,
}

/// Answers with a status, headers and a body.
pub(in crate::vendors::http) fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Act {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    Act::Reply(bytes)
}

type Script = dyn Fn(&str, usize) -> Act + Send + Sync;

/// The server.
pub(in crate::vendors::http) struct TestServer {
    pub(in crate::vendors::http) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// Starts it; the script sees the request and how many came before it.
    pub(in crate::vendors::http) async fn start(
        script: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::serve(script, None).await
    }

    /// The same over TLS.
    pub(in crate::vendors::http) async fn start_tls(
        config: rustls::ServerConfig,
        script: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::serve(script, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(
        script: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, script): (_, Arc<Script>) = (Arc::clone(&requests), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(one(stream, tls.clone(), Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    /// `http://127.0.0.1:port`.
    pub(in crate::vendors::http) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far, head and body.
    pub(in crate::vendors::http) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn one(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    match tls {
        None => {
            let mut stream = stream;
            if talk(&mut stream, &script, &seen).await {
                stream.set_zero_linger().unwrap();
            }
        }
        Some(tls) => {
            if let Ok(mut stream) = tls.accept(stream).await {
                talk(&mut stream, &script, &seen).await;
            }
        }
    }
}

/// Serves one request; the answer is whether the connection is to be reset.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    script: &Arc<Script>,
    seen: &Arc<Mutex<Vec<String>>>,
) -> bool {
    let Some(request) = read(stream).await else { return false };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    match script(&request, before) {
        Act::Reply(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Act::Reset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            true
        }
        Act::Silence => std::future::pending().await,
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length:")
                    .and_then(|value| value.trim().parse().ok())
            });
            if bytes.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Some(text);
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
