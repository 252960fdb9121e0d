//! Emptying the outbox: what waits is made, sent side by side, and noted.
//!
//! It stands apart from jobs: it takes no lock that they take, begins when a job is done, and whatever becomes of it, the job
//! stays done. A process that ends in the middle leaves messages that wait, and whoever empties the outbox next sends them with
//! the same id.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use super::{Engine, request::JobRequest};
use crate::{
    clock,
    domain::{
        id::JobId,
        message::{Channel, Message, MessageState, Notify},
        time::Timestamp,
    },
    error::{Error, Result},
    report::summary::Notification,
    store::{jobs, lock, outbox},
    tell::{Failure, Ready, TellOptions, back_off, email, webhook},
};

/// Messages that are on their way at a time.
const SIDE_BY_SIDE: usize = 8;

/// Whom one job can tell. With the longest URLs their messages still are a small commit, which is written to where they are
/// changed.
const RECIPIENTS_MAX: usize = 50;

/// How often somebody who waits looks whether it shall stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Which messages are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Those whose time has come.
    Due,
    /// All that wait, whenever they would be tried by themselves.
    Waiting,
    /// These, and those that were given up.
    Failed,
}

impl Told {
    fn takes(self, message: &Message, now: Timestamp) -> bool {
        match self {
            Told::Due => back_off::is_due(message, now),
            Told::Waiting => message.state == MessageState::Waiting,
            Told::Failed => message.state != MessageState::Sent,
        }
    }
}

/// Whom a job is asked to tell, if it can tell them.
///
/// # Errors
/// `Usage` for an address that nobody can have, and a URL that cannot be called.
pub(super) fn notify_of(job: &JobRequest) -> Result<Notify> {
    for address in &job.notify.emails {
        email::check_address(address)
            .map_err(|why| Error::usage(format!("`{address}` cannot be told by e-mail: {why}")))?;
    }
    for url in &job.notify.webhooks {
        // Whether it may be called is a matter of settings, which may change until then.
        webhook::check_url(url, true).map_err(|why| Error::usage(format!("`{url}` cannot be called: {why}")))?;
    }
    let recipients = job.notify.recipients().len();
    if recipients > RECIPIENTS_MAX {
        return Err(Error::usage(format!("{recipients} are to be told of one job, and {RECIPIENTS_MAX} can be"))
            .hint("tell a mailing list, or one webhook that tells others; nothing was changed"));
    }
    Ok(job.notify.clone())
}

impl Engine {
    /// Whom a job tells, and how far that is.
    ///
    /// # Errors
    /// `Corrupt` when the outbox is damaged.
    pub fn notifications(&self, job: JobId) -> Result<Vec<Notification>> {
        Ok(outbox::of_job(&self.store, job)?.iter().map(Notification::of).collect())
    }

    /// All messages that were not sent, oldest job first: those that wait, and those that were given up.
    ///
    /// # Errors
    /// As `notifications`.
    pub fn outbox(&self) -> Result<Vec<Notification>> {
        let messages = outbox::all(&self.store)?;
        let unsent = messages.iter().filter(|message| message.state != MessageState::Sent);
        Ok(unsent.map(Notification::of).collect())
    }

    /// When a message is to be tried next by itself; none if none waits.
    ///
    /// # Errors
    /// As `notifications`.
    pub(crate) fn next_due(&self) -> Result<Option<Timestamp>> {
        let messages = outbox::all(&self.store)?.into_iter().filter(|message| message.state == MessageState::Waiting);
        Ok(messages.map(|message| message.due.unwrap_or(Timestamp::MIN)).min())
    }

