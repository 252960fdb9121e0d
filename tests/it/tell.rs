//! Who is told that a job has ended: when, what, once, and what becomes of it when the other side is not well. SMTP and HTTP
//! servers are real ones on loopback, started here.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tidemill::{
    domain::{id::JobId, message::Notify},
    engine::{Engine, request::JobRequest, tell::Told},
    job::progress::Progress,
    options::Options,
    service::Service,
    tell::{Secret, TellOptions, WebhookOptions},
};

use super::support::{
    binary::{Binary, Ended, finish},
    servers::{HttpServer, Request, Smtp, SmtpServer, certificates},
    shop::{Shop, credits, credits_request, small_windows, stopping_after},
};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
/// The bytes of it.
const KEY: &[u8] = b"0123456789abcdef01234567";

/// Three rows, of which the last is refused.
const FILE: &str = "email,mobile,amount,operation\nana@x.example,,5,CR\nbo@x.example,,7,CR\neve@x.example,,much,CR\n";

const IMPORT: [&str; 7] = ["import", "points", "points.csv", "--reason", "Diwali", "--on-unknown", "create"];

/// A directory with a file of points and these settings.
fn binary(settings: &str) -> Binary {
    let binary = Binary::new().variable("TIDEMILL_WEBHOOK_SECRET", SECRET);
    binary.write("points.csv", FILE);
    binary.write("tidemill.toml", settings);
    binary
}

fn smtp_settings(port: u16) -> String {
    format!("[smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"Tidemill <tm@shop.example>\"\n")
}

/// Webhooks may reach loopback, and are tried once.
const HOOK_SETTINGS: &str = "[webhook]\nallow_private = true\n[notify]\nwait = 0.9\n";

fn import(binary: &Binary, more: &[&str]) -> Ended {
    let mut arguments = IMPORT.to_vec();
    arguments.extend(more);
    binary.run(&arguments)
}

/// How far the job's messages are.
fn notifications(binary: &Binary, job: u32) -> Vec<serde_json::Value> {
    let shown = binary.run(&["job", "show", &job.to_string()]).expect(0).json;
    shown["notifications"].as_array().cloned().unwrap_or_default()
}

/// The rejected rows of the first job, as it writes them.
fn rejects(binary: &Binary) -> String {
    binary.run(&["job", "rejects", "1", "-o", "rejects.csv"]).expect(0);
    binary.read("rejects.csv")
}

/// What the signature must be, made anew of what was received.
fn signature(request: &Request) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key");
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&request.body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn an_e_mail_has_the_summary_and_the_rejected_rows_for_each_recipient() {
    let server = SmtpServer::start(Smtp::Plain);
    let binary = binary(&smtp_settings(server.port));
    let ended = import(&binary, &["--notify-email", "ana@shop.example,bo@shop.example"]).expect(3);
    assert_eq!(ended.json["rows"]["rejected"], 1, "standard output holds the summary alone");
    assert!(ended.stderr.contains("Told ana@shop.example by e-mail of job 1"), "{}", ended.stderr);
    let mut taken = server.taken();
    taken.sort_by_key(|letter| letter.to.clone());
    let to: Vec<_> = taken.iter().map(|letter| letter.to.clone()).collect();
    assert_eq!(to, [["ana@shop.example"], ["bo@shop.example"]]);
    let rejects = rejects(&binary);
    for letter in &taken {
        assert_eq!(letter.header("subject"), "tidemill: job 1 import-points finished, 1 row rejected");
        assert_eq!(letter.header("from"), "Tidemill <tm@shop.example>");
        assert_eq!(letter.header("auto-submitted"), "auto-generated");
        assert!(letter.text().contains("Job 1, import points: finished"), "{}", letter.text());
        assert!(letter.text().contains("amount_invalid"), "{}", letter.text());
        let (name, content) = letter.attachment().expect("the rejected rows");
        assert_eq!((name.as_str(), content), ("rejects-1.csv", rejects.clone().into_bytes()));
    }
    assert_ne!(taken[0].header("message-id"), taken[1].header("message-id"));
    let shown = notifications(&binary, 1);
    assert_eq!(shown.len(), 2);
    for one in shown {
        assert_eq!((one["state"].as_str(), one["attempts"].as_u64()), (Some("sent"), Some(1)));
        let id = one["id"].as_str().expect("an id").to_owned();
        assert!(taken.iter().any(|letter| letter.header("message-id") == format!("<{id}@shop.example>")));
    }
}

