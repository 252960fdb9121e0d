//! An SMTP server and an HTTP server on loopback that keep what they are told, each on a thread of its own that ends with the
//! tests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};

/// An e-mail that a server took.
#[derive(Clone, Debug)]
pub struct Taken {
    pub from: String,
    pub to: Vec<String>,
    /// User and password, if they were told.
    pub login: Option<(String, String)>,
    pub is_encrypted: bool,
    pub data: String,
}

impl Taken {
    /// The lines of the header, without continuation.
    pub fn headers(&self) -> Vec<String> {
        let (head, _) = self.data.split_once("\r\n\r\n").expect("a header");
        head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n").map(str::to_owned).collect()
    }

    pub fn header(&self, name: &str) -> String {
        let start = format!("{}:", name.to_lowercase());
        let found = self.headers().into_iter().find(|line| line.to_lowercase().starts_with(&start));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.data))[start.len()..].trim().to_owned()
    }

    /// The text of the first part, decoded.
    pub fn text(&self) -> String {
        let part = match self.boundary() {
            Some(boundary) => self.data.split(&boundary).nth(1).expect("a part").to_owned(),
            None => self.data.clone(),
        };
        let (head, body) = part.split_once("\r\n\r\n").expect("a header of the part");
        if head.contains("base64") {
            return String::from_utf8(BASE64_STANDARD.decode(body.replace("\r\n", "")).expect("base64")).expect("text");
        }
        if !head.contains("quoted-printable") {
            return body.to_owned();
        }
        let joined = body.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut pieces = joined.split('=');
        bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
        for piece in pieces {
            bytes.push(u8::from_str_radix(&piece[..2], 16).expect("two hex digits"));
            bytes.extend_from_slice(&piece.as_bytes()[2..]);
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Name and content of the attachment.
    pub fn attachment(&self) -> Option<(String, Vec<u8>)> {
        let part = self.data.split(&self.boundary()?).nth(2)?;
        let (head, body) = part.split_once("\r\n\r\n").expect("a header of the part");
        let name = head.split("filename=\"").nth(1).expect("a name").split('"').next().expect("its end");
        let body: String = body.split_whitespace().collect();
        Some((name.to_owned(), BASE64_STANDARD.decode(body).expect("base64")))
    }

    fn boundary(&self) -> Option<String> {
        let kind = self.header("content-type");
        Some(format!("--{}", kind.split("boundary=\"").nth(1)?.split('"').next()?))
    }
}

/// How an SMTP server is protected, or fails.
#[derive(Clone)]
pub enum Smtp {
    Plain,
    StartTls(Arc<ServerConfig>),
    Tls(Arc<ServerConfig>),
    /// Takes the connection, and says nothing.
    Hanging,
    /// Refuses every recipient, with this line.
    Refusing(&'static str),
}

/// A running SMTP server.
pub struct SmtpServer {
    pub port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
}

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

impl SmtpServer {
    pub fn start(kind: Smtp) -> SmtpServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let shelf = Arc::clone(&taken);
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                if matches!(kind, Smtp::Hanging) {
                    open.push(stream);
                    continue;
                }
                let (kind, shelf) = (kind.clone(), Arc::clone(&shelf));
                // Whoever breaks off in the middle is not served.
                thread::spawn(move || serve_smtp(stream, &kind, &shelf));
            }
        });
        SmtpServer { port, taken }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().expect("no panic").clone()
    }
}

fn encrypted(stream: Box<dyn Both>, config: &Arc<ServerConfig>) -> Box<dyn Both> {
    Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).expect("a server"), stream))
}

fn line_of(stream: &mut dyn Both) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).ok().map(|line| line.trim_end().to_owned())
}

