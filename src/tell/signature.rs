//! How a webhook proves where it comes from: Standard Webhooks (<https://www.standardwebhooks.com>), version 1, symmetric.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Secret;

/// What a secret in base64 begins with.
const PREFIX: &str = "whsec_";

/// Bytes of a secret that is worth the name.
const SECRET_BYTES_MIN: usize = 16;

/// The bytes of a secret: base64 behind `whsec_`, else the text itself. None if it is too short, or no base64.
pub fn key(secret: &Secret) -> Option<Vec<u8>> {
    let bytes = match secret.reveal().strip_prefix(PREFIX) {
        Some(encoded) => BASE64_STANDARD.decode(encoded).ok()?,
        None => secret.reveal().as_bytes().to_vec(),
    };
    (bytes.len() >= SECRET_BYTES_MIN).then_some(bytes)
}

/// The value of `webhook-signature` for a message that is sent at this second of Unix time.
pub fn sign(key: &[u8], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_example_is_signed_as_it_says() {
        // Of the specification and its reference implementations.
        let key = key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_base64_or_itself_and_not_short() {
        for (text, bytes) in [
            ("whsec_MDEyMzQ1Njc4OWFiY2RlZg==", Some(16)),
            ("0123456789abcdef", Some(16)),
            ("0123456789abcde", None),
            ("whsec_MDEyMw==", None),
            ("whsec_not base64 at all, however long it is", None),
            ("", None),
        ] {
            assert_eq!(key(&Secret::new(text)).map(|key| key.len()), bytes, "{text}");
        }
    }
}
