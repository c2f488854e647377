//! `ledgerkit keys` and `ledgerkit token`.

use crate::arguments::{KeysCommand, TokenOptions};
use crate::error::CliError;
use crate::output::Output;
use crate::passphrase::passphrase;
use ledger_api::Tokens;
use ledger_core::AccountId;
use ledger_crypto::{FileSigner, KeyDerivation, PublicKey, Signer as _};
use serde_json::json;
use std::path::Path;

pub(crate) fn run(command: &KeysCommand, output: Output) -> Result<(), CliError> {
    match command {
        KeysCommand::New { file, encrypt, passphrase: given } => {
            let signer = match encrypt {
                true => FileSigner::generate_encrypted(file, &passphrase(given.passphrase_file.as_deref(), true)?)?,
                false => FileSigner::generate(file)?,
            };
            answer(output, file, *encrypt, &signer.public_key())
        }
        KeysCommand::Show { file } => {
            let (encrypted, key) = FileSigner::peek(file)?;
            answer(output, file, encrypted, &key)
        }
        KeysCommand::Encrypt { file, to, passphrase: given } => {
            let key = FileSigner::open(file)?.into_secret_key();
            let passphrase = passphrase(given.passphrase_file.as_deref(), true)?;
            let signer = FileSigner::create_encrypted(to, key, &passphrase, KeyDerivation::default())?;
            answer(output, to, true, &signer.public_key())
        }
        KeysCommand::Decrypt { file, to, passphrase: given } => {
            let passphrase = passphrase(given.passphrase_file.as_deref(), false)?;
            let key = FileSigner::open_encrypted(file, &passphrase)?.into_secret_key();
            let signer = FileSigner::create(to, key)?;
            answer(output, to, false, &signer.public_key())
        }
    }
}

fn answer(output: Output, file: &Path, encrypted: bool, key: &PublicKey) -> Result<(), CliError> {
    let account = AccountId::of_ed25519(key);
    let value = json!({
        "file": file.display().to_string(),
        "encrypted": encrypted,
        "public_key": key.to_string(),
        "account": account.to_string(),
    });
    let kind = if encrypted { "encrypted" } else { "plain" };
    let text = format!("file        {} ({kind})\npublic key  {key}\naccount     {account}\n", file.display());
    output.answer(&value, &text)
}

/// Makes a token. Nothing keeps it: the file of tokens names it by its digest.
pub(crate) fn token(options: &TokenOptions, output: Output) -> Result<(), CliError> {
    let (token, digest) = Tokens::generate()?;
    let line = format!("{digest} {}", options.rights.join(","));
    let text = format!("token       {token}  (shown this once)\nline        {line}  (for the file of tokens)\n");
    output.answer(&json!({ "token": token, "line": line }), &text)
}
