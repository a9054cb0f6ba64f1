//! A receiver of webhooks that answers as it is told, and a verifier of its own, written from the standard's text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// A receiver.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<String>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (received, answer) =
            (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Mutex::new("204 Fine".to_owned())));
        let (to, status) = (received.clone(), answer.clone());
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                tokio::spawn(serve(io, to.clone(), status.clone()));
            }
        });
        Self { address, received, answer }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// What is answered from here on: status line and headers.
    pub(super) fn answers(&self, text: &str) {
        text.clone_into(&mut self.answer.lock().unwrap());
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(mut io: TcpStream, received: Arc<Mutex<Vec<Received>>>, answer: Arc<Mutex<String>>) {
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4096];
        let Ok(read) = io.read(&mut part).await else { return };
        if read == 0 {
            return;
        }
        text.extend_from_slice(&part[..read]);
        let Ok(whole) = std::str::from_utf8(&text) else { continue };
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let headers: BTreeMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        if body.len() < headers.get("content-length").map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        received.lock().unwrap().push(Received { headers, body: body.to_owned() });
        let status = answer.lock().unwrap().clone();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        // The sender may have gone.
        let _gone = io.write_all(reply.as_bytes()).await;
        return;
    }
}

/// Checks a request as a receiver does: the moment lies near `now` (Unix seconds), and one of the signatures is ours.
pub(super) fn is_genuine(request: &Received, secret: &str, now: i64) -> bool {
    let (Some(id), Some(timestamp), Some(signatures)) = (
        request.headers.get("webhook-id"),
        request.headers.get("webhook-timestamp"),
        request.headers.get("webhook-signature"),
    ) else {
        return false;
    };
    let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let signed = format!("{id}.{timestamp}.{}", request.body);
    (now - timestamp.parse::<i64>().unwrap()).abs() <= 300
        && signatures.split(' ').any(|signature| {
            signature.strip_prefix("v1,").is_some_and(|tag| {
                hmac::verify(&key, signed.as_bytes(), &STANDARD.decode(tag).unwrap()).is_ok()
            })
        })
}