#[test]
fn a_job_without_rejected_rows_attaches_nothing() {
    let server = SmtpServer::start(Smtp::Plain);
    let binary = binary(&smtp_settings(server.port));
    binary.write("points.csv", FILE.replace("much", "3"));
    import(&binary, &["--notify-email", "ana@shop.example"]).expect(0);
    let letter = &server.taken()[0];
    assert_eq!(letter.header("subject"), "tidemill: job 1 import-points finished, no row rejected");
    assert!(letter.header("content-type").starts_with("text/plain"), "{}", letter.data);
}

#[test]
fn an_smtp_server_is_spoken_to_by_tls_and_told_the_password_only_then() {
    let (config, authority) = certificates();
    for (kind, security) in [(Smtp::StartTls(config.clone()), "starttls"), (Smtp::Tls(config.clone()), "tls")] {
        let server = SmtpServer::start(kind);
        let settings = format!(
            "[smtp]\nhost = \"localhost\"\nport = {}\nsecurity = \"{security}\"\nfrom = \"tm@shop.example\"\n\
             username = \"tm\"\n[notify]\nwait = 0.9\n",
            server.port
        );
        let told = ["--notify-email", "ana@shop.example"];
        let binary = binary(&settings).variable("TIDEMILL_SMTP_PASSWORD", "pässword");
        binary.write("authority.pem", &authority);
        let nobody = binary.copy().variable("SSL_CERT_FILE", binary.path("none.pem").display().to_string());
        nobody.write("none.pem", "");
        let trusting = binary.copy();
        let trusting = trusting.variable("SSL_CERT_FILE", binary.path("authority.pem").display().to_string());
        // A server that nobody vouches for is told nothing.
        let ended = import(&nobody, &told).expect(3);
        assert!(ended.stderr.contains("could not be told by e-mail"), "{}", ended.stderr);
        assert!(server.taken().is_empty());
        assert_eq!(notifications(&nobody, 1)[0]["state"], "waiting");
        import(&trusting, &told).expect(3);
        let taken = server.taken();
        assert_eq!(taken.len(), 1, "{security}: {:?}", notifications(&trusting, 1));
        assert!(taken[0].is_encrypted);
        assert_eq!(taken[0].login, Some(("tm".to_owned(), "pässword".to_owned())));
    }
}

#[test]
fn a_server_that_offers_no_starttls_gets_nothing() {
    let server = SmtpServer::start(Smtp::Plain);
    let settings = smtp_settings(server.port).replace("none", "starttls") + "[notify]\nwait = 0.9\n";
    let binary = binary(&settings);
    import(&binary, &["--notify-email", "ana@shop.example"]).expect(3);
    assert!(server.taken().is_empty());
    assert_eq!(notifications(&binary, 1)[0]["state"], "waiting");
}

#[test]
fn a_webhook_gets_the_summary_signed() {
    let server = HttpServer::start(&[204]);
    let binary = binary(HOOK_SETTINGS);
    import(&binary, &["--notify-webhook", &server.url()]).expect(3);
    let got = server.got();
    assert_eq!(got.len(), 1);
    let request = &got[0];
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-signature"), signature(request));
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let mut shown = binary.run(&["job", "show", "1"]).expect(0).json;
    let told = shown.as_object_mut().expect("an object").remove("notifications").expect("who was told");
    assert_eq!(body, shown);
    assert_eq!((body["job"].as_u64(), body["rows"]["rejected"].as_u64()), (Some(1), Some(1)));
    assert_eq!(told[0]["id"], request.header("webhook-id"));
    assert_eq!((told[0]["state"].as_str(), told[0]["channel"].as_str()), (Some("sent"), Some("webhook")));
}

