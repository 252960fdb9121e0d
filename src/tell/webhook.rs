//! Calling a webhook. The host's name is resolved once, its addresses are checked, and exactly these are connected to: a name
//! that resolves to something else the next time gains nothing. Redirects are not followed, and no proxy is asked.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use ureq::{
    Agent,
    config::Config,
    http::Uri,
    tls::{Certificate, RootCerts, TlsConfig},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::{Failure, WebhookOptions, address::not_public, signature};
use crate::domain::time::Timestamp;

/// Bytes of an answer that are read: only its status counts, and reading a little lets the other side end in peace.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Bytes of an answer's headers.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Bytes of a URL; no server has to take more.
const URL_BYTES_MAX: usize = 2048;

/// Whether a URL can be called at all, and may be. Without TLS it may be only where private networks may be reached: anybody
/// on the way could read it.
///
/// # Errors
/// Why not.
pub fn check_url(url: &str, allow_private: bool) -> Result<(), String> {
    let (uri, host, _) = parts(url)?;
    if uri.scheme_str() == Some("http") && !allow_private {
        return Err("it does not begin with `https://`".to_owned());
    }
    // A name is looked up when it is called.
    match host.parse::<IpAddr>().ok().and_then(not_public) {
        Some(why) if !allow_private => Err(format!("its address is not public: {why}")),
        _ => Ok(()),
    }
}

/// A URL with its host, bare of brackets, and its port.
fn parts(url: &str) -> Result<(Uri, String, u16), String> {
    if url.len() > URL_BYTES_MAX {
        return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
    }
    let uri: Uri = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
    let port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return Err("it begins with neither `https://` nor `http://`".to_owned()),
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("a user or password must not stand in it: the signature proves who calls".to_owned());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    let port = uri.port_u16().unwrap_or(port);
    Ok((uri, host, port))
}

/// A webhook that is ready to be called.
pub struct Ready {
    /// Where.
    pub url: String,
    /// The message's id.
    pub id: String,
    /// When it is called.
    pub now: Timestamp,
    /// What is posted: JSON.
    pub body: Vec<u8>,
    /// How.
    pub options: WebhookOptions,
}

impl Ready {
    /// Calls it.
    ///
    /// # Errors
    /// When it may not be called, cannot be reached, or answers with anything but 2xx.
    pub fn send(self) -> Result<(), Failure> {
        let secret =
            self.options.secret.as_ref().ok_or_else(|| Failure::new("no secret is set that signs webhooks"))?;
        let key = signature::key(secret).ok_or_else(|| {
            Failure::new("the secret that signs webhooks is too short, or not base64 behind `whsec_`")
        })?;
        check_url(&self.url, self.options.allow_private).map_err(Failure::new)?;
        let (_, host, port) = parts(&self.url).map_err(Failure::new)?;
        let addresses = resolve(host, port, self.options.timeout)?;
        allowed(&addresses, self.options.allow_private)?;
        let timestamp_s = self.now.millis().div_euclid(1000);
        let answer = agent(addresses, self.options.timeout, self.url.starts_with("https"))
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", timestamp_s.to_string())
            .header("webhook-signature", signature::sign(&key, &self.id, timestamp_s, &self.body))
            .send(&self.body[..]);
        let mut answer = answer.map_err(|error| Failure::of_error("it cannot be reached", &error))?;
        let status = answer.status().as_u16();
        let wish = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // What it says is not kept: the status is the answer.
        let _ = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        answered(status, wish.map(Duration::from_secs))
    }
}

/// What a status means.
fn answered(status: u16, retry_after: Option<Duration>) -> Result<(), Failure> {
    let failure = match status {
        200..=299 => return Ok(()),
        300..=399 => Failure::new(format_args!(
            "it answered {status}, and redirects are not followed: name the URL that it leads to"
        )),
        410 => Failure { is_final: true, ..Failure::new("it answered 410: it is gone for good") },
        _ => Failure::new(format_args!("it answered {status}")),
    };
    Err(Failure { retry_after, ..failure })
}

/// Every address of a host. The system's resolver knows no time limit, so it is asked on a thread of its own.
fn resolve(host: String, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let asked = host.clone();
    let look = move || {
        let found = (asked.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let _ = sender.send(found);
    };
    std::thread::Builder::new().name("resolve".into()).spawn(look).map_err(Failure::new)?;
    match receiver.recv_timeout(timeout) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_)) => Err(Failure::new(format_args!("the host `{host}` has no address"))),
        Ok(Err(error)) => Err(Failure::of_error(&format!("the host `{host}` has no address"), &error)),
        Err(_) => Err(Failure::new(format_args!("no name server told the address of `{host}` in time"))),
    }
}

