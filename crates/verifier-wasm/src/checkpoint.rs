//! A checkpoint, and who has signed it.

use ledger_core::{Checkpoint, Genesis, TrustRoot, VerifiedCheckpoint, checkpoint, codec};
use ledger_crypto::PublicKey;

use crate::json::{array, error, head, object, text, words};

pub(crate) fn open(bytes: &[u8], trust: &[u8]) -> Result<(VerifiedCheckpoint, String), String> {
    // A genesis alone is a trust root's beginning, so that no bytes are both.
    let root = codec::decode::<TrustRoot>(trust)
        .or_else(|malformed| codec::decode::<Genesis>(trust).map(TrustRoot::new).map_err(|_| malformed));
    let root = root.map_err(|why| error(&why.to_string()))?;
    let verified = checkpoint::verify_bytes(&root, bytes).map_err(|why| error(&why.to_string()))?;
    let header = verified.header();
    let keys = signers(&root.genesis, verified.checkpoint());
    let shown = object(&[
        ("proven", words("checkpoint")),
        ("chain", text(&root.chain())),
        ("name", words(root.genesis.name.as_str())),
        ("engine", words(root.genesis.engine.name.as_str())),
        ("height", text(&header.height)),
        ("timestamp", text(&header.timestamp)),
        ("digest", text(&header.digest())),
        ("history", head(&header.history)),
        ("signed_by", array(&mut keys.iter().map(|key| text(key)))),
    ]);
    Ok((verified, shown.0))
}

/// Whose signatures the certificate of a verified checkpoint has; none where the genesis doesn't name them, because it is of a later epoch.
fn signers(genesis: &Genesis, checkpoint: &Checkpoint) -> Vec<PublicKey> {
    let checks = genesis.finality().ok().and_then(|finality| {
        let checks = finality.checks(&checkpoint.header, &checkpoint.certificate);
        checks.ok()
    });
    checks.unwrap_or_default().iter().map(|check| check.key).collect()
}
