//! A Lambda function that does nothing: it asks the Runtime API for an event and gives a constant answer, for ever, over
//! one connection.
//!
//! It is measured beside the functions, in the same minutes on the same cores. What it takes is what starting a process
//! and exchanging four small messages take here; the rest of a function's time is its own.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// What API Gateway would be answered.
const ANSWER: &str = r#"{"statusCode":200,"headers":{},"multiValueHeaders":{},"body":"{}","isBase64Encoded":false}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let stream = TcpStream::connect(&api)?;
    // A request is one write; waiting for more to send with it would only delay it.
    stream.set_nodelay(true)?;
    let mut connection = BufReader::new(stream);
    let mut event = Vec::new();
    loop {
        let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {api}\r\n\r\n");
        let id = exchange(&mut connection, &next, &mut event)?.ok_or("an event without a request id")?;
        let answer = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {api}\r\ncontent-length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        );
        exchange(&mut connection, &answer, &mut event)?;
    }
}

/// Sends a request and reads the answer's body; returns the invocation's id if the answer names one.
fn exchange(
    connection: &mut BufReader<TcpStream>,
    request: &str,
    body: &mut Vec<u8>,
) -> Result<Option<String>, Box<dyn Error>> {
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut length, mut id, mut line) = (0, None, String::new());
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err("the Runtime API closed the connection".into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("lambda-runtime-aws-request-id") {
            id = Some(value.trim().to_owned());
        }
    }
    body.resize(length, 0);
    connection.read_exact(body)?;
    Ok(id)
}
