//! Just enough HTTP/1.1 to serve a Lambda runtime and an AWS SDK, on blocking connections.
//!
//! Not one of the usual servers: a connection's own thread reads a request and writes its answer, so no time passes
//! between the two in which a scheduler decides who goes first. That time would be measured with the functions.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

/// More header lines than any SDK sends.
const HEADERS: usize = 64;

/// A request, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// `X-Amz-Target`: which operation of DynamoDB or SQS is called.
    pub target: Option<String>,
    pub body: Vec<u8>,
    /// When its last byte had been read.
    pub read_at: Instant,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    filled: usize,
}

/// How a request's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(usize),
    Chunked,
}

struct Head {
    method: String,
    path: String,
    target: Option<String>,
    length: usize,
    body: Body,
    expects_continue: bool,
}

impl<S: Read + Write> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; 16 * 1024], filled: 0 }
    }

    /// The next request; `None` when the client has closed the connection between two.
    pub fn read(&mut self) -> io::Result<Option<Request>> {
        let head = loop {
            if let Some(head) = parse_head(&self.buffer[..self.filled])? {
                break head;
            }
            if self.fill()? == 0 {
                return if self.filled == 0 { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        };
        if head.expects_continue {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (body, end) = loop {
            if let Some(found) = self.body(&head)? {
                break found;
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        };
        let read_at = Instant::now();
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Ok(Some(Request { method: head.method, path: head.path, target: head.target, body, read_at }))
    }

    /// Writes an answer made by [`answer`], or one like it.
    pub fn write(&mut self, answer: &[u8]) -> io::Result<()> {
        self.stream.write_all(answer)?;
        self.stream.flush()
    }

    /// The body and where it ends in the buffer, if all of it is there.
    fn body(&self, head: &Head) -> io::Result<Option<(Vec<u8>, usize)>> {
        let rest = &self.buffer[head.length..self.filled];
        let found = match head.body {
            Body::Length(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
            Body::Chunked => chunks(rest)?,
        };
        Ok(found.map(|(body, length)| (body, head.length + length)))
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        self.filled += read;
        Ok(read)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        target: None,
        length,
        body: Body::Length(0),
        expects_continue: false,
    };
    for header in &*request.headers {
        let value = String::from_utf8_lossy(header.value);
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            head.body = Body::Length(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.body = Body::Chunked;
        } else if header.name.eq_ignore_ascii_case("x-amz-target") {
            head.target = Some(value.into_owned());
        } else if header.name.eq_ignore_ascii_case("expect") {
            head.expects_continue = true;
        }
    }
    Ok(Some(head))
}

/// A chunked body and its length on the wire, if all of it is there.
fn chunks(bytes: &[u8]) -> io::Result<Option<(Vec<u8>, usize)>> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let parsed = httparse::parse_chunk_size(&bytes[at..])
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "not a chunk size"))?;
        let httparse::Status::Complete((line, size)) = parsed else { return Ok(None) };
        let start = at + line;
        if size == 0 {
            // Trailers, such as a checksum, end with an empty line, as the chunks without any do.
            let mut trailers = start;
            loop {
                let Some(end) = bytes[trailers..].windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
                trailers += end + 2;
                if end == 0 {
                    return Ok(Some((body, trailers)));
                }
            }
        }
        let end = start + usize::try_from(size).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if bytes.len() < end + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&bytes[start..end]);
        at = end + 2;
    }
}

/// An answer's bytes, its length among the headers.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Forwards a call to the engine, which checks no signature, and returns its response byte for byte.
pub fn forward<S: Read + Write>(stream: &mut S, request: &Request) -> io::Result<Vec<u8>> {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: {}\r\ncontent-type: application/x-amz-json-1.0\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=bench, SignedHeaders=host, Signature=0\r\n\
         x-amz-date: 20260131T120000Z\r\ncontent-length: {}\r\n\r\n",
        request.target.as_deref().unwrap_or_default(),
        request.body.len()
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    stream.write_all(&bytes)?;
    bytes.clear();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(length) = answer_length(&bytes)?
            && bytes.len() >= length
        {
            return Ok(bytes);
        }
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// How long an answer is, head and body, once its head is there.
fn answer_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let status = response.parse(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(head) = status else { return Ok(None) };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    match length {
        Some(body) => Ok(Some(head + body)),
        None => Err(io::Error::new(ErrorKind::InvalidData, "an answer without a length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A client that sends its bytes in these pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.pop_front() else { return Ok(0) };
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    impl Write for Pieces {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn requests(bytes: &[u8], piece: usize) -> Vec<(String, String, String)> {
        let mut connection = Connection::new(Pieces(bytes.chunks(piece).map(<[u8]>::to_vec).collect()));
        let mut read = Vec::new();
        while let Some(request) = connection.read().unwrap() {
            read.push((request.path, request.target.unwrap_or_default(), String::from_utf8(request.body).unwrap()));
        }
        read
    }

    #[test]
    fn separates_requests_however_their_bytes_arrive() {
        let bytes = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n\
            POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Length: 2\r\n\r\n{}\
            PUT /b/k HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n\
            PUT /b/l HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        let owned = |path: &str, target: &str, body: &str| (path.to_owned(), target.to_owned(), body.to_owned());
        let expected = [
            owned("/next", "", ""),
            owned("/", "DynamoDB_20120810.GetItem", "{}"),
            owned("/b/k", "", "abcde"),
            owned("/b/l", "", ""),
        ];
        for piece in [1, 7, 100, 10_000] {
            assert_eq!(requests(bytes, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn truncated_request_is_an_error() {
        let mut connection = Connection::new(Pieces([b"GET / HT".to_vec()].into()));
        assert_eq!(connection.read().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn response_has_content_length() {
        let bytes = answer("200 OK", &[("a", "b")], b"{}");
        assert_eq!(bytes, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\na: b\r\n\r\n{}");
    }
}
