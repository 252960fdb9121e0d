//! The outbox: who is to be told that a job has ended, and who was. The messages of a job are put into the commit that ends
//! it, so that none exists before and none is lost; later commits only say how far each is.

use super::{
    Store,
    jobs::{open_json, sealed_json},
    key::LogKey,
    log::Commit,
    value::Kind,
    view::Readable,
};
use crate::{
    domain::{
        id::JobId,
        job::JobStart,
        message::{Message, MessageState, Notify},
    },
    error::{Error, Result},
};

/// Where a job's parameters say whom it tells.
pub const NOTIFY: &str = "notify";

/// Adds the messages of a job that ends to the commit that ends it.
///
/// # Errors
/// `Corrupt` when the job's parameters cannot be read.
pub fn put_messages(commit: &mut Commit, store: &Store, job: JobId, start: &JobStart) -> Result<()> {
    let Some(notify) = start.parameters.get(NOTIFY) else { return Ok(()) };
    let notify: Notify = serde_json::from_value(notify.clone())
        .map_err(|error| Error::corrupt(format!("whom job {job} tells cannot be read: {error}")))?;
    for (number, (channel, recipient)) in (0..).zip(notify.recipients()) {
        let message = Message {
            job,
            number,
            id: message_id(store.settings().seed, job, start, number),
            channel,
            recipient: recipient.to_owned(),
            state: MessageState::Waiting,
            attempts: 0,
            error: None,
            first_tried: None,
            last_tried: None,
            due: None,
        };
        put(commit, &message)?;
    }
    Ok(())
}

/// An id that no other message has, of this store or of another. The store's seed goes in, and does not come out.
fn message_id(seed: u64, job: JobId, start: &JobStart, number: u32) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("tidemill 2026-11 id of a message");
    hasher.update(&seed.to_be_bytes());
    hasher.update(&job.0.to_be_bytes());
    // Two stores that were restored from one backup have the same seed, and go on with the same number.
    hasher.update(&start.now.millis().to_be_bytes());
    hasher.update(start.fingerprint.as_bytes());
    hasher.update(&number.to_be_bytes());
    format!("msg_{}", &hasher.finalize().to_hex()[..32])
}

fn put(commit: &mut Commit, message: &Message) -> Result<()> {
    commit.put(LogKey::Message(message.job, message.number), &sealed_json(Kind::Message, message)?);
    Ok(())
}

/// Notes how far messages are.
///
/// # Errors
/// Those of a commit.
pub fn note<'a>(store: &Store, messages: impl IntoIterator<Item = &'a Message>) -> Result<()> {
    let mut commit = Commit::default();
    for message in messages {
        put(&mut commit, message)?;
    }
    store.log().commit(&commit)
}

/// The messages of one job, in the order of their numbers.
///
/// # Errors
/// `Corrupt` when one is damaged.
pub fn of_job(store: &Store, job: JobId) -> Result<Vec<Message>> {
    between(store, LogKey::Message(job, 0), LogKey::Message(job, u32::MAX))
}

/// All messages ever, oldest job first. A job that tells nobody has none, so this costs a row for each that was told.
///
/// # Errors
/// As `of_job`.
pub fn all(store: &impl Readable) -> Result<Vec<Message>> {
    between(store, LogKey::Message(JobId(0), 0), LogKey::Message(JobId(u32::MAX), u32::MAX))
}

fn between(store: &impl Readable, from: LogKey, to: LogKey) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    store.log().scan(from, to, |key, stored| {
        let LogKey::Message(job, number) = key else { return Ok(false) };
        messages.push(open_json(Kind::Message, stored, &format!("message {number} of job {job}"))?);
        Ok(true)
    })?;
    Ok(messages)
}