#[test]
fn a_webhook_over_tls_is_called_by_its_name() {
    let (config, authority) = certificates();
    let server = HttpServer::over(vec![(200, String::new())], Some(config));
    let binary = binary(HOOK_SETTINGS);
    binary.write("authority.pem", authority);
    let file = binary.path("authority.pem").display().to_string();
    let binary = binary.variable("SSL_CERT_FILE", file);
    import(&binary, &["--notify-webhook", &format!("https://localhost:{}/hook", server.port)]).expect(3);
    assert_eq!(notifications(&binary, 1)[0]["state"], "sent", "{:?}", notifications(&binary, 1));
    assert_eq!(server.got()[0].header("host"), format!("localhost:{}", server.port));
}

#[test]
fn an_smtp_server_that_hangs_does_not_hold_up_the_job_nor_change_its_end() {
    let server = SmtpServer::start(Smtp::Hanging);
    let binary = binary(&(smtp_settings(server.port) + "timeout = 0.3\n[notify]\nwait = 0.5\n"));
    let ended = import(&binary, &["--notify-email", "ana@shop.example"]).expect(3);
    assert_eq!(ended.json["state"], "finished");
    for part in
        ["job 1 is done", "ana@shop.example could not be told by e-mail", "does not answer", "`tidemill notify`"]
    {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    let shown = &notifications(&binary, 1)[0];
    assert_eq!((shown["state"].as_str(), shown["attempts"].as_u64()), (Some("waiting"), Some(1)));
    assert!(shown["error"].as_str().expect("why").contains("does not answer"), "{shown}");
    // One that is slower than all patience, whatever its own limit says.
    binary.write("tidemill.toml", smtp_settings(server.port) + "timeout = 30\n[notify]\nwait = 0.3\n");
    let ended = binary.run(&["notify"]).expect(1);
    assert!(ended.json["notifications"][0]["error"].as_str().expect("why").contains("within 0.3 s"), "{ended:?}");
}

#[test]
fn a_server_that_refuses_is_quoted_in_one_line() {
    let server = SmtpServer::start(Smtp::Refusing("550 no \u{1b}[31msuch user\r\n"));
    let binary = binary(&(smtp_settings(server.port) + "[notify]\nwait = 0.9\n"));
    let ended = import(&binary, &["--notify-email", "ana@shop.example"]).expect(3);
    assert!(ended.stderr.contains("such user") && !ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
}

#[test]
fn a_webhook_that_fails_is_called_again_with_the_same_id_and_body_until_it_takes_it() {
    let server = HttpServer::start(&[500, 503, 200]);
    let binary = binary(HOOK_SETTINGS);
    let ended = import(&binary, &["--notify-webhook", &server.url()]).expect(3);
    assert_eq!(ended.json["state"], "finished");
    assert!(ended.stderr.contains("could not be told by webhook: it answered 500"), "{}", ended.stderr);
    let listed = binary.run(&["notify", "--list"]).expect(0).json;
    assert_eq!(listed["notifications"][0]["state"], "waiting");
    assert_eq!(listed["notifications"], serde_json::json!(notifications(&binary, 1)));
    let ended = binary.run(&["notify"]).expect(1);
    assert_eq!(ended.json["notifications"][0]["error"], "it answered 503");
    binary.run(&["notify"]).expect(0);
    assert_eq!(binary.run(&["notify"]).expect(0).json["notifications"], serde_json::json!([]));
    let got = server.got();
    assert_eq!(got.len(), 3);
    for request in &got[1..] {
        assert_eq!((request.header("webhook-id"), &request.body), (got[0].header("webhook-id"), &got[0].body));
        assert_eq!(request.header("webhook-signature"), signature(request));
    }
    let shown = &notifications(&binary, 1)[0];
    assert_eq!((shown["state"].as_str(), shown["attempts"].as_u64()), (Some("sent"), Some(3)));
    assert!(shown["error"].is_null() && shown["next_try"].is_null());
}

#[test]
fn a_command_tries_again_by_itself_while_its_patience_lasts() {
    let server = HttpServer::start(&[500, 200]);
    let binary = binary("[webhook]\nallow_private = true\n[notify]\nwait = 20\n");
    let ended = import(&binary, &["--notify-webhook", &server.url()]).expect(3);
    assert!(ended.stderr.contains("Told http://127.0.0.1"), "{}", ended.stderr);
    assert_eq!(notifications(&binary, 1)[0]["attempts"], 2);
}

#[test]
fn one_that_says_it_is_gone_is_given_up_until_somebody_asks() {
    let server = HttpServer::start(&[410, 200]);
    let binary = binary(HOOK_SETTINGS);
    let ended = import(&binary, &["--notify-webhook", &server.url()]).expect(3);
    assert!(ended.stderr.contains("given up after 1 attempt: `tidemill notify --failed`"), "{}", ended.stderr);
    assert_eq!(notifications(&binary, 1)[0]["state"], "failed");
    assert_eq!(binary.run(&["notify"]).expect(0).json["notifications"], serde_json::json!([]));
    binary.run(&["notify", "--failed"]).expect(0);
    assert_eq!((notifications(&binary, 1)[0]["state"].as_str(), server.got().len()), (Some("sent"), 2));
}

#[test]
fn a_redirect_is_not_followed() {
    let inner = HttpServer::start(&[200]);
    let server = HttpServer::answering(vec![(302, format!("location: {}\r\n", inner.url()))]);
    let binary = binary(HOOK_SETTINGS);
    let ended = import(&binary, &["--notify-webhook", &server.url()]).expect(3);
    assert!(ended.stderr.contains("answered 302, and redirects are not followed"), "{}", ended.stderr);
    assert!(inner.got().is_empty());
    assert_eq!(notifications(&binary, 1)[0]["state"], "waiting");
}

#[test]
fn a_webhook_reaches_no_inner_network_unless_allowed() {
    let server = HttpServer::start(&[200]);
    let binary = binary("[notify]\nwait = 0.9\n");
    for url in
        [server.url(), "https://10.0.0.1/".to_owned(), "https://[::1]/".to_owned(), "http://x.example/".to_owned()]
    {
        let ended = import(&binary, &["--notify-webhook", &url]).expect(2);
        assert!(ended.error("message").contains("may not be called"), "{ended:?}");
        assert!(ended.error("hint").contains("allow_private"), "{ended:?}");
        assert!(!binary.store().exists(), "nothing has begun");
    }
    // What a name means is found out when it is called.
    let url = format!("https://localhost:{}/hook", server.port);
    let ended = import(&binary, &["--notify-webhook", &url]).expect(3);
    assert!(ended.stderr.contains("which is not public (this host)"), "{}", ended.stderr);
    assert!(server.got().is_empty());
}

#[test]
fn who_is_killed_between_the_job_and_its_message_leaves_it_to_the_next_command() {
    let server = HttpServer::start(&[0, 200]);
    let binary = binary("[webhook]\nallow_private = true\n[notify]\nwait = 30\n");
    let mut arguments = IMPORT.to_vec();
    let url = server.url();
    arguments.extend(["--notify-webhook", &url]);
    let mut child = binary.spawn(&arguments);
    // It is called when the job is done, and never answers.
    server.wait();
    child.kill().expect("it is ours");
    assert_eq!(finish(child).exit, None);
    let shown = binary.run(&["job", "show", "1"]).expect(0).json;
    assert_eq!(
        (shown["state"].as_str(), shown["notifications"][0]["state"].as_str()),
        (Some("finished"), Some("waiting"))
    );
    // The same command is refused, and tells nobody of anything.
    assert_eq!(binary.run(&arguments).expect(4).error("code"), "repeated_file");
    assert_eq!(server.got().len(), 1);
    binary.run(&["expire"]).expect(0);
    let got = server.got();
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].header("webhook-id"), &got[0].body), (got[1].header("webhook-id"), &got[1].body));
    assert_eq!(notifications(&binary, 1)[0]["state"], "sent");
    binary.run(&["expire"]).expect(0);
    assert_eq!(server.got().len(), 2, "what was sent is not sent again");
    binary.verify();
}

