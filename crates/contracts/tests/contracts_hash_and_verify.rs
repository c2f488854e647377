//! Digests and signatures that contracts ask for are those of the standards.
#![allow(clippy::unwrap_used)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{Contract, HashFunction, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_crypto::MemorySigner;

/// Passes its arguments on to the host.
struct Crypto;

impl Contract for Crypto {
    fn name(&self) -> &str {
        "crypto"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "blake3" => Ok(host.hash(HashFunction::Blake3, arguments)?.to_vec()),
            "sha256" => Ok(host.hash(HashFunction::Sha256, arguments)?.to_vec()),
            _ => {
                let (key, rest) = arguments.split_first_chunk::<32>().unwrap();
                let (signature, message) = rest.split_first_chunk::<64>().unwrap();
                Ok(vec![host.verify(key, message, signature)?.into()])
            }
        }
    }
}

fn ask(method: &str, arguments: &[u8]) -> Vec<u8> {
    let alice = MemorySigner::from_seed([1; 32]);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Crypto)));
    let contract = ledger.deploy(&alice, NATIVE, b"crypto", b"").unwrap();
    let receipt = ledger.call(&alice, contract, method, arguments).unwrap().receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    receipt.output.to_vec()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn digests_are_those_of_published_vectors() {
    // FIPS 180-4's example, and the first vector of BLAKE3's.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let blake3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(ask("sha256", b"abc"), bytes(sha256));
    assert_eq!(ask("blake3", b""), bytes(blake3));
}

#[test]
fn signatures_are_plain_ed25519() {
    // RFC 8032, section 7.1, test 2.
    let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee\
         b00d291612bb0c00",
    );
    let verify = |key: &[u8], signature: &[u8], message: &[u8]| ask("verify", &[key, signature, message].concat());
    assert_eq!(verify(&key, &signature, &[0x72]), [1]);
    assert_eq!(verify(&key, &signature, &[0x73]), [0]);
    assert_eq!(verify(&key, &[7; 64], &[0x72]), [0]);
}

#[test]
fn a_weak_key_has_no_valid_signatures() {
    // The neutral element: R = A = 1 and s = 0 satisfy the equation for every message.
    let mut one = [0; 32];
    one[0] = 1;
    let signature = [one, [0; 32]].concat();
    let key = ledger_crypto::PublicKey::new(one);
    let raw = ledger_crypto::Signature::new(signature.clone().try_into().unwrap());
    assert!(ledger_crypto::verify_raw(&key, b"anything", &raw).is_ok());
    assert_eq!(ask("verify", &[&one, &*signature, b"anything"].concat()), [0]);
}
