//! The processes of a local stack's functions. Linux only: they are found in `/proc`.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to each process that calls AWS at this endpoint, as no other stack's does: those of one function, or of all.
/// Returns their number.
pub fn signal(endpoint: &str, function: Option<&str>, signal: Signal) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let functions = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(process.path().join("environ")).ok()?;
        is_function(&environment, endpoint, function).then(|| Pid::from_raw(pid)).flatten()
    });
    functions.filter(|pid| kill_process(*pid, signal).is_ok()).count()
}

/// Whether a process with these variables is that function, or any, of the stack at this endpoint.
fn is_function(environment: &[u8], endpoint: &str, function: Option<&str>) -> bool {
    const NAME: &str = "AWS_LAMBDA_FUNCTION_NAME=";
    let variables: Vec<_> = environment.split(|byte| *byte == 0).collect();
    let named = match function {
        Some(function) => variables.contains(&format!("{NAME}{function}").as_bytes()),
        None => variables.iter().any(|variable| variable.starts_with(NAME.as_bytes())),
    };
    named && variables.contains(&format!("AWS_ENDPOINT_URL={endpoint}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_functions_of_the_own_stack() {
        let endpoint = "http://127.0.0.1:4576";
        let own = b"PATH=/bin\0AWS_LAMBDA_FUNCTION_NAME=get\0AWS_ENDPOINT_URL=http://127.0.0.1:4576\0";
        assert!(is_function(own, endpoint, None) && is_function(own, endpoint, Some("get")));
        assert!(!is_function(own, endpoint, Some("ge")), "another function");
        for other in [
            b"AWS_LAMBDA_FUNCTION_NAME=get\0AWS_ENDPOINT_URL=http://127.0.0.1:45760\0".as_slice(),
            b"AWS_LAMBDA_FUNCTION_NAME=get\0",
            b"AWS_ENDPOINT_URL=http://127.0.0.1:4576\0",
            b"",
        ] {
            assert!(!is_function(other, endpoint, None), "{}", String::from_utf8_lossy(other));
        }
    }
}