/// Webhooks of the library's tests.
fn hook_options() -> TellOptions {
    let webhook =
        WebhookOptions { secret: Some(Secret::new(SECRET)), allow_private: true, ..WebhookOptions::default() };
    TellOptions { webhook, ..TellOptions::default() }
}

fn hooks(url: String) -> Notify {
    Notify { emails: Vec::new(), webhooks: vec![url] }
}

fn tell(engine: &Engine) -> usize {
    engine.tell(&hook_options(), Told::Waiting, Duration::from_secs(10), || false).expect("the outbox is read").len()
}

#[test]
fn a_job_tells_no_crowd_and_nobody_twice() {
    let shop = Shop::new();
    shop.write("points.csv", credits(10));
    let (job, request) = credits_request(shop.path("points.csv"));
    let asked = |count: usize| {
        let notify = hooks(format!("https://x.example/{count}"));
        let emails = (1..count).map(|number| format!("a{number}@x.example"));
        let emails: Vec<String> = emails.clone().chain(emails).collect();
        JobRequest { notify: Notify { emails, ..notify }, ..job.clone() }
    };
    let error = shop.engine.import_points(&asked(51), &request, &Progress::default()).expect_err("a crowd");
    assert_eq!(error.message(), "51 are to be told of one job, and 50 can be");
    assert!(shop.engine.jobs().expect("they are read").is_empty());
    shop.engine.import_points(&asked(50), &request, &Progress::default()).expect("it ends");
    assert_eq!(shop.engine.outbox().expect("it is read").len(), 50);
}

