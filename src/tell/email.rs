//! An e-mail that tells of a job: its summary as text, its rejected rows attached.
//!
//! What a file or a person wrote stands in the text and in the attachment, which are encoded, and never in a header: the
//! subject, the names of attachments and the sender are made of numbers, our own words and settings.

use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use lettre::{
    Address, Message, SmtpTransport, Transport,
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{Failure, Security, SmtpOptions};
use crate::{
    domain::{id::JobId, job::JobState, time::Timestamp},
    error::Result,
    report::summary::Summary,
};

/// Bytes of an attachment. Many servers take no more than ten million, of which base64 uses a third.
pub const ATTACHMENT_BYTES_MAX: usize = 5_000_000;

/// Whether an address can be written to.
///
/// # Errors
/// Why not.
pub fn check_address(address: &str) -> std::result::Result<(), String> {
    // An address of other signs needs a server that knows how to take it.
    if !address.is_ascii() {
        return Err("it has other than ASCII characters; write a domain in its `xn--` form".to_owned());
    }
    address.parse::<Address>().map(drop).map_err(|error| format!("it is no e-mail address: {error}"))
}

impl SmtpOptions {
    /// Whether an e-mail could be sent by these.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> std::result::Result<(), String> {
        let from = self.from.parse::<Mailbox>();
        let from = from.map_err(|error| format!("the sender `{}` is no address: {error}", self.from))?;
        check_address(from.email.as_ref()).map_err(|why| format!("the sender `{}`: {why}", self.from))?;
        let is_here = self.host == "localhost"
            || self
                .host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if self.security == Security::None && !is_here && !self.allow_insecure {
            return Err(format!("`{}` is another host, and would be spoken to without TLS", self.host));
        }
        Ok(())
    }
}

/// The rejected rows of a job, as far as they can be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// There are none.
    Nothing,
    /// As a file of this name.
    File(String, Vec<u8>),
    /// There are too many to attach.
    TooLarge,
    /// They were dropped.
    Forgotten,
}

/// Takes in a reject file, plain while it is small enough and compressed, so that memory is bounded whatever comes.
pub struct AttachmentWriter {
    limit: usize,
    plain: Option<Vec<u8>>,
    packed: Option<GzEncoder<Vec<u8>>>,
}

impl AttachmentWriter {
    /// One for files of so many bytes.
    pub fn new(limit: usize) -> AttachmentWriter {
        AttachmentWriter {
            limit,
            plain: Some(Vec::new()),
            packed: Some(GzEncoder::new(Vec::new(), Compression::default())),
        }
    }

    /// The attachment for these rejected rows of a job.
    pub fn end(self, job: JobId, rows: u64) -> Attached {
        let packed = self.packed.and_then(|packed| packed.finish().ok()).filter(|packed| packed.len() <= self.limit);
        match (rows, self.plain, packed) {
            (0, ..) => Attached::Nothing,
            (_, Some(plain), _) => Attached::File(format!("rejects-{job}.csv"), plain),
            (_, None, Some(packed)) => Attached::File(format!("rejects-{job}.csv.gz"), packed),
            (_, None, None) => Attached::TooLarge,
        }
    }
}

impl Write for AttachmentWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let limit = self.limit;
        if let Some(plain) = &mut self.plain {
            plain.extend_from_slice(bytes);
        }
        self.plain = self.plain.take().filter(|plain| plain.len() <= limit);
        if let Some(packed) = &mut self.packed {
            packed.write_all(bytes)?;
        }
        self.packed = self.packed.take().filter(|packed| packed.get_ref().len() <= limit);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The subject: made of numbers and our own words.
pub fn subject(summary: &Summary) -> String {
    let job = summary.job.map_or(String::new(), |job| format!("job {job} "));
    let rejected = match (summary.rows.rejected, summary.state) {
        (_, JobState::Unfinished) => String::new(),
        (0, _) => ", no row rejected".to_owned(),
        (1, _) => ", 1 row rejected".to_owned(),
        (rows, _) => format!(", {rows} rows rejected"),
    };
    format!("tidemill: {job}{} {}{rejected}", summary.kind.word(), summary.state.word())
}

