//! Keys of simulated accounts: real signatures, or mocked ones where speed counts for more.

use ledger_core::{
    CertificateError, Finality, Header, SignatureCheck, SignedTransaction, TransactionError, TransactionId, Witness,
    domains,
};
use ledger_crypto::{Domain, Hasher, MemorySigner, PublicKey, Signature, SignatureError, Signer, SignerError};

const MOCK: Domain = Domain::new("ledgerkit.sim.signature");

/// A real key whose signatures are either its own or mocked: a hash of key, domain and message.
pub(crate) struct Keys {
    key: MemorySigner,
    public: PublicKey,
    mocked: bool,
}

impl Keys {
    pub(crate) fn new(seed: [u8; 32], mocked: bool) -> Self {
        let key = MemorySigner::from_seed(seed);
        Keys { public: key.public_key(), key, mocked }
    }
}

impl Signer for Keys {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SignerError> {
        if self.mocked { Ok(mock(&self.public, domain, message)) } else { self.key.sign(domain, message) }
    }
}

fn mock(key: &PublicKey, domain: Domain, message: &[u8]) -> Signature {
    let mut signature = [0; 64];
    for (half, number) in signature.as_chunks_mut::<32>().0.iter_mut().zip(0u8..) {
        let mut hasher = Hasher::new(MOCK);
        hasher.update(&[number]).update(key.as_bytes()).update(domain.name().as_bytes()).update(message);
        *half = *hasher.finalize().as_bytes();
    }
    Signature::new(signature)
}

/// What a node's signature check says of `transaction`.
pub(crate) fn check(transaction: &SignedTransaction, id: &TransactionId, mocked: bool) -> Result<(), TransactionError> {
    if !mocked {
        transaction.witness.check_key()?;
        return transaction.witness.verify(id);
    }
    let Witness::Ed25519 { key, signature } = &transaction.witness;
    match mock(key, domains::SIGN_TRANSACTION, id.0.as_bytes()) == *signature {
        true => Ok(()),
        false => Err(TransactionError::WrongSignature { key: *key, reason: SignatureError::Mismatch }),
    }
}

/// Whether a signature is its key's.
pub(crate) fn verifies(check: &SignatureCheck, mocked: bool) -> bool {
    match mocked {
        true => mock(&check.key, check.domain, &check.message) == check.signature,
        false => ledger_crypto::verify(&check.as_check()).is_ok(),
    }
}

/// A chain's finality whose signatures may be mocked.
pub(crate) struct SimulatedFinality {
    pub(crate) finality: Box<dyn Finality>,
    pub(crate) mocked: bool,
}

impl Finality for SimulatedFinality {
    fn checks(&self, header: &Header, certificate: &[u8]) -> Result<Vec<SignatureCheck>, CertificateError> {
        self.finality.checks(header, certificate)
    }

    fn verify(&self, header: &Header, certificate: &[u8]) -> Result<(), CertificateError> {
        let wrong = self.checks(header, certificate)?.into_iter().find(|check| !verifies(check, self.mocked));
        match wrong {
            None => Ok(()),
            Some(SignatureCheck { key, .. }) => {
                Err(CertificateError::Signature { height: header.height, key, reason: SignatureError::Mismatch })
            }
        }
    }
}