#[test]
fn a_resumed_job_tells_once_and_only_when_it_has_ended() {
    let server = HttpServer::start(&[200]);
    let shop = Shop::new();
    shop.write("points.csv", credits(20_000));
    let (job, request) = credits_request(shop.path("points.csv"));
    let job = JobRequest { notify: hooks(server.url()), ..job };
    shop.engine.import_points(&job, &request, &stopping_after(1000)).expect_err("it stops");
    assert_eq!((tell(&shop.engine), server.got().len()), (0, 0), "a job that has not ended tells nobody");
    shop.resume(1).expect("it ends");
    shop.resume(1).expect("it has ended");
    assert_eq!(shop.engine.outbox().expect("it is read").len(), 1);
    assert_eq!((tell(&shop.engine), tell(&shop.engine), server.got().len()), (1, 0, 1));
}

#[test]
fn a_repeated_command_may_say_anew_whom_an_unfinished_job_tells() {
    let (first, second) = (HttpServer::start(&[200]), HttpServer::start(&[200]));
    let shop = Shop::new();
    shop.write("points.csv", credits(20_000));
    let (job, request) = credits_request(shop.path("points.csv"));
    let named = |server: &HttpServer| JobRequest { notify: hooks(server.url()), ..job.clone() };
    shop.engine.import_points(&named(&first), &request, &stopping_after(1000)).expect_err("it stops");
    shop.engine.import_points(&job, &request, &stopping_after(3000)).expect_err("it stops, and still tells the first");
    let known = |engine: &Engine| engine.job(JobId(1)).expect("it is there").rows.read;
    assert!(known(&shop.engine) < 20_000);
    shop.engine.import_points(&named(&second), &request, &Progress::default()).expect("it ends");
    assert_eq!((tell(&shop.engine), first.got().len(), second.got().len()), (1, 0, 1));
}

