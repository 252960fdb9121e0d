//! `tidemill notify`, what a command does for those who are to be told once its job is done, and the settings of both.
//!
//! Secrets come from the environment and from nowhere else: a settings file is copied, committed and shown to others.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tidemill::{
    domain::message::{MessageState, Notify},
    engine::{Engine, tell::Told},
    error::{Error, Result},
    report::summary::{Notification, Summary},
    tell::{Secret, Security, SmtpOptions, TellOptions, WebhookOptions, signature, webhook},
};

use crate::{
    args::NotifyCommandArgs,
    exit::Exit,
    output::talk,
    settings::Settings,
    signals,
    summary::summary_text,
    text::{Side::Left, counted, table},
};

/// The password of the SMTP user.
pub const SMTP_PASSWORD: &str = "TIDEMILL_SMTP_PASSWORD";
/// What signs webhooks.
pub const WEBHOOK_SECRET: &str = "TIDEMILL_WEBHOOK_SECRET";

/// How long a command whose job is done goes on trying, unless the settings say otherwise.
const WAIT_S: f64 = 15.0;
/// The same of `tidemill notify`, which has nothing else to do.
const WAIT_NOTIFY_S: f64 = 60.0;
const TIMEOUT_S: f64 = 10.0;
/// More is a mistake.
const SECONDS_MAX: f64 = 3600.0;

/// `[smtp]` of `tidemill.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpSection {
    host: Option<String>,
    port: Option<u16>,
    security: Option<SecurityWord>,
    from: Option<String>,
    username: Option<String>,
    timeout: Option<f64>,
    #[serde(default)]
    allow_insecure: bool,
    #[serde(default, deserialize_with = "no_password")]
    #[expect(dead_code, reason = "a file that has it is refused in words that say why")]
    password: (),
}

/// `security` of `[smtp]`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SecurityWord {
    StartTls,
    Tls,
    None,
}

/// `[webhook]` of `tidemill.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSection {
    #[serde(default)]
    allow_private: bool,
    timeout: Option<f64>,
    #[serde(default, deserialize_with = "no_secret")]
    #[expect(dead_code, reason = "a file that has it is refused in words that say why")]
    secret: (),
}

/// `[notify]` of `tidemill.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifySection {
    wait: Option<f64>,
}

fn no_password<'de, D: serde::Deserializer<'de>>(_: D) -> std::result::Result<(), D::Error> {
    Err(serde::de::Error::custom(format!("a password must not stand in a file: put it into `{SMTP_PASSWORD}`")))
}

fn no_secret<'de, D: serde::Deserializer<'de>>(_: D) -> std::result::Result<(), D::Error> {
    Err(serde::de::Error::custom(format!("a secret must not stand in a file: put it into `{WEBHOOK_SECRET}`")))
}

/// How this run tells.
#[derive(Clone)]
pub struct TellSettings {
    options: TellOptions,
    wait: Option<Duration>,
}

impl TellSettings {
    /// The settings of a file, with the secrets of the environment.
    ///
    /// # Errors
    ///
    /// What is wrong with a value.
    pub fn resolve(
        smtp: Option<SmtpSection>,
        webhook: WebhookSection,
        notify: NotifySection,
        secret: impl Fn(&str) -> Option<String>,
    ) -> std::result::Result<TellSettings, String> {
        let secret = |name: &str| secret(name).filter(|text| !text.is_empty()).map(Secret::new);
        let smtp = smtp.map(|smtp| smtp.options(secret(SMTP_PASSWORD))).transpose()?;
        let options = WebhookOptions {
            secret: secret(WEBHOOK_SECRET),
            allow_private: webhook.allow_private,
            timeout: seconds("webhook", "timeout", webhook.timeout.unwrap_or(TIMEOUT_S))?,
        };
        if options.secret.as_ref().is_some_and(|secret| signature::key(secret).is_none()) {
            return Err(format!("`{WEBHOOK_SECRET}` has less than 16 bytes, or is no base64 behind `whsec_`"));
        }
        let text = |summary: &Summary| anstream::adapter::strip_str(&summary_text(summary, None)).to_string();
        Ok(TellSettings {
            options: TellOptions { smtp, webhook: options, summary_text: Some(text) },
            wait: notify.wait.map(|wait| seconds("notify", "wait", wait)).transpose()?,
        })
    }

