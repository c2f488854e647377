//! Where a passphrase comes from: a file, the environment, or somebody at a terminal.

use crate::error::CliError;
use crate::files;
use ledger_crypto::Passphrase;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// The environment variable.
pub(crate) const VARIABLE: &str = "LEDGERKIT_PASSPHRASE";

/// The longest passphrase, in bytes.
const LONGEST: u64 = 1 << 10;

/// The passphrase: the first line of `file`, else the environment's, else asked for (twice where it is `new`).
pub(crate) fn passphrase(file: Option<&Path>, new: bool) -> Result<Passphrase, CliError> {
    let mut text = match file {
        Some(file) => Zeroizing::new(files::read(file, LONGEST)?),
        None => match std::env::var_os(VARIABLE) {
            Some(value) => Zeroizing::new(value.into_encoded_bytes()),
            None => ask(new)?,
        },
    };
    if let Some(end) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        text.truncate(end);
    }
    match text.is_empty() {
        true => Err(CliError::Passphrase { reason: "it is empty".into() }),
        false => Ok(Passphrase::new(std::mem::take(&mut *text))),
    }
}

fn ask(new: bool) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let failed = |error: std::io::Error| CliError::Passphrase { reason: error.to_string() };
    let input = std::io::stdin();
    if !input.is_terminal() {
        let reason = format!("give --passphrase-file or set {VARIABLE}; there is no terminal to ask at");
        return Err(CliError::Passphrase { reason });
    }
    let line = |prompt: &str| -> std::io::Result<Zeroizing<Vec<u8>>> {
        let mut screen = std::io::stderr().lock();
        write!(screen, "{prompt}: ")?;
        screen.flush()?;
        let mut typed = Zeroizing::new(Vec::with_capacity(1 << 10));
        std::io::stdin().lock().take(LONGEST).read_until(b'\n', &mut typed)?;
        writeln!(screen)?;
        Ok(typed)
    };
    let shown = tcgetattr(&input).map_err(|error| failed(error.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
    let typed = line("passphrase").and_then(|first| match new {
        true => line("the same again").map(|second| (first, Some(second))),
        false => Ok((first, None)),
    });
    tcsetattr(&input, OptionalActions::Now, &shown).map_err(|error| failed(error.into()))?;
    match typed.map_err(failed)? {
        (first, Some(second)) if *first != *second => {
            Err(CliError::Passphrase { reason: "the two that were typed differ".into() })
        }
        (first, _) => Ok(first),
    }
}
