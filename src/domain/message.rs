//! What is told when a job ends: to whom, and how far each message is.

use serde::{Deserialize, Serialize};

use super::{id::JobId, time::Timestamp};

/// Whom a job tells when it ends. It says nothing of what the job does, so that it makes no other job of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// E-mail addresses; each gets a message of its own.
    #[serde(default)]
    pub emails: Vec<String>,
    /// URLs of webhooks.
    #[serde(default)]
    pub webhooks: Vec<String>,
}

impl Notify {
    /// Whether nobody is told.
    pub fn is_empty(&self) -> bool {
        self.emails.is_empty() && self.webhooks.is_empty()
    }

    /// Everybody once, in the order in which they were named.
    pub fn recipients(&self) -> Vec<(Channel, &str)> {
        let emails = self.emails.iter().map(|email| (Channel::Email, email.as_str()));
        let webhooks = self.webhooks.iter().map(|url| (Channel::Webhook, url.as_str()));
        let mut recipients = Vec::new();
        for recipient in emails.chain(webhooks) {
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
        }
        recipients
    }
}

/// The way that a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// An e-mail.
    Email,
    /// A request to a URL.
    Webhook,
}

impl Channel {
    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Email => "e-mail",
            Channel::Webhook => "webhook",
        }
    }
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It is to be sent, or sent again.
    Waiting,
    /// The other side took it.
    Sent,
    /// It was tried so often that it is given up.
    Failed,
}

impl MessageState {
    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            MessageState::Waiting => "waiting",
            MessageState::Sent => "sent",
            MessageState::Failed => "failed",
        }
    }
}

/// A message in the outbox. What it says is made of the job's record when it is sent: nothing of it is kept here, so that
/// nothing has to be taken out of it either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The job that it tells of.
    pub job: JobId,
    /// Its number among the job's messages, from 0.
    pub number: u32,
    /// By which the other side knows a message that it gets twice; the same at every attempt.
    pub id: String,
    /// The way that it takes.
    pub channel: Channel,
    /// Where to: an e-mail address or a URL.
    pub recipient: String,
    /// How far it is.
    pub state: MessageState,
    /// How often it was tried.
    pub attempts: u32,
    /// What became of the last attempt, if it failed.
    pub error: Option<String>,
    /// When it was tried first.
    pub first_tried: Option<Timestamp>,
    /// When it was tried last.
    pub last_tried: Option<Timestamp>,
    /// From when on it is to be tried again by itself; none: at once.
    pub due: Option<Timestamp>,
}

impl Message {
    /// The recipient as people may see it: what stands behind a `?` is often a password.
    pub fn shown_recipient(&self) -> &str {
        match self.channel {
            Channel::Email => &self.recipient,
            Channel::Webhook => self.recipient.split(['?', '#']).next().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_told_once() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let notify = Notify { emails: texts(&["a@x.example", "b@x.example", "a@x.example"]), webhooks: texts(&["u"]) };
        let expected = [(Channel::Email, "a@x.example"), (Channel::Email, "b@x.example"), (Channel::Webhook, "u")];
        assert_eq!(notify.recipients(), expected);
        assert!(!notify.is_empty() && Notify::default().is_empty());
    }

    #[test]
    fn jobs_of_before_there_were_messages_tell_nobody() {
        assert_eq!(serde_json::from_str::<Notify>("{}").unwrap(), Notify::default());
    }
}