#[test]
fn a_repeated_command_that_names_nobody_tells_those_who_were_named() {
    let server = HttpServer::start(&[200]);
    let shop = Shop::new();
    shop.write("points.csv", credits(20_000));
    let (job, request) = credits_request(shop.path("points.csv"));
    let named = JobRequest { notify: hooks(server.url()), ..job.clone() };
    shop.engine.import_points(&named, &request, &stopping_after(1000)).expect_err("it stops");
    shop.engine.import_points(&job, &request, &Progress::default()).expect("it ends");
    assert_eq!((tell(&shop.engine), server.got().len()), (1, 1));
}

#[test]
fn a_job_that_is_given_up_tells_so() {
    let server = HttpServer::start(&[200]);
    let shop = Shop::new();
    shop.write("points.csv", credits(20_000));
    let (job, request) = credits_request(shop.path("points.csv"));
    let job = JobRequest { notify: hooks(server.url()), ..job };
    shop.engine.import_points(&job, &request, &stopping_after(1000)).expect_err("it stops");
    shop.engine.cancel(JobId(1)).expect("it is given up");
    shop.engine.cancel(JobId(1)).expect("it was given up");
    assert_eq!(tell(&shop.engine), 1);
    let body: serde_json::Value = serde_json::from_slice(&server.got()[0].body).expect("JSON");
    assert_eq!(body["state"], "cancelled");
}

#[test]
fn a_dry_run_tells_nobody_and_whom_a_job_tells_makes_no_other_job_of_it() {
    let server = HttpServer::start(&[200]);
    let binary = binary(HOOK_SETTINGS);
    binary.run(&["store", "set", "--time-zone", "UTC"]).expect(0);
    import(&binary, &["--notify-webhook", &server.url(), "--dry-run"]).expect(3);
    assert!(server.got().is_empty());
    import(&binary, &[]).expect(3);
    let ended = import(&binary, &["--notify-webhook", &server.url()]).expect(4);
    assert_eq!(ended.error("code"), "repeated_file");
    assert!(server.got().is_empty());
    assert_eq!(notifications(&binary, 1).len(), 0);
    binary.run(&["expire", "--notify-webhook", &server.url(), "--dry-run"]).expect(0);
    assert!(server.got().is_empty());
    binary.run(&["expire", "--notify-webhook", &server.url()]).expect(0);
    assert_eq!(server.got().len(), 1);
}

#[test]
fn no_text_of_a_file_or_a_person_becomes_a_header() {
    let server = SmtpServer::start(Smtp::Plain);
    let binary = binary(&smtp_settings(server.port));
    let evil = "x\r\nBcc: eve@evil.example\r\n\r\nhello";
    let name = "points\r\nBcc: eve@evil.example\r\n.csv";
    binary.write(name, format!("email,mobile,amount,operation,\"{evil}\"\nana@x.example,,\"{evil}\",CR,\n.,,.,.,\n"));
    let told = ["--notify-email", "ana@shop.example"];
    let mut arguments = vec!["import", "points", name, "--reason", evil, "--on-unknown", "create"];
    arguments.extend(told);
    binary.run(&arguments).expect(3);
    let taken = server.taken();
    assert_eq!((taken.len(), &taken[0].to), (1, &vec!["ana@shop.example".to_owned()]));
    let names: Vec<String> =
        taken[0].headers().iter().map(|line| line.split(':').next().unwrap_or_default().to_lowercase()).collect();
    assert!(!names.contains(&"bcc".to_owned()), "{}", taken[0].data);
    assert_eq!(names.len(), 8, "{names:?}");
    let (name, content) = taken[0].attachment().expect("the rejected rows");
    assert_eq!(name, "rejects-1.csv");
    assert_eq!(content, rejects(&binary).into_bytes());
}

