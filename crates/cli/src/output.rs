//! Answers, for people or for programs.

use crate::error::CliError;
use serde_json::{Value, json};
use std::io::Write as _;

/// How a command answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// As JSON.
    pub(crate) json: bool,
}

impl Output {
    /// Writes an answer: `text` for people, `value` for programs.
    pub(crate) fn answer(self, value: &Value, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        let written = match self.json {
            true => writeln!(out, "{value}"),
            false => write!(out, "{text}"),
        };
        match written.and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(CliError::Output { error }),
        }
    }

    /// Writes an error, with its causes.
    pub(crate) fn error(self, error: &CliError) {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            let text = error.to_string();
            // Errors that are passed on unchanged would be told twice.
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        let line = match self.json {
            true => json!({ "error": message }).to_string(),
            false => format!("error: {message}"),
        };
        // There is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
