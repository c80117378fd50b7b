//! The Lambda Runtime API (Lambda developer guide, "Using the Lambda runtime API") for one program, with a clock in it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::http::{Connection, Request, answer};
use crate::server::Server;

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const INVOCATION: &str = "/2018-06-01/runtime/invocation/";

/// What an event's handler may take, as announced to the program: longer than [`PATIENCE`], so that a slow machine is noticed
/// here and not taken for a function that gave up.
const DEADLINE: Duration = Duration::from_secs(60);

/// After so long without a word the program has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One event and its response.
#[derive(Debug)]
pub struct Invocation {
    pub handed_out: Instant,
    pub answered: Instant,
    pub body: Vec<u8>,
}

impl Invocation {
    /// The time from sending the event to receiving the whole response.
    pub fn duration(&self) -> Duration {
        self.answered.saturating_duration_since(self.handed_out)
    }
}

/// The program's requests to the Runtime API.
enum Word {
    /// It asks for an event.
    Next(Instant),
    Answer(Invocation),
    /// It could not start, or a handler failed.
    Error(String),
}

/// The API of one program.
#[derive(Debug)]
pub struct RuntimeApi {
    server: Server,
    events: Sender<Arc<str>>,
    words: Receiver<Word>,
}

struct Shared {
    events: Mutex<Receiver<Arc<str>>>,
    words: Mutex<Sender<Word>>,
    handed_out: Mutex<Option<Instant>>,
    count: AtomicU64,
}

impl RuntimeApi {
    pub fn start() -> Result<Self> {
        let (events, waiting) = mpsc::channel();
        let (said, words) = mpsc::channel();
        let shared = Arc::new(Shared {
            events: Mutex::new(waiting),
            words: Mutex::new(said),
            handed_out: Mutex::default(),
            count: AtomicU64::new(1),
        });
        let server = Server::start(move |stream| shared.serve(stream))?;
        Ok(Self { server, events, words })
    }

    /// Where the program finds it: `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Waits until the program asks for its first event; returns when it did.
    pub fn first_next(&self) -> Result<Instant> {
        match self.word()? {
            Word::Next(at) => Ok(at),
            Word::Answer(_) => bail!("it answered an event that it was not given"),
            Word::Error(error) => bail!("it reports an error: {error}"),
        }
    }

    /// Hands out the events, each as soon as the program asks for it, and waits until it has answered all and asks again.
    pub fn invoke(&self, events: impl IntoIterator<Item = Arc<str>>) -> Result<Vec<Invocation>> {
        let mut count = 0;
        for event in events {
            self.events.send(event)?;
            count += 1;
        }
        let (mut answers, mut nexts) = (Vec::with_capacity(count), 0);
        while answers.len() < count || nexts < count {
            match self.word()? {
                Word::Next(_) => nexts += 1,
                Word::Answer(invocation) => answers.push(invocation),
                Word::Error(error) => bail!("it reports an error: {error}"),
            }
        }
        Ok(answers)
    }

    fn word(&self) -> Result<Word> {
        match self.words.recv_timeout(PATIENCE) {
            Ok(word) => Ok(word),
            Err(RecvTimeoutError::Timeout) => bail!("it has not said a word for {} seconds", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("the Runtime API ended"),
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut connection = Connection::new(stream);
        while let Some(request) = connection.read()? {
            if request.method == "GET" && request.path == NEXT {
                self.say(Word::Next(request.read_at));
                let event = self.events.lock().unwrap_or_else(PoisonError::into_inner).recv();
                // Measuring is over.
                let Ok(event) = event else { return Ok(()) };
                let bytes = self.handing_out(&event);
                *self.handed_out.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                connection.write(&bytes)?;
            } else {
                self.heard(request);
                connection.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
            }
        }
        Ok(())
    }

    fn heard(&self, request: Request) {
        let answered = request.path.starts_with(INVOCATION) && request.path.ends_with("/response");
        let handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.say(match handed_out {
            Some(handed_out) if answered => {
                Word::Answer(Invocation { handed_out, answered: request.read_at, body: request.body })
            }
            _ => Word::Error(format!("{} {}", request.path, String::from_utf8_lossy(&request.body))),
        });
    }

    fn say(&self, word: Word) {
        // Nobody listens any more when measuring is over.
        let _ = self.words.lock().unwrap_or_else(PoisonError::into_inner).send(word);
    }

    fn handing_out(&self, event: &str) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        answer(
            "200 OK",
            &[
                ("content-type", "application/json"),
                ("lambda-runtime-aws-request-id", &format!("00000000-0000-4000-8000-{count:012}")),
                ("lambda-runtime-deadline-ms", &(now + DEADLINE).as_millis().to_string()),
                ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:bench:1"),
                ("lambda-runtime-trace-id", "Root=1-65b00000-000000000000000000000000;Sampled=0"),
            ],
            event.as_bytes(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::thread;

    fn say(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    #[test]
    fn sends_events_and_times_responses() {
        let api = RuntimeApi::start().unwrap();
        let address = api.address();
        let program = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            for _ in 0..2 {
                let event = say(&mut stream, &format!("GET {NEXT} HTTP/1.1\r\n\r\n"));
                assert!(event.starts_with("HTTP/1.1 200") && event.ends_with("\r\n\r\n{\"a\":1}"), "{event}");
                assert!(event.contains("lambda-runtime-aws-request-id") && event.contains("deadline-ms"), "{event}");
                thread::sleep(Duration::from_millis(3));
                let answer = format!("POST {INVOCATION}id/response HTTP/1.1\r\ncontent-length: 2\r\n\r\n{{}}");
                assert!(say(&mut stream, &answer).starts_with("HTTP/1.1 202"));
            }
            stream.write_all(format!("GET {NEXT} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
            stream
        });
        api.first_next().unwrap();
        let answers = api.invoke(std::iter::repeat_n(Arc::from("{\"a\":1}"), 2)).unwrap();
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|invocation| invocation.body == b"{}"));
        assert!(answers.iter().all(|invocation| invocation.duration() >= Duration::from_millis(3)));
        program.join().unwrap();
    }

    #[test]
    fn program_error_ends_the_measurement() {
        let api = RuntimeApi::start().unwrap();
        let mut stream = TcpStream::connect(api.address()).unwrap();
        say(&mut stream, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\ncontent-length: 3\r\n\r\nbad");
        assert!(api.first_next().unwrap_err().to_string().contains("init/error bad"));
    }
}