#[test]
fn a_message_that_waits_holds_nothing_of_an_erased_person() {
    let server = SmtpServer::start(Smtp::Plain);
    let binary = binary(&(smtp_settings(server.port) + "[notify]\nwait = 0\n"));
    import(&binary, &["--notify-email", "boss@shop.example"]).expect(3);
    assert!(server.taken().is_empty(), "with no patience at all, it is left to `tidemill notify`");
    binary.write("again.csv", "email,mobile,amount,operation\nana@x.example,,much,CR\n");
    binary.run(&["import", "points", "again.csv", "--reason", "x", "--notify-email", "boss@shop.example"]).expect(3);
    binary.run(&["customer", "erase", "--email", "ana@x.example", "--yes"]).expect(0);
    binary.write("tidemill.toml", smtp_settings(server.port));
    binary.run(&["notify"]).expect(0);
    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    for letter in &taken {
        let (_, attached) = letter.attachment().expect("the rejected rows");
        let all = letter.text() + &String::from_utf8(attached).expect("text");
        assert!(!all.contains("ana@x.example"), "{all}");
    }
}

#[test]
fn settings_and_addresses_that_cannot_work_are_refused_before_anything_begins() {
    let told = ["--notify-email", "ana@shop.example"];
    let whole = smtp_settings(25);
    for (settings, flags, message) in [
        ("", &told[..], "`--notify-email` needs a server"),
        (whole.as_str(), &["--notify-email", "ana"], "no e-mail address"),
        (whole.as_str(), &["--notify-email", "a@x.example\r\nBcc: b@x.example"], "no e-mail address"),
        (&whole.replace("127.0.0.1", "mail.shop.example"), &told[..], "without TLS"),
        (&(whole.clone() + "username = \"tm\"\n"), &told[..], "`TIDEMILL_SMTP_PASSWORD` is not set"),
        (&(whole.clone() + "password = \"x\"\n"), &[][..], "put it into `TIDEMILL_SMTP_PASSWORD`"),
        ("[webhook]\nsecret = \"x\"\n", &[][..], "put it into `TIDEMILL_WEBHOOK_SECRET`"),
        ("", &["--notify-webhook", "shop.example"], "neither `https://` nor `http://`"),
    ] {
        let binary = binary(settings);
        let ended = import(&binary, flags).expect(2);
        assert!(ended.stdout.contains(message) || ended.stderr.contains(message), "{message}: {ended:?}");
        assert!(!binary.store().exists(), "{message}");
    }
    let binary = binary("").variable("TIDEMILL_WEBHOOK_SECRET", "");
    let ended = import(&binary, &["--notify-webhook", "https://shop.example/"]).expect(2);
    assert!(ended.error("message").contains("`TIDEMILL_WEBHOOK_SECRET` is not set"), "{ended:?}");
}

#[test]
fn a_service_tells_beside_its_jobs_and_leaves_the_store_free_when_it_goes() {
    let server = HttpServer::start(&[500, 200]);
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let file = directory.path().join("points.csv");
    std::fs::write(&file, credits(1000)).expect("a file is written");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without a clock");
    runtime.block_on(async {
        let service = Service::create(store.clone(), small_windows()).await.expect("a store");
        let service = service.telling(hook_options()).expect("a thread");
        let (job, request) = credits_request(file);
        let job = JobRequest { notify: hooks(server.url()), ..job };
        let summary = service.import_points(job, request).finish().await.expect("it ends");
        assert_eq!(summary.rows.read, 1000);
        server.wait();
        server.wait();
    });
    drop(runtime);
    let engine = Engine::open(&store, Options::default()).expect("the store is free");
    let shown = engine.job(JobId(1)).expect("it is there").notifications;
    assert!(shown[0].attempts >= 1, "{shown:?}");
    let got = server.got();
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
}
