//! When a message is tried again, and when it is given up. Pure: the present moment and what the message remembers go in.

use std::time::Duration;

use crate::domain::{
    message::{Message, MessageState},
    time::Timestamp,
};

/// Seconds after the first attempt, the second, and so on: soon, in case it was nothing, then ever later. All together they
/// are about three days, so that a server which is down over a weekend gets the message on Monday.
const DELAYS_S: [u64; 11] = [1, 5, 300, 1_800, 7_200, 18_000, 36_000, 43_200, 43_200, 43_200, 64_800];

/// What the other side may ask for at most.
const RETRY_AFTER_S_MAX: u64 = 86_400;

/// Attempts until a message is given up, unless they came faster than these delays have them.
pub const ATTEMPTS_MAX: u32 = DELAYS_S.len() as u32 + 1;

/// Notes an attempt at a message: `failure` has what went wrong, when the other side wants to be asked again, and whether it
/// never wants to be.
pub fn note(message: &mut Message, now: Timestamp, failure: Option<(&str, Option<Duration>, bool)>) {
    message.attempts = message.attempts.saturating_add(1);
    message.last_tried = Some(now);
    let first = *message.first_tried.get_or_insert(now);
    let Some((what, retry_after, is_final)) = failure else {
        message.state = MessageState::Sent;
        (message.error, message.due) = (None, None);
        return;
    };
    message.error = Some(what.to_owned());
    let all_s: u64 = DELAYS_S.iter().sum();
    let is_old = later(first, all_s) <= now;
    if is_final || (message.attempts >= ATTEMPTS_MAX && is_old) {
        message.state = MessageState::Failed;
        message.due = None;
        return;
    }
    message.state = MessageState::Waiting;
    let at = usize::try_from(message.attempts).unwrap_or(usize::MAX).clamp(1, DELAYS_S.len()) - 1;
    let asked_s = retry_after.map_or(0, |wish| wish.as_secs().min(RETRY_AFTER_S_MAX));
    message.due = Some(later(now, DELAYS_S[at].max(asked_s)));
}

/// Whether a message is to be tried by itself.
pub fn is_due(message: &Message, now: Timestamp) -> bool {
    message.state == MessageState::Waiting && message.due.is_none_or(|due| due <= now)
}

fn later(moment: Timestamp, seconds: u64) -> Timestamp {
    let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.millis().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{id::JobId, message::Channel};

    fn message() -> Message {
        Message {
            job: JobId(1),
            number: 0,
            id: "msg_1".to_owned(),
            channel: Channel::Webhook,
            recipient: "https://shop.example/hook".to_owned(),
            state: MessageState::Waiting,
            attempts: 0,
            error: None,
            first_tried: None,
            last_tried: None,
            due: None,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        later(Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap(), seconds)
    }

    #[test]
    fn a_message_is_tried_ever_later_and_given_up_after_three_days() {
        let mut message = message();
        let (mut now_s, mut attempts) = (0, 0);
        assert!(is_due(&message, at(0)));
        while message.state == MessageState::Waiting {
            note(&mut message, at(now_s), Some(("it answered 500", None, false)));
            attempts += 1;
            if let Some(due) = message.due {
                let due_s = u64::try_from((due.millis() - at(0).millis()) / 1000).unwrap();
                assert!(!is_due(&message, at(due_s - 1)) && is_due(&message, at(due_s)));
                now_s = due_s;
            }
        }
        assert_eq!((attempts, message.state), (ATTEMPTS_MAX, MessageState::Failed));
        assert!((2 * 86_400..4 * 86_400).contains(&now_s), "{now_s}");
        assert_eq!(message.error.as_deref(), Some("it answered 500"));
        assert_eq!((message.first_tried, message.last_tried), (Some(at(0)), Some(at(now_s))));
    }

    #[test]
    fn many_attempts_in_a_minute_give_nothing_up() {
        let mut message = message();
        (0..100).for_each(|second| note(&mut message, at(second), Some(("no answer", None, false))));
        assert_eq!((message.state, message.attempts), (MessageState::Waiting, 100));
    }

    #[test]
    fn the_other_side_may_say_never_and_later_but_not_much_later() {
        let mut gone = message();
        note(&mut gone, at(0), Some(("it answered 410", None, true)));
        assert_eq!((gone.state, gone.due), (MessageState::Failed, None));
        for (asked_s, expected_s) in [(0, 1), (120, 120), (1 << 40, RETRY_AFTER_S_MAX)] {
            let mut busy = message();
            note(&mut busy, at(0), Some(("it answered 503", Some(Duration::from_secs(asked_s)), false)));
            assert_eq!(busy.due, Some(at(expected_s)));
        }
    }

    #[test]
    fn what_was_taken_is_sent_and_remembers_no_error() {
        let mut message = message();
        note(&mut message, at(0), Some(("no answer", None, false)));
        note(&mut message, at(9), None);
        assert_eq!((message.state, message.attempts, message.error), (MessageState::Sent, 2, None));
    }
}
