//! Hashing many short messages of one length at once: [`hash_many`] and [`hash_each`].

use crate::{Digest, Domain, hash};
use blake3::IncrementCounter;
use blake3::platform::Platform;

/// The longest message that [`hash_many`] takes, in bytes: one chunk of BLAKE3, whose hash needs no tree.
pub const MAX_MANY_BYTES: usize = 1024;

/// Messages handed to BLAKE3 at once: as many as its widest code (AVX-512) compresses side by side.
const LANES: usize = 16;

// Flags of BLAKE3's compression function (BLAKE3 paper, table 3).
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Hashes each of `messages` in `domain` and writes the digests to `out`, in order: what [`hash`] gives for each, but
/// up to sixteen messages a time in the lanes of one vector register.
///
/// `N`, the messages' length in bytes, is a multiple of 64 from 64 to [`MAX_MANY_BYTES`]; any other is a compile error.
/// Returns how many digests were written: the length of the shorter of the two slices. The rest of `out` stays as it is.
///
/// ```
/// use ledger_crypto::{Digest, Domain, hash, hash_many};
/// const PAIR: Domain = Domain::new("my-app pair v1");
/// let mut digests = [Digest::ZERO; 2];
/// assert_eq!(hash_many(PAIR, &[[1; 64], [2; 64]], &mut digests), 2);
/// assert_eq!(digests, [hash(PAIR, &[1; 64]), hash(PAIR, &[2; 64])]);
/// ```
///
/// ```compile_fail
/// # use ledger_crypto::{Domain, hash_many};
/// hash_many(Domain::new("my-app pair v1"), &[[1; 65]], &mut []);
/// ```
pub fn hash_many<const N: usize>(domain: Domain, messages: &[[u8; N]], out: &mut [Digest]) -> usize {
    const { assert!(N > 0 && N.is_multiple_of(64) && N <= MAX_MANY_BYTES, "a multiple of 64 from 64 to 1024") };
    let platform = Platform::detect();
    let key = key_words(domain);
    for (messages, out) in messages.chunks(LANES).zip(out.chunks_mut(LANES)) {
        // The two differ in length in the last pair alone, where one of the slices ends.
        let count = messages.len().min(out.len());
        let Some(first) = messages.first() else { break };
        let mut inputs = [first; LANES];
        for (input, message) in inputs.iter_mut().zip(messages) {
            *input = message;
        }
        let mut digests = [0; 32 * LANES];
        platform.hash_many(
            inputs.get(..count).unwrap_or_default(),
            &key,
            0,
            IncrementCounter::No,
            KEYED_HASH,
            CHUNK_START,
            CHUNK_END | ROOT,
            &mut digests,
        );
        for (digest, bytes) in out.iter_mut().zip(digests.as_chunks::<32>().0).take(count) {
            *digest = Digest::new(*bytes);
        }
    }
    messages.len().min(out.len())
}

/// Hashes messages of one `length` that stand one behind the other in `messages`, and appends their digests to `out`,
/// in order: what [`hash`] gives for each.
///
/// Lengths that [`hash_many`] takes go through it; others are hashed one by one. What is left after the last whole
/// message is ignored, and a `length` of 0 gives nothing.
pub fn hash_each(domain: Domain, length: usize, messages: &[u8], out: &mut Vec<Digest>) {
    macro_rules! by_length {
        ($($length:literal)+) => {
            match length {
                0 => {}
                $($length => append::<$length>(domain, messages, out),)+
                _ => out.extend(messages.chunks_exact(length).map(|message| hash(domain, message))),
            }
        };
    }
    by_length!(64 128 192 256 320 384 448 512 576 640 704 768 832 896 960 1024);
}

fn append<const N: usize>(domain: Domain, messages: &[u8], out: &mut Vec<Digest>) {
    let (messages, _) = messages.as_chunks::<N>();
    let start = out.len();
    out.resize(start + messages.len(), Digest::ZERO);
    hash_many(domain, messages, out.get_mut(start..).unwrap_or_default());
}

/// The domain as BLAKE3's key.
fn key_words(domain: Domain) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(domain.padded().as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