/// Refuses a host if any of its addresses is not public: one that has both is up to something.
fn allowed(addresses: &[SocketAddr], allow_private: bool) -> Result<(), Failure> {
    let private = addresses.iter().find_map(|address| Some((address.ip(), not_public(address.ip())?)));
    match private {
        Some((address, why)) if !allow_private => Err(Failure::new(format_args!(
            "its host has the address {address}, which is not public ({why}), and private networks are not allowed"
        ))),
        _ => Ok(()),
    }
}

/// Gives the addresses that were checked, whatever is asked for.
struct Pinned(Vec<SocketAddr>);

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pinned")
    }
}

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        // As many as it has room for.
        self.0.iter().take(16).for_each(|address| addresses.push(*address));
        Ok(addresses)
    }
}

fn agent(addresses: Vec<SocketAddr>, timeout: Duration, needs_tls: bool) -> Agent {
    let mut tls =
        TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    if needs_tls {
        tls = tls.root_certs(RootCerts::Specific(Arc::clone(roots())));
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(timeout))
        .max_response_header_size(HEADER_BYTES_MAX)
        .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build();
    Agent::with_parts(config, DefaultConnector::default(), Pinned(addresses))
}

/// The authorities that the system trusts, read once. Where there are none, no certificate is good.
fn roots() -> &'static Arc<Vec<Certificate<'static>>> {
    static ROOTS: OnceLock<Arc<Vec<Certificate<'static>>>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        Arc::new(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_refused_that_cannot_or_may_not_be_called() {
        for (url, private_too, message) in [
            ("https://shop.example/hook?x=1", true, ""),
            ("https://shop.example:8443/", true, ""),
            ("https://1.1.1.1/", true, ""),
            ("https://[2606:4700:4700::1111]/", true, ""),
            ("http://shop.example/", true, "does not begin with `https://`"),
            ("https://127.0.0.1/", true, "not public: this host"),
            ("https://[::ffff:10.0.0.1]/", true, "not public: private"),
            ("https://169.254.169.254/latest", true, "not public: link-local"),
            ("ftp://shop.example/", false, "neither `https://` nor `http://`"),
            ("shop.example/hook", false, "no URL"),
            ("/hook", false, "neither"),
            ("https://ana:secret@shop.example/", false, "user or password"),
            ("https://shop.example/a b", false, "no URL"),
            ("https://shop.example/\r\nX: y", false, "no URL"),
            ("https:///hook", false, "no URL"),
            ("", false, "no URL"),
            (&format!("https://x.example/{}", "x".repeat(2048)), false, "longer than 2048"),
        ] {
            let refused = check_url(url, false).err().unwrap_or_default();
            assert!(refused.contains(message) && refused.is_empty() == message.is_empty(), "{url}: {refused}");
            assert_eq!(check_url(url, true).is_ok(), private_too, "{url}");
        }
    }

    #[test]
    fn a_host_with_one_private_address_among_public_ones_is_refused() {
        let addresses = ["1.1.1.1:443", "10.1.2.3:443"].map(|text| text.parse().unwrap());
        assert!(allowed(&addresses[..1], false).is_ok() && allowed(&addresses, true).is_ok());
        assert!(allowed(&addresses, false).unwrap_err().message.contains("10.1.2.3"));
    }

    #[test]
    fn a_name_that_is_this_host_is_found_out_by_its_address() {
        let addresses = resolve("localhost".to_owned(), 80, Duration::from_secs(10)).unwrap();
        assert!(allowed(&addresses, false).is_err());
    }

    #[test]
    fn statuses_are_taken_refused_or_final() {
        assert_eq!(answered(204, None), Ok(()));
        let busy = answered(503, Some(Duration::from_secs(7))).unwrap_err();
        assert_eq!((busy.retry_after, busy.is_final), (Some(Duration::from_secs(7)), false));
        assert!(answered(410, None).unwrap_err().is_final && !answered(404, None).unwrap_err().is_final);
        assert!(answered(302, None).unwrap_err().message.contains("not followed"));
    }
}