fn serve_smtp(stream: TcpStream, kind: &Smtp, shelf: &Mutex<Vec<Taken>>) -> Option<()> {
    let mut is_encrypted = matches!(kind, Smtp::Tls(_));
    let mut stream: Box<dyn Both> = match kind {
        Smtp::Tls(config) => encrypted(Box::new(stream), config),
        _ => Box::new(stream),
    };
    let mut letter = Taken { from: String::new(), to: Vec::new(), login: None, is_encrypted, data: String::new() };
    stream.write_all(b"220 sink\r\n").ok()?;
    while let Some(line) = line_of(&mut *stream) {
        let word = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer: &[u8] = match (word.as_str(), kind) {
            ("EHLO", Smtp::StartTls(_)) if !is_encrypted => b"250-sink\r\n250 STARTTLS\r\n",
            ("EHLO", _) => b"250-sink\r\n250 AUTH PLAIN\r\n",
            ("STARTTLS", Smtp::StartTls(config)) => {
                stream.write_all(b"220 go\r\n").ok()?;
                stream = encrypted(stream, config);
                is_encrypted = true;
                continue;
            }
            ("AUTH", _) => {
                let told = BASE64_STANDARD.decode(line.split(' ').nth(2)?).ok()?;
                let told = String::from_utf8(told).ok()?;
                let mut parts = told.split('\0').skip(1).map(str::to_owned);
                letter.login = parts.next().zip(parts.next());
                b"235 ok\r\n"
            }
            ("MAIL", _) => {
                letter.from = line.clone();
                b"250 ok\r\n"
            }
            ("RCPT", Smtp::Refusing(answer)) => answer.as_bytes(),
            ("RCPT", _) => {
                letter.to.push(line.split(['<', '>']).nth(1)?.to_owned());
                b"250 ok\r\n"
            }
            ("DATA", _) => {
                stream.write_all(b"354 go\r\n").ok()?;
                while let Some(line) = line_of(&mut *stream).filter(|line| line != ".") {
                    letter.data += line.strip_prefix('.').unwrap_or(&line);
                    letter.data += "\r\n";
                }
                letter.is_encrypted = is_encrypted;
                shelf.lock().ok()?.push(letter.clone());
                (letter.data, letter.to) = (String::new(), Vec::new());
                b"250 taken\r\n"
            }
            ("QUIT", _) => {
                stream.write_all(b"221 bye\r\n").ok()?;
                return None;
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).ok()?;
    }
    None
}

/// A server's certificate for `localhost` and the one that signed it, as PEM.
pub fn certificates() -> (Arc<ServerConfig>, String) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let own = own.signed_by(&key, &issuer).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a server");
    (Arc::new(config), pem)
}

/// A request that a server got.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or_else(|| panic!("no {name} in {:?}", self.headers), |(_, value)| value)
    }
}

/// A running HTTP server, which gives these answers, the last one for ever.
pub struct HttpServer {
    pub port: u16,
    got: Arc<Mutex<Vec<Request>>>,
    arrived: Receiver<()>,
}

/// An answer: a status and more lines of the header. 0 is none at all.
pub type Answer = (u16, String);

impl HttpServer {
    pub fn start(answers: &[u16]) -> HttpServer {
        HttpServer::answering(answers.iter().map(|&status| (status, String::new())).collect())
    }

    pub fn answering(answers: Vec<Answer>) -> HttpServer {
        HttpServer::over(answers, None)
    }

    /// The same, with TLS if there is a certificate.
    pub fn over(answers: Vec<Answer>, tls: Option<Arc<ServerConfig>>) -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (arrive, arrived) = channel();
        let shelf = Arc::clone(&got);
        thread::spawn(move || {
            let mut open = Vec::new();
            let mut answered = 0;
            for stream in listener.incoming().flatten() {
                let mut stream: Box<dyn Both> = match &tls {
                    Some(config) => encrypted(Box::new(stream), config),
                    None => Box::new(stream),
                };
                let answer = &answers[answered.min(answers.len() - 1)];
                if serve_http(&mut *stream, answer, &shelf, &arrive).is_some() {
                    answered += 1;
                }
                if answer.0 == 0 {
                    open.push(stream);
                }
            }
        });
        HttpServer { port, got, arrived }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub fn got(&self) -> Vec<Request> {
        self.got.lock().expect("no panic").clone()
    }

    /// Waits for the next request.
    pub fn wait(&self) {
        self.arrived.recv_timeout(Duration::from_secs(60)).expect("somebody calls");
    }
}

fn serve_http(
    stream: &mut dyn Both,
    (status, more): &Answer,
    shelf: &Mutex<Vec<Request>>,
    arrive: &Sender<()>,
) -> Option<()> {
    let mut reader = BufReader::new(&mut *stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let mut request = Request { line: line.trim_end().to_owned(), headers: Vec::new(), body: Vec::new() };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        request.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    request.body = vec![0; request.header("content-length").parse().ok()?];
    reader.read_exact(&mut request.body).ok()?;
    shelf.lock().ok()?.push(request);
    if *status > 0 {
        let answer = format!("HTTP/1.1 {status} it is\r\nconnection: close\r\ncontent-length: 2\r\n{more}\r\nok");
        stream.write_all(answer.as_bytes()).ok()?;
        stream.flush().ok()?;
    }
    let _ = arrive.send(());
    Some(())
}
