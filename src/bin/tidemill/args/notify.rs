//! Whom a job tells when it ends.

use clap::{ArgAction, Args};
use tidemill::{
    domain::message::Notify,
    engine::request::JobRequest,
    tell::{email, webhook},
};

/// What all jobs take that somebody may wait for.
#[derive(Clone, Args)]
#[command(next_help_heading = "The job")]
pub struct NotifyArgs {
    /// When the job has ended, send its summary and its rejected rows to these addresses; see `[smtp]` in the settings
    #[arg(long, value_name = "A,B", value_delimiter = ',', action = ArgAction::Append, value_parser = email_address)]
    notify_email: Vec<String>,
    /// When the job has ended, post its JSON summary, signed, to this URL; may be repeated; see `[webhook]` in the settings
    #[arg(long, value_name = "URL", action = ArgAction::Append, value_parser = url)]
    notify_webhook: Vec<String>,
}

impl NotifyArgs {
    /// Whom.
    pub fn notify(&self) -> Notify {
        Notify { emails: self.notify_email.clone(), webhooks: self.notify_webhook.clone() }
    }

    /// The request, with whom it tells.
    pub fn asked(&self, request: JobRequest) -> JobRequest {
        JobRequest { notify: self.notify(), ..request }
    }
}

fn email_address(given: &str) -> Result<String, String> {
    email::check_address(given.trim()).map(|()| given.trim().to_owned())
}

fn url(given: &str) -> Result<String, String> {
    // Whether it may be called depends on the settings.
    webhook::check_url(given, true).map(|()| given.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        notify: NotifyArgs,
    }

    #[test]
    fn several_may_be_told_and_nobody_by_mistake() {
        let line =
            "x --notify-email a@x.example,b@x.example --notify-email c@x.example --notify-webhook https://x.example/h";
        let notify = Line::try_parse_from(line.split(' ')).unwrap().notify.notify();
        assert_eq!(notify.emails, ["a@x.example", "b@x.example", "c@x.example"]);
        assert_eq!(notify.webhooks, ["https://x.example/h"]);
        for wrong in ["--notify-email=a", "--notify-email=a@x.example,", "--notify-webhook=x.example"] {
            assert!(Line::try_parse_from(["x", wrong]).is_err(), "{wrong}");
        }
    }
}