    /// Sends messages: each at least once, and again as long as `within` lasts and its time comes. Returns those that were
    /// tried, as they are now. What is not sent waits in the store.
    ///
    /// No job waits for it. When `is_stopped` says so, it ends at once; what is on its way then is sent again later.
    ///
    /// # Errors
    /// When the outbox is damaged, or the disk fails; never because a message cannot be sent.
    pub fn tell(
        &self,
        options: &TellOptions,
        which: Told,
        within: Duration,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Vec<Notification>> {
        let began = Instant::now();
        // Two at once would send everything twice.
        let _turn = lock(&self.telling);
        let mut tried: Vec<Message> = Vec::new();
        let mut which = which;
        loop {
            let now = clock::now();
            let messages = outbox::all(&self.store)?;
            let due: Vec<Message> = messages.into_iter().filter(|message| which.takes(message, now)).collect();
            // Later rounds are for those whose time comes.
            which = Told::Due;
            for some in due.chunks(SIDE_BY_SIDE) {
                if is_stopped() || (!tried.is_empty() && began.elapsed() >= within) {
                    break;
                }
                let left = within.saturating_sub(began.elapsed());
                for message in self.tell_some(options, some, left, &is_stopped)? {
                    tried.retain(|other| (other.job, other.number) != (message.job, message.number));
                    tried.push(message);
                }
            }
            let next =
                tried.iter().filter(|message| message.state == MessageState::Waiting).filter_map(|m| m.due).min();
            let wait_ms = next.map(|due| (due.millis() - clock::now().millis()).max(1).unsigned_abs());
            let wait = match wait_ms.map(Duration::from_millis) {
                Some(wait) if began.elapsed() + wait < within => wait,
                _ => break,
            };
            let waited = Instant::now();
            while waited.elapsed() < wait && !is_stopped() {
                thread::sleep(LOOK_EVERY.min(wait));
            }
            if is_stopped() {
                break;
            }
        }
        tried.sort_by_key(|message| (message.job, message.number));
        Ok(tried.iter().map(Notification::of).collect())
    }

    /// Tries some messages side by side, and notes what became of them.
    fn tell_some(
        &self,
        options: &TellOptions,
        some: &[Message],
        within: Duration,
        is_stopped: &impl Fn() -> bool,
    ) -> Result<Vec<Message>> {
        let began = Instant::now();
        let now = clock::now();
        let (sender, answers) = channel();
        for (at, message) in some.iter().enumerate() {
            let begun = self.ready(options, message, now).and_then(|ready| send(ready, at, sender.clone()));
            if let Err(failure) = begun {
                // The receiver is here.
                let _ = sender.send((at, Err(failure)));
            }
        }
        drop(sender);
        let mut tried: Vec<Option<Message>> = some.iter().map(|_| None).collect();
        let note = |tried: &mut Vec<Option<Message>>, at: usize, result: std::result::Result<(), Failure>| {
            let failure = result.err();
            let noted =
                failure.as_ref().map(|failure| (failure.message.as_str(), failure.retry_after, failure.is_final));
            let mut message = some[at].clone();
            back_off::note(&mut message, clock::now(), noted);
            outbox::note(&self.store, [&message])?;
            tried[at] = Some(message);
            Ok::<(), Error>(())
        };
        // Each is noted when it is known, so that as few as can be are sent twice if this process ends now.
        while tried.iter().any(Option::is_none) && !is_stopped() {
            let silence = match answers.recv_timeout(LOOK_EVERY) {
                Ok((at, result)) => {
                    note(&mut tried, at, result)?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) if began.elapsed() < within => continue,
                Err(RecvTimeoutError::Timeout) => {
                    Failure::new(format_args!("there was no answer within {:.1} s", within.as_secs_f64()))
                }
                Err(RecvTimeoutError::Disconnected) => Failure::new("sending it panicked"),
            };
            for at in 0..some.len() {
                if tried[at].is_none() {
                    note(&mut tried, at, Err(silence.clone()))?;
                }
            }
        }
        Ok(tried.into_iter().flatten().collect())
    }

    /// Makes what a message says, of the job's record as it is now.
    fn ready(&self, options: &TellOptions, message: &Message, now: Timestamp) -> std::result::Result<Ready, Failure> {
        let unread = |error: Error| Failure::new(format_args!("the job's record cannot be read: {error}"));
        let job = jobs::job(&self.store, message.job).map_err(unread)?;
        let summary = self.summary(&job).map_err(unread)?;
        match message.channel {
            Channel::Webhook => Ok(Ready::Webhook(webhook::Ready {
                url: message.recipient.clone(),
                id: message.id.clone(),
                now,
                body: serde_json::to_vec(&summary).map_err(|error| Failure::new(error.to_string()))?,
                options: options.webhook.clone(),
            })),
            Channel::Email => {
                let smtp = options.smtp.as_ref().ok_or_else(|| Failure::new("no SMTP server is set"))?;
                let text = options.summary_text.unwrap_or(email::plain_text)(&summary);
                let attached = match summary.rows.rejected {
                    0 => email::Attached::Nothing,
                    _ => email::attach(message.job, |out| self.write_rejects(message.job, out)).map_err(unread)?,
                };
                let email = email::Ready::new(smtp, &message.recipient, &message.id, now, &summary, &text, attached)?;
                Ok(Ready::Email(email))
            }
        }
    }
}

/// The place of a message among those that are sent side by side, and what became of it.
type Answer = (usize, std::result::Result<(), Failure>);

/// Sends a message on a thread of its own, which nobody has to wait for: what a name server or a server that answers a byte a
/// minute makes of time limits is not ours to say.
fn send(ready: Ready, at: usize, answers: Sender<Answer>) -> std::result::Result<(), Failure> {
    let sending = thread::Builder::new().name("tell".into()).spawn(move || {
        let result = ready.send();
        let _ = answers.send((at, result));
    });
    sending.map(drop).map_err(|error| Failure::new(format_args!("no thread can be started: {error}")))
}