/// The summary's JSON, a field a line: for hosts that have no text of their own.
pub fn plain_text(summary: &Summary) -> String {
    fn lines(name: &str, value: &serde_json::Value, out: &mut String) {
        match value {
            serde_json::Value::Object(fields) => {
                for (field, value) in fields {
                    lines(&if name.is_empty() { field.clone() } else { format!("{name} {field}") }, value, out);
                }
            }
            serde_json::Value::Null => {}
            serde_json::Value::Array(items) if items.is_empty() => {}
            serde_json::Value::String(text) => *out += &format!("{name}: {text}\n"),
            other => *out += &format!("{name}: {other}\n"),
        }
    }
    let mut out = String::new();
    lines("", &serde_json::to_value(summary).unwrap_or_default(), &mut out);
    out
}

/// What stands below the summary.
fn below(summary: &Summary, attached: &Attached) -> String {
    let job = summary.job.unwrap_or_default();
    match attached {
        Attached::Nothing => String::new(),
        Attached::File(name, _) => {
            format!("\nThe rejected rows are attached as `{name}`: corrected, they can be imported again.\n")
        }
        Attached::TooLarge => format!(
            "\nThe rejected rows are too many to attach: `tidemill job rejects {job} -o rejects-{job}.csv` writes them.\n"
        ),
        Attached::Forgotten => "\nThe rejected rows were dropped before this message was sent.\n".to_owned(),
    }
}

/// An e-mail that is ready to be sent.
pub struct Ready {
    message: Message,
    options: SmtpOptions,
}

impl Ready {
    /// Makes it: from these parts, with an id that stays the same however often it is sent.
    ///
    /// # Errors
    /// When the sender or the recipient is no address.
    pub fn new(
        options: &SmtpOptions,
        to: &str,
        id: &str,
        now: Timestamp,
        summary: &Summary,
        text: &str,
        attached: Attached,
    ) -> std::result::Result<Ready, Failure> {
        options.check().map_err(Failure::new)?;
        let from: Mailbox =
            options.from.parse().map_err(|error| Failure::of_error("the sender is no address", &error))?;
        let to: Address = to.parse().map_err(|error| Failure::of_error("it is no e-mail address", &error))?;
        let message_id = format!("<{id}@{}>", from.email.domain());
        let since_epoch = Duration::from_millis(now.millis().try_into().unwrap_or(0));
        let head = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to))
            .subject(subject(summary))
            .date(SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH))
            .message_id(Some(message_id))
            // Whoever is away shall not answer.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        let text = SinglePart::plain(format!("{text}{}", below(summary, &attached)));
        let message = match attached {
            Attached::File(name, bytes) => {
                let kind = if name.ends_with(".gz") { "application/gzip" } else { "text/csv; charset=utf-8" };
                let kind = ContentType::parse(kind).map_err(|error| Failure::of_error("a type of content", &error))?;
                // Nothing on the way may change a line end of it.
                let body = Body::new_with_encoding(bytes, ContentTransferEncoding::Base64)
                    .map_err(|_| Failure::new("the rejected rows cannot be encoded"))?;
                head.multipart(MultiPart::mixed().singlepart(text).singlepart(Attachment::new(name).body(body, kind)))
            }
            Attached::Nothing | Attached::TooLarge | Attached::Forgotten => head.singlepart(text),
        };
        let message = message.map_err(|error| Failure::of_error("the e-mail cannot be made", &error))?;
        Ok(Ready { message, options: options.clone() })
    }

    /// Hands it to the server.
    ///
    /// # Errors
    /// When the server cannot be reached, is not who it should be, or does not take it.
    pub fn send(self) -> std::result::Result<(), Failure> {
        let options = &self.options;
        let failed = |error: &lettre::transport::smtp::Error| {
            let server = format!("the SMTP server `{}`", options.host);
            if is_silence(error) {
                return Failure::new(format_args!(
                    "{server} does not answer within {} s",
                    options.timeout.as_secs_f64()
                ));
            }
            let answered = error.is_permanent() || error.is_transient();
            Failure::of_error(&format!("{server} {}", if answered { "refused it" } else { "cannot be used" }), error)
        };
        let tls = || TlsParameters::new(options.host.clone()).map_err(|error| failed(&error));
        let tls = match options.security {
            Security::StartTls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
            Security::None => Tls::None,
        };
        let mut transport = SmtpTransport::builder_dangerous(&options.host)
            .port(options.port.unwrap_or(options.security.port()))
            .tls(tls)
            .timeout(Some(options.timeout));
        if let Some(username) = &options.username {
            let password = options.password.as_ref().map(|secret| secret.reveal().to_owned());
            let password =
                password.ok_or_else(|| Failure::new("no password is set for the user of the SMTP server"))?;
            transport = transport.credentials(Credentials::new(username.clone(), password));
        }
        transport.build().send(&self.message).map(drop).map_err(|error| failed(&error))
    }
}

