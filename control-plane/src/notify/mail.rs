//! Sends one message as a mail.

use crate::alerts::message::Message;
use crate::settings::{Mail, MailSecurity};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;
use std::time::Duration;

/// How long the server may take for each answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How sending ended, when not well.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// There is no mail server.
    #[error("no mail server is set: name one by `mail.host`")]
    Unset,
    /// The settings cannot be used.
    #[error("mail cannot be sent: {0}")]
    Settings(String),
    /// The server says no, for ever.
    #[error("the mail server refuses it for good (code {0})")]
    Refused(String),
    /// The server says no, or is not there.
    #[error("the mail server does not take it: {0}")]
    NotTaken(&'static str),
}

/// Sends mails.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A sender of mails by the settings.
    ///
    /// # Errors
    /// [`MailError::Settings`].
    pub fn new(settings: &Mail) -> Result<Self, MailError> {
        let wrong = |what: &str| MailError::Settings(what.to_owned());
        let from = settings.from.parse().map_err(|_| wrong("`mail.from` is no address"))?;
        let tls = match settings.security {
            MailSecurity::None => Tls::None,
            MailSecurity::Tls => Tls::Wrapper(parameters(settings)?),
            MailSecurity::StartTls => Tls::Required(parameters(settings)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some((user, password)) = &settings.login {
            builder =
                builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Sends a message to one address. The id becomes the mail's own, so that a mail that was sent twice is shown once.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, to: &str, id: &str, subject: &str, text: &str) -> Result<(), MailError> {
        let to: Mailbox = to.parse().map_err(|_| MailError::Refused("no mail address".to_owned()))?;
        let domain = self.from.email.domain();
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .message_id(Some(format!("<{id}@{domain}>")))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text.to_owned())
            .map_err(|_| MailError::Settings("the mail cannot be written".to_owned()))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => {
                Err(MailError::Refused(error.status().map(|code| code.to_string()).unwrap_or_default()))
            }
            Err(error) => Err(MailError::NotTaken(if error.is_timeout() {
                "it took too long"
            } else if error.is_tls() {
                "no protected connection, or its certificate is not trusted"
            } else if error.is_transient() {
                "not now"
            } else {
                "no connection"
            })),
        }
    }

    /// Sends a message that is not kept, such as a trial.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send_message(&self, to: &str, id: &str, message: &Message) -> Result<(), MailError> {
        self.send(to, id, &message.subject, &message.text).await
    }
}

fn parameters(settings: &Mail) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let wrong = |why: String| MailError::Settings(format!("{}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|why| wrong(why.to_string()))?;
        let authority =
            Certificate::from_pem(&pem).map_err(|_| wrong("it holds no certificate".to_owned()))?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build_rustls().map_err(|error| MailError::Settings(error.to_string()))
}