    /// Refuses a job that is to tell somebody whom these settings cannot reach, before it has begun.
    ///
    /// # Errors
    ///
    /// `Usage`, with what is missing.
    pub fn check(&self, notify: &Notify) -> Result<()> {
        const WHERE: &str = "nothing was changed; see `tidemill notify --help` for the settings";
        if !notify.emails.is_empty() {
            let smtp = self.options.smtp.as_ref().ok_or_else(|| {
                Error::usage("`--notify-email` needs a server: `host` and `from` of `[smtp]` in `tidemill.toml`")
                    .hint(WHERE)
            })?;
            smtp.check().map_err(|why| Error::usage(format!("`[smtp]` in `tidemill.toml`: {why}")).hint(WHERE))?;
            if smtp.username.is_some() && smtp.password.is_none() {
                return Err(Error::usage(format!(
                    "`[smtp]` in `tidemill.toml` has a `username`, and `{SMTP_PASSWORD}` is not set"
                ))
                .hint("nothing was changed; put the password into that environment variable"));
            }
        }
        if !notify.webhooks.is_empty() && self.options.webhook.secret.is_none() {
            return Err(Error::usage(format!(
                "`--notify-webhook` needs a secret to sign with: `{WEBHOOK_SECRET}` is not set"
            ))
            .hint("nothing was changed; put a secret of at least 16 bytes into that environment variable"));
        }
        for url in &notify.webhooks {
            webhook::check_url(url, self.options.webhook.allow_private).map_err(|why| {
                Error::usage(format!("`{url}` may not be called: {why}")).hint(
                    "nothing was changed; `allow_private = true` of `[webhook]` in `tidemill.toml` lets webhooks reach this \
                     host and its private networks, and do without TLS",
                )
            })?;
        }
        Ok(())
    }
}

impl SmtpSection {
    fn options(self, password: Option<Secret>) -> std::result::Result<SmtpOptions, String> {
        Ok(SmtpOptions {
            host: self.host.ok_or("`[smtp]` has no `host`")?,
            port: self.port,
            security: match self.security {
                None | Some(SecurityWord::StartTls) => Security::StartTls,
                Some(SecurityWord::Tls) => Security::Tls,
                Some(SecurityWord::None) => Security::None,
            },
            from: self.from.ok_or("`[smtp]` has no `from`, the sender's address")?,
            username: self.username,
            password,
            timeout: seconds("smtp", "timeout", self.timeout.unwrap_or(TIMEOUT_S))?,
            allow_insecure: self.allow_insecure,
        })
    }
}

fn seconds(section: &str, key: &str, given: f64) -> std::result::Result<Duration, String> {
    if !(0.0..=SECONDS_MAX).contains(&given) || (key == "timeout" && given == 0.0) {
        return Err(format!("`{key} = {given}` of `[{section}]` is not a number of seconds up to {SECONDS_MAX}"));
    }
    Ok(Duration::from_secs_f64(given))
}

/// Tells whoever is to be told, now that a command's result is out. What cannot be sent now waits in the store: the job is
/// done, and the command's exit code is the job's.
pub fn after_job(settings: &Settings, engine: &Engine) {
    let tell = &settings.tell;
    let wait = tell.wait.unwrap_or(Duration::from_secs_f64(WAIT_S));
    if wait.is_zero() {
        return;
    }
    let told = engine.tell(&tell.options, Told::Due, wait, || signals::received().is_some());
    match told {
        Ok(told) => told.iter().for_each(|one| say(settings, one)),
        Err(error) => talk(format_args!(
            "Warning: the job is done, but who is to be told of it was not: {error}. `tidemill notify` tries again"
        )),
    }
}

/// Says what became of a message: that it was sent only to who wants notes.
fn say(settings: &Settings, told: &Notification) {
    let Notification { job, recipient, .. } = told;
    let channel = told.channel.word();
    let why = told.error.as_deref().unwrap_or("it was not tried");
    match told.state {
        MessageState::Sent => settings.output.note(format_args!("Told {recipient} by {channel} of job {job}")),
        MessageState::Waiting => talk(format_args!(
            "Warning: job {job} is done, but {recipient} could not be told by {channel}: {why}. The message waits in the \
             store: `tidemill notify` sends it, or a later job"
        )),
        MessageState::Failed => talk(format_args!(
            "Warning: job {job} is done, but {recipient} could not be told by {channel}: {why}. This was given up after {}: \
             `tidemill notify --failed` tries once more",
            counted(u64::from(told.attempts), "attempt", "attempts")
        )),
    }
}

