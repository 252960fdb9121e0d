//! Telling that a job has ended: e-mails by SMTP and signed webhooks.
//!
//! What is told lies in the store's outbox (`store::outbox`); `engine::tell` takes it from there and notes what became of it.
//! Here is how a message is made and sent. The rules are pure and stand alone: which addresses a webhook may reach
//! (`address`), how a message is signed (`signature`), when it is tried again (`back_off`). Nothing here reads the environment:
//! settings and secrets come in [`TellOptions`].

use std::{fmt, time::Duration};

use crate::report::summary::Summary;

pub mod address;
pub mod back_off;
pub mod email;
pub mod signature;
pub mod webhook;

/// How messages are sent.
#[derive(Clone, Debug, Default)]
pub struct TellOptions {
    /// The server that takes e-mails; none: they wait.
    pub smtp: Option<SmtpOptions>,
    /// How webhooks are called.
    pub webhook: WebhookOptions,
    /// The summary as an e-mail says it; none: its JSON, a field a line.
    pub summary_text: Option<fn(&Summary) -> String>,
}

/// A server that takes e-mails.
#[derive(Clone, Debug)]
pub struct SmtpOptions {
    /// Its name; its certificate must be for it.
    pub host: String,
    /// Its port; none: 587, 465 or 25, as `security` has it.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub security: Security,
    /// The sender: `tidemill@shop.example` or `Tidemill <tidemill@shop.example>`.
    pub from: String,
    /// The user, if the server asks for one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// How long the server may be silent.
    pub timeout: Duration,
    /// Whether a server elsewhere may be spoken to without TLS, password included.
    pub allow_insecure: bool,
}

/// How a connection to an SMTP server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// By TLS, which must be agreed upon before anything else is said.
    #[default]
    StartTls,
    /// By TLS from the first byte.
    Tls,
    /// Not at all: for a server on this host.
    None,
}

impl Security {
    /// The port that such servers listen on.
    pub fn port(self) -> u16 {
        match self {
            Security::StartTls => 587,
            Security::Tls => 465,
            Security::None => 25,
        }
    }
}

/// How webhooks are called.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// What signs them; none: they wait.
    pub secret: Option<Secret>,
    /// Whether they may reach this host and its private networks, and be called without TLS.
    pub allow_private: bool,
    /// How long a call may take.
    pub timeout: Duration,
}

impl Default for WebhookOptions {
    fn default() -> WebhookOptions {
        WebhookOptions { secret: None, allow_private: false, timeout: Duration::from_secs(10) }
    }
}

/// A secret, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words, for whoever can change something about it.
    pub message: String,
    /// When the other side wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Whether it will never take the message.
    pub is_final: bool,
}

/// Characters of a failure's message: what the other side says may be anything.
const MESSAGE_CHARS_MAX: usize = 300;

impl Failure {
    /// One that may pass. Signs that a terminal would obey are left out.
    pub fn new(message: impl fmt::Display) -> Failure {
        let message = message.to_string();
        let plain = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        Failure { message: plain.take(MESSAGE_CHARS_MAX).collect(), retry_after: None, is_final: false }
    }

    /// The same with what caused it.
    fn of_error(what: &str, error: &dyn std::error::Error) -> Failure {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text += &format!(": {inner_text}");
            }
            cause = inner.source();
        }
        Failure::new(text)
    }
}

/// A message that is ready to be sent, on any thread.
pub enum Ready {
    /// An e-mail.
    Email(email::Ready),
    /// A webhook.
    Webhook(webhook::Ready),
}

impl Ready {
    /// Sends it. Blocks as long as the timeouts let it.
    ///
    /// # Errors
    /// When the other side cannot be reached or does not take it. It may have it all the same, where only the answer was lost.
    pub fn send(self) -> Result<(), Failure> {
        match self {
            Ready::Email(email) => email.send(),
            Ready::Webhook(webhook) => webhook.send(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_failures_are_one_short_line() {
        let options = WebhookOptions { secret: Some(Secret::new("whsec_abc")), ..WebhookOptions::default() };
        assert!(!format!("{options:?}").contains("abc"));
        let failure = Failure::new(format!("550 no\r\n\u{1b}[31m{}", "x".repeat(1000)));
        assert!(failure.message.starts_with("550 no   [31mxx") && failure.message.chars().count() == MESSAGE_CHARS_MAX);
    }
}