/// Whether the other side just said nothing in time; the system has several words for that.
fn is_silence(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(io, Some(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
        || error.source().is_some_and(is_silence)
}

/// The rejected rows of a job as an attachment; `write` writes them as CSV and says how many they are.
///
/// # Errors
/// Those of `write`.
pub fn attach(job: JobId, write: impl FnOnce(&mut dyn Write) -> Result<u64>) -> Result<Attached> {
    let mut attachment = AttachmentWriter::new(ATTACHMENT_BYTES_MAX);
    match write(&mut attachment) {
        Ok(rows) => Ok(attachment.end(job, rows)),
        Err(error) if error.code() == "rejects_forgotten" => Ok(Attached::Forgotten),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(limit: usize, rows: &[&[u8]]) -> Attached {
        let mut writer = AttachmentWriter::new(limit);
        for row in rows {
            writer.write_all(row).unwrap();
        }
        writer.end(JobId(7), rows.len() as u64)
    }

    #[test]
    fn rejected_rows_are_attached_plain_or_packed_or_left_out() {
        assert_eq!(written(100, &[]), Attached::Nothing);
        assert_eq!(written(100, &[b"a,b\n"]), Attached::File("rejects-7.csv".to_owned(), b"a,b\n".to_vec()));
        let alike = vec![&b"the same row again and again\n"[..]; 100];
        let Attached::File(name, packed) = written(1000, &alike) else { panic!("it is packed") };
        assert_eq!(name, "rejects-7.csv.gz");
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
        assert_eq!(plain, alike.concat());
        // What cannot be packed either: bytes of no pattern.
        let mut bytes = vec![0; 100_000];
        blake3::Hasher::new_derive_key("noise").finalize_xof().fill(&mut bytes);
        assert_eq!(written(1000, &[&bytes]), Attached::TooLarge);
    }

    #[test]
    fn addresses_are_refused_that_would_be_more_than_one_or_a_header() {
        for good in ["ana@shop.example", "a.b+c@xn--bcher-kva.example"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for wrong in [
            "",
            "ana",
            "ana@",
            "@shop.example",
            "ana@shop.example, bo@shop.example",
            "Ana <ana@shop.example>",
            "ana@shop.example\r\nBcc: eve@evil.example",
            "ana@shop.example\n",
            "ana@bücher.example",
            "ana ana@shop.example",
        ] {
            assert!(check_address(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_server_elsewhere_is_not_spoken_to_without_tls_unless_it_is_allowed() {
        let options = |host: &str, security, allow_insecure| SmtpOptions {
            host: host.to_owned(),
            port: None,
            security,
            from: "Tidemill <tidemill@shop.example>".to_owned(),
            username: None,
            password: None,
            timeout: Duration::from_secs(1),
            allow_insecure,
        };
        for (host, security, allow_insecure, is_good) in [
            ("mail.shop.example", Security::StartTls, false, true),
            ("mail.shop.example", Security::Tls, false, true),
            ("mail.shop.example", Security::None, false, false),
            ("mail.shop.example", Security::None, true, true),
            ("10.0.0.1", Security::None, false, false),
            ("localhost", Security::None, false, true),
            ("127.0.0.1", Security::None, false, true),
            ("[::1]", Security::None, false, true),
        ] {
            assert_eq!(options(host, security, allow_insecure).check().is_ok(), is_good, "{host} {security:?}");
        }
        let from =
            SmtpOptions { from: "a@b.example\r\nBcc: c@d.example".to_owned(), ..options("x", Security::Tls, false) };
        assert!(from.check().is_err());
    }
}
