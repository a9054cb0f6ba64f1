//! Mails, against a small SMTP server of the test's own.

use super::*;
use crate::settings::{Mail, MailSecurity};
use rustls::pki_types::PrivateKeyDer;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    StartTls,
    Tls,
    /// Says that it knows no TLS, as an attacker on the way would.
    Stripped,
    /// Refuses every recipient: for good, or for now.
    Refuses(u16),
}

struct Smtp {
    port: u16,
    /// What was said within a session, line by line.
    heard: Arc<Mutex<Vec<String>>>,
    authority: tempfile::NamedTempFile,
}

impl Smtp {
    async fn start(manner: Manner) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), made.cert.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let to = heard.clone();
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), to.clone());
                tokio::spawn(async move {
                    if manner == Manner::Tls {
                        let Ok(io) = acceptor.accept(io).await else { return };
                        talk(io, manner, true, &heard).await;
                    } else if let Some(io) = talk(io, manner, false, &heard).await {
                        let Ok(io) = acceptor.accept(io).await else { return };
                        heard.lock().unwrap().push("(tls)".into());
                        talk(io, manner, true, &heard).await;
                    }
                });
            }
        });
        Self { port, heard, authority }
    }

    fn settings(&self, security: MailSecurity) -> Mail {
        Mail {
            host: "localhost".into(),
            port: self.port,
            security,
            from: "Purser <purser@example.test>".into(),
            login: Some(("user".into(), "canary-password".to_owned().into())),
            ca_file: Some(self.authority.path().to_owned()),
        }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }
}

/// Speaks SMTP; the connection, when the client wants TLS on it.
async fn talk<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    manner: Manner,
    tls: bool,
    heard: &Arc<Mutex<Vec<String>>>,
) -> Option<T> {
    let mut io = BufReader::new(io);
    if !(tls && manner == Manner::StartTls) {
        io.write_all(b"220 mail.example.test\r\n").await.ok()?;
    }
    let mut within_mail = false;
    loop {
        let mut line = String::new();
        if io.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let reply = match word.as_str() {
            "." if within_mail => {
                within_mail = false;
                "250 taken"
            }
            _ if within_mail => continue,
            "EHLO" if manner == Manner::StartTls && !tls => "250-hello\r\n250 STARTTLS",
            "EHLO" => "250-hello\r\n250 AUTH PLAIN LOGIN",
            "STARTTLS" => {
                io.write_all(b"220 go on\r\n").await.ok()?;
                return Some(io.into_inner());
            }
            "AUTH" => "235 welcome",
            "RCPT" if manner == Manner::Refuses(550) => "550 nobody of that name",
            "RCPT" if manner == Manner::Refuses(450) => "450 not now",
            "DATA" => {
                within_mail = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        io.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

async fn sends(manner: Manner, security: MailSecurity) -> (Scene, Smtp, Destination) {
    let server = Smtp::start(manner).await;
    let mail = server.settings(security);
    let scene = Scene::new(|settings| settings.mail = Some(mail)).await;
    let destination = scene.destination(Way::Mail, "ops@example.test").await;
    scene.agent("a1", "Nörd").await;
    scene.pass(20 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 1);
    assert_eq!(scene.notify.send_due().await.unwrap(), 1);
    (scene, server, destination)
}

#[tokio::test]
async fn a_mail_goes_out_by_starttls_with_its_password_inside() {
    for (manner, security) in [(Manner::StartTls, MailSecurity::StartTls), (Manner::Tls, MailSecurity::Tls)] {
        let (scene, server, destination) = sends(manner, security).await;
        assert_eq!(scene.sent(&destination).await[0].state, "delivered", "{}", server.heard());
        let heard = server.heard();
        if manner == Manner::StartTls {
            let (before, after) = heard.split_once("(tls)").unwrap();
            assert!(!before.contains("AUTH") && after.contains("AUTH"), "{heard}");
        }
        assert!(heard.contains("RCPT TO:<ops@example.test>"), "{heard}");
        assert!(heard.contains("From: ") && heard.contains("<purser@example.test>"), "{heard}");
        assert!(heard.contains("has not been heard from for 20 minutes"), "{heard}");
        let id = &scene.sent(&destination).await[0].id;
        assert!(heard.contains(&format!("<{id}@example.test>")), "{heard}");
    }
}

#[tokio::test]
async fn plain_mail_goes_to_loopback() {
    let (scene, server, destination) = sends(Manner::Plain, MailSecurity::None).await;
    assert_eq!(scene.sent(&destination).await[0].state, "delivered", "{}", server.heard());
}

#[tokio::test]
async fn without_tls_no_password_is_said_and_the_mail_waits() {
    let (scene, server, destination) = sends(Manner::Stripped, MailSecurity::StartTls).await;
    let sent = scene.sent(&destination).await;
    assert_eq!((sent[0].state.as_str(), sent[0].attempts), ("waiting", 1));
    let heard = server.heard();
    assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    assert!(!format!("{sent:?}").contains("canary"));
}

#[tokio::test]
async fn a_server_with_a_foreign_certificate_gets_nothing() {
    let server = Smtp::start(Manner::Tls).await;
    let mail = Mail { ca_file: None, ..server.settings(MailSecurity::Tls) };
    let scene = Scene::new(|settings| settings.mail = Some(mail)).await;
    let destination = scene.destination(Way::Mail, "ops@example.test").await;
    scene.notify.send_trial(destination.clone()).await.unwrap();
    scene.notify.send_due().await.unwrap();
    assert_eq!(scene.sent(&destination).await[0].state, "waiting");
    assert_eq!(server.heard(), "");
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again_and_what_is_refused_for_now_is() {
    let (scene, _server, destination) = sends(Manner::Refuses(550), MailSecurity::None).await;
    let sent = scene.sent(&destination).await;
    assert_eq!(sent[0].state, "given-up");
    assert!(sent[0].last_error.as_ref().unwrap().contains("550"), "{sent:?}");
    let (scene, _server, destination) = sends(Manner::Refuses(450), MailSecurity::None).await;
    assert_eq!(scene.sent(&destination).await[0].state, "waiting");
    scene.pass(10_000);
    assert_eq!(scene.notify.send_due().await.unwrap(), 1);
}

#[tokio::test]
async fn without_a_mail_server_a_mail_waits_and_says_why() {
    let scene = Scene::new(|_| {}).await;
    let destination = scene.destination(Way::Mail, "ops@example.test").await;
    scene.notify.send_trial(destination.clone()).await.unwrap();
    scene.notify.send_due().await.unwrap();
    let sent = scene.sent(&destination).await;
    assert!(sent[0].last_error.as_ref().unwrap().contains("`mail.host`"), "{sent:?}");
}