/// `tidemill notify`.
pub fn notify(settings: &Settings, args: NotifyCommandArgs) -> Result<Exit> {
    let engine = settings.open()?;
    if args.list {
        let unsent = engine.outbox()?;
        settings.output.result(&BTreeMap::from([("notifications", &unsent)]), || match unsent.len() {
            0 => "No message waits\n".to_owned(),
            _ => notifications_text("", &unsent),
        })?;
        return Ok(Exit::Done);
    }
    signals::arm()?;
    let which = if args.failed { Told::Failed } else { Told::Waiting };
    let wait = settings.tell.wait.filter(|wait| !wait.is_zero()).unwrap_or(Duration::from_secs_f64(WAIT_NOTIFY_S));
    let told = engine.tell(&settings.tell.options, which, wait, || signals::received().is_some())?;
    settings.output.result(&BTreeMap::from([("notifications", &told)]), || match told.len() {
        0 => "No message waits\n".to_owned(),
        _ => notifications_text("", &told),
    })?;
    let unsent = told.iter().filter(|one| one.state != MessageState::Sent).count();
    if unsent == 0 {
        return Ok(Exit::Done);
    }
    settings.output.note(format_args!(
        "{} not sent; what waits is tried again by later jobs and by `tidemill notify`",
        counted(unsent as u64, "message was", "messages were")
    ));
    Ok(Exit::Failed)
}

/// Who is told and how far that is, a line each.
pub fn notifications_text(indent: &str, notifications: &[Notification]) -> String {
    let rows: Vec<Vec<String>> = notifications
        .iter()
        .map(|one| {
            let attempts = counted(u64::from(one.attempts), "attempt", "attempts");
            let state = match (one.state, &one.error) {
                (MessageState::Sent, _) | (_, None) => one.state.word().to_owned(),
                (_, Some(error)) => format!("{}, {attempts}: {error}", one.state.word()),
            };
            vec![format!("job {}", one.job), one.channel.word().to_owned(), one.recipient.clone(), state]
        })
        .collect();
    table(indent, &[Left, Left, Left, Left], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp(toml: &str) -> std::result::Result<SmtpSection, String> {
        toml::from_str(toml).map_err(|error| error.message().to_owned())
    }

    fn settings(smtp: Option<SmtpSection>, secrets: &[(&str, &str)]) -> std::result::Result<TellSettings, String> {
        let of_name = |name: &str| secrets.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        TellSettings::resolve(smtp, WebhookSection::default(), NotifySection::default(), of_name)
    }

    #[test]
    fn secrets_in_a_file_are_refused_with_the_name_of_the_variable() {
        assert!(smtp("password = \"x\"").err().unwrap().contains(SMTP_PASSWORD));
        let webhook = toml::from_str::<WebhookSection>("secret = \"x\"").map_err(|error| error.message().to_owned());
        assert!(webhook.err().unwrap().contains(WEBHOOK_SECRET));
    }

    #[test]
    fn what_is_missing_or_cannot_be_is_said_before_a_job_begins() {
        let email = Notify { emails: vec!["a@x.example".to_owned()], webhooks: Vec::new() };
        let hook = |url: &str| Notify { emails: Vec::new(), webhooks: vec![url.to_owned()] };
        let secret = (WEBHOOK_SECRET, "0123456789abcdef");
        let whole = "host = \"mail.x.example\"\nfrom = \"t@x.example\"\n";
        let user = format!("{whole}username = \"t\"\n");
        let plain = format!("{whole}security = \"none\"\n");
        for (file, secrets, notify, message) in [
            (None, vec![], &email, "needs a server"),
            (Some(whole), vec![], &email, ""),
            (Some(user.as_str()), vec![], &email, SMTP_PASSWORD),
            (Some(user.as_str()), vec![(SMTP_PASSWORD, "p")], &email, ""),
            (Some(plain.as_str()), vec![], &email, "without TLS"),
            (None, vec![], &hook("https://x.example/"), WEBHOOK_SECRET),
            (None, vec![secret], &hook("https://x.example/"), ""),
            (None, vec![secret], &hook("http://x.example/"), "https://"),
            (None, vec![secret], &hook("https://127.0.0.1/"), "not public"),
            (None, vec![], &Notify::default(), ""),
        ] {
            let settings = settings(file.map(|text| smtp(text).unwrap()), &secrets).unwrap();
            let said = settings.check(notify).err().map(|error| error.message().to_owned()).unwrap_or_default();
            assert!(said.contains(message) && said.is_empty() == message.is_empty(), "{message}: {said}");
        }
        for (file, message) in [
            ("from = \"t@x.example\"", "no `host`"),
            ("host = \"x\"", "no `from`"),
            ("host = \"x\"\nfrom = \"t@x.example\"\ntimeout = 0", "`timeout = 0` of `[smtp]`"),
            ("host = \"x\"\nfrom = \"t@x.example\"\ntimeout = nan", "of `[smtp]`"),
        ] {
            assert!(settings(Some(smtp(file).unwrap()), &[]).err().unwrap().contains(message), "{file}");
        }
        assert!(settings(None, &[(WEBHOOK_SECRET, "short")]).err().unwrap().contains("16 bytes"));
    }
}
