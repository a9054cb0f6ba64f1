//! Connections that cost next to nothing: HTTP/1.1 by hand over one socket, no buffer while an answer is waited for. What
//! is measured is the other side, on the same machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use purser_control::testing::TestAgent;
use purser_proto::link::assertion::HEADER;
use purser_proto::link::enrollment::{EnrollAnswer, EnrollRequest};
use purser_proto::link::sync::{SyncAnswer, SyncRequest};
use purser_proto::link::{ENROLL, SYNC, VERSION};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

/// Connections from one address: there are about 28,000 ports for them, and closed ones keep theirs for a minute.
const PER_SOURCE: usize = 10_000;
/// What is read at once.
const READ: usize = 2048;

/// One connection, made when it is first needed and kept.
pub(super) struct Wire {
    to: SocketAddr,
    from: IpAddr,
    stream: Option<TcpStream>,
}

/// An answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// Its body.
    pub(super) body: Vec<u8>,
}

impl Wire {
    /// The connection of the client with this number; numbers choose the address that it comes from.
    pub(super) fn to(to: SocketAddr, number: usize) -> Self {
        let source = u8::try_from(number / PER_SOURCE % 200).unwrap_or_default();
        Self { to, from: Ipv4Addr::new(127, 0, 1 + source, 1).into(), stream: None }
    }

    /// `POST` with a body; `headers` are whole lines.
    pub(super) async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: control\r\ncontent-type: application/json\r\n{headers}\
             content-length: {length}\r\n\r\n"
        );
        let mut request = Vec::with_capacity(head.len() + length);
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body);
        self.exchange(request).await
    }

    /// `GET`.
    pub(super) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: control\r\n\r\n").into_bytes()).await
    }

    async fn exchange(&mut self, request: Vec<u8>) -> Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(&request).await?;
        drop(request);
        let answer = read(&stream).await?;
        self.stream = Some(stream);
        Ok(answer)
    }

    async fn connect(&self) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from, 0)).context("no port is left for another connection")?;
        let stream = socket.connect(self.to).await.context("the control plane takes no connection")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Reads one answer. The buffer is made once there is something to read.
async fn read(stream: &TcpStream) -> Result<Answer> {
    stream.readable().await?;
    let mut got = Vec::with_capacity(READ);
    loop {
        if let Some((status, start, length)) = head(&got)? {
            got.reserve((start + length).saturating_sub(got.len()));
            if got.len() >= start + length {
                got.truncate(start + length);
                return Ok(Answer { status, body: got.split_off(start) });
            }
        }
        stream.readable().await?;
        match stream.try_read_buf(&mut got) {
            Ok(0) => bail!("the connection has ended after {} bytes of an answer", got.len()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Status, start and length of the body, once the head is whole.
fn head(got: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&got[..end])?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.context("an answer without a status")?;
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.map(|(_, length)| length.trim().parse()).next();
    match length {
        Some(length) => Ok(Some((status, end + 4, length?))),
        None if status == 204 => Ok(Some((status, end + 4, 0))),
        None => bail!("an answer without a length"),
    }
}

/// An agent that signs as a real one does, over a lean connection.
pub(super) struct Lean {
    /// Keys and identity.
    pub(super) agent: TestAgent,
    wire: Wire,
}

impl Lean {
    /// Agents with new keys, not enrolled.
    pub(super) fn many(to: SocketAddr, numbers: std::ops::Range<usize>) -> Vec<Self> {
        let base = format!("http://{to}");
        let shared = TestAgent::new(&base).client().clone();
        let one = |number| Self {
            agent: TestAgent::with_client(&base, shared.clone()),
            wire: Wire::to(to, number),
        };
        numbers.map(one).collect()
    }

    /// Enrolls with a code.
    pub(super) async fn enroll(&mut self, code: &str) -> Result<()> {
        let keys = self.agent.keys();
        let fingerprint = keys.fingerprint();
        let ask = EnrollRequest {
            version: VERSION,
            code: code.into(),
            keys,
            host: "host.example.test".into(),
            agent_version: "0.1.0".into(),
            platform: "linux-x86_64".into(),
        };
        let body = serde_json::to_vec(&ask)?;
        let signed = self.agent.assert(&fingerprint, ENROLL, &body);
        let answer = self.wire.post(ENROLL, &format!("{HEADER}: {signed}\r\n"), &body).await?;
        ensure!(answer.status == 200, "not enrolled: {}", String::from_utf8_lossy(&answer.body));
        let enrolled: EnrollAnswer = serde_json::from_slice(&answer.body)?;
        self.agent.id = enrolled.agent.to_string();
        Ok(())
    }

    /// One sync.
    pub(super) async fn sync(&mut self, said: &SyncRequest) -> Result<SyncAnswer> {
        let body = serde_json::to_vec(said)?;
        let signed = self.agent.assert(&self.agent.id, SYNC, &body);
        let answer = self.wire.post(SYNC, &format!("{HEADER}: {signed}\r\n"), &body).await?;
        ensure!(answer.status == 200, "a sync was refused: {}", String::from_utf8_lossy(&answer.body));
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_announced_length_is_there() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        assert_eq!(head(text).unwrap(), Some((200, text.len() - 5, 5)));
        assert_eq!(head(&text[..30]).unwrap(), None);
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some((204, 27, 0)));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
