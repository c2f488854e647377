//! A secret key under a passphrase, as text.
//!
//! ```text
//! passphrase, salt ── Argon2id ──► key ──┐
//! seed ──────────────────────────────────┴─ XChaCha20-Poly1305 ──► sealed; all lines before it are authenticated
//! ```
//! A checksum over everything tells damage from a wrong passphrase without running the derivation. It is no secret and
//! protects against accidents only.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::parse_hex;
use crate::{Domain, PublicKey, SecretKey, hash};

const HEADER: &str = "ledgerkit ed25519 encrypted secret key v0";
const CHECKSUM: Domain = Domain::new("ledgerkit key file checksum");

/// The longest text, with every number at its greatest.
pub(crate) const MAX_LENGTH: usize = 512;

/// How many random bytes it takes to seal a key: salt and nonce.
pub(crate) const RANDOM_BYTES: usize = SALT + NONCE;
const SALT: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;

/// What opens an encrypted key file. Its memory is overwritten when it is dropped, and it is never shown.
///
/// The bytes count as they are: of one text in two Unicode forms, each is a passphrase of its own.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes `passphrase` over, so that no copy stays behind.
    pub fn new(passphrase: impl Into<Vec<u8>>) -> Self {
        Passphrase(Zeroizing::new(passphrase.into()))
    }

    /// How many bytes it has. Whether that is enough is for whoever asks for one to say.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// What it costs to try a passphrase: the parameters of Argon2id (RFC 9106), stored in the key file.
///
/// The default is the RFC's second recommendation: 64 MiB, 3 passes, 4 lanes. The lanes are worked off one after the
/// other here, so they change the result and not the time. A file may ask for 8 MiB to 1 GiB, 1 to 16 lanes, and passes
/// over 4 GiB altogether: that is the most memory and time that a hostile file can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDerivation {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for KeyDerivation {
    fn default() -> Self {
        KeyDerivation { memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }
}

impl KeyDerivation {
    /// The least memory, in KiB: 8 MiB.
    pub const MIN_MEMORY_KIB: u32 = 8 << 10;
    /// The most memory, in KiB: 1 GiB.
    pub const MAX_MEMORY_KIB: u32 = 1 << 20;
    /// The most memory times passes, in KiB: 4 GiB.
    pub const MAX_WORK_KIB: u64 = 4 << 20;
    /// The most lanes.
    pub const MAX_LANES: u32 = 16;

    /// Other parameters: memory in KiB, passes over it, lanes. `None` where they are out of range.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let memory = (Self::MIN_MEMORY_KIB..=Self::MAX_MEMORY_KIB).contains(&memory_kib);
        let work = u64::from(memory_kib) * u64::from(passes) <= Self::MAX_WORK_KIB;
        let lanes_fit = (1..=Self::MAX_LANES).contains(&lanes);
        (memory && passes >= 1 && work && lanes_fit).then_some(KeyDerivation { memory_kib, passes, lanes })
    }

    fn derive(self, passphrase: &Passphrase, salt: &[u8; SALT]) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        let memory = OpenError::Memory { kib: self.memory_kib };
        // The ranges above lie well inside the algorithm's own, and so does every passphrase that fits into memory.
        let parameters = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| memory)?;
        let count = parameters.block_count();
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(count).map_err(|_| memory)?;
        blocks.resize(count, Block::new());
        let mut key = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        let derived = argon2.hash_password_into_with_memory(&passphrase.0, salt, key.as_mut(), &mut blocks[..]);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        derived.map_err(|_| memory)?;
        Ok(key)
    }
}

/// Why a sealed key wasn't made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    WrongPassphrase,
    Memory { kib: u32 },
}

/// The content of an encrypted key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedKey {
    public_key: PublicKey,
    derivation: KeyDerivation,
    salt: [u8; SALT],
    nonce: [u8; NONCE],
    sealed: [u8; 32],
    tag: [u8; TAG],
}

/// Whether a file's content is meant to be an encrypted key.
pub(crate) fn is_sealed(content: &[u8]) -> bool {
    content.starts_with(HEADER.as_bytes())
}

impl SealedKey {
    /// Seals `key`, with `random` bytes that were never used before.
    pub(crate) fn seal(
        key: &SecretKey,
        passphrase: &Passphrase,
        derivation: KeyDerivation,
        random: &[u8; RANDOM_BYTES],
    ) -> Result<Self, OpenError> {
        let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
        let (front, back) = random.split_at(SALT);
        salt.copy_from_slice(front);
        nonce.copy_from_slice(back);
        let (sealed, tag) = ([0; 32], [0; TAG]);
        let mut it = SealedKey { public_key: key.public_key(), derivation, salt, nonce, sealed, tag };
        let cipher = XChaCha20Poly1305::new(&(*derivation.derive(passphrase, &salt)?).into());
        let mut seed = Zeroizing::new(*key.seed());
        // It fails only for more bytes than the cipher can count.
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(nonce), it.authenticated().as_bytes(), seed.as_mut_slice().into())
            .map_err(|_| OpenError::WrongPassphrase)?;
        it.sealed = *seed;
        it.tag = tag.into();
        Ok(it)
    }

    /// The key.
    pub(crate) fn open(&self, passphrase: &Passphrase) -> Result<SecretKey, OpenError> {
        let cipher = XChaCha20Poly1305::new(&(*self.derivation.derive(passphrase, &self.salt)?).into());
        let mut seed = Zeroizing::new(self.sealed);
        let (nonce, tag) = (XNonce::from(self.nonce), Tag::from(self.tag));
        cipher
            .decrypt_inout_detached(&nonce, self.authenticated().as_bytes(), seed.as_mut_slice().into(), &tag)
            .map_err(|_| OpenError::WrongPassphrase)?;
        let key = SecretKey::from_seed(*seed);
        // The line was authenticated, so this holds unless whoever sealed it lied; then it is no key to sign with.
        if key.public_key() == self.public_key { Ok(key) } else { Err(OpenError::WrongPassphrase) }
    }

    /// The public key, by the file's own word.
    pub(crate) fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// All that is authenticated beside the seed.
    fn authenticated(&self) -> String {
        let KeyDerivation { memory_kib, passes, lanes } = self.derivation;
        format!(
            "{HEADER}\npublic-key {}\nargon2id memory-kib={memory_kib} passes={passes} lanes={lanes}\nsalt {}\nnonce {}\n",
            self.public_key,
            Hex(&self.salt),
            Hex(&self.nonce)
        )
    }

    /// The file's content.
    pub(crate) fn to_text(&self) -> String {
        let mut text = self.authenticated();
        text += &format!("sealed {}{}\n", Hex(&self.sealed), Hex(&self.tag));
        let checksum = hash(CHECKSUM, text.as_bytes());
        text += &format!("checksum {checksum}\n");
        text
    }

    /// Reads what [`SealedKey::to_text`] wrote, and nothing else.
    pub(crate) fn from_text(content: &[u8]) -> Result<Self, &'static str> {
        if content.len() > MAX_LENGTH {
            return Err("it is too long");
        }
        let text = std::str::from_utf8(content).map_err(|_| "it is not text")?;
        let rest = text.strip_suffix('\n').ok_or("it does not end after the checksum's line")?;
        let (above, checksum) = rest.rsplit_once('\n').ok_or("it has too few lines")?;
        let checksum = checksum.strip_prefix("checksum ").ok_or("the last line is not the checksum")?;
        let covered = content.get(..=above.len()).unwrap_or_default();
        if checksum.parse() != Ok(hash(CHECKSUM, covered)) {
            return Err("it is damaged: its checksum does not fit");
        }
        let mut lines = above.split('\n');
        let mut line = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        if line(HEADER) != Some("") {
            return Err("the header line is of another version");
        }
        let public_key =
            line("public-key ").and_then(|hex| hex.parse().ok()).ok_or("its public key's line is wrong")?;
        let derivation = line("argon2id ").and_then(derivation).ok_or("its Argon2id parameters are out of range")?;
        let salt = line("salt ").and_then(bytes).ok_or("its salt's line is wrong")?;
        let nonce = line("nonce ").and_then(bytes).ok_or("its nonce's line is wrong")?;
        let both = line("sealed ").and_then(bytes::<{ 32 + TAG }>).ok_or("its sealed key's line is wrong")?;
        let (mut sealed, mut tag) = ([0; 32], [0; TAG]);
        let (front, back) = both.split_at(32);
        sealed.copy_from_slice(front);
        tag.copy_from_slice(back);
        let key = SealedKey { public_key, derivation, salt, nonce, sealed, tag };
        // Whatever else could stand there: a number with a zero before it, a line more.
        if key.to_text() == text { Ok(key) } else { Err("it is not in its one form") }
    }
}

fn derivation(text: &str) -> Option<KeyDerivation> {
    let mut parts = text.split(' ');
    let mut number = |name: &str| parts.next()?.strip_prefix(name)?.parse().ok();
    KeyDerivation::new(number("memory-kib=")?, number("passes=")?, number("lanes=")?)
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    parse_hex(hex.as_bytes()).ok()
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::bytes::write_hex(self.0, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const CHEAP: KeyDerivation = KeyDerivation { memory_kib: KeyDerivation::MIN_MEMORY_KIB, passes: 1, lanes: 1 };

    fn sealed() -> SealedKey {
        let random = std::array::from_fn(|place| u8::try_from(place).unwrap());
        let key = SecretKey::from_seed([0xa5; 32]);
        SealedKey::seal(&key, &Passphrase::new("correct horse"), CHEAP, &random).unwrap()
    }

    /// `text` with a checksum that fits.
    fn with_checksum(text: &str) -> String {
        let covered = &text[..text.find("checksum ").unwrap()];
        format!("{covered}checksum {}\n", hash(CHECKSUM, covered.as_bytes()))
    }

    /// Also computed with Python's `cryptography`: Argon2id and ChaCha20-Poly1305 under HChaCha20's subkey.
    #[test]
    fn the_format_is_pinned() {
        assert_eq!(sealed().to_text(), include_str!("../tests/golden/encrypted.key"));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused_without_deriving_anything() {
        let text = sealed().to_text();
        assert_eq!(SealedKey::from_text(text.as_bytes()), Ok(sealed()));
        assert!(text.len() <= MAX_LENGTH);
        for place in 0..text.len() {
            for change in 1..=255 {
                let mut changed = text.clone().into_bytes();
                changed[place] ^= change;
                assert!(SealedKey::from_text(&changed).is_err(), "byte {place} with {change:#x}");
            }
            assert!(SealedKey::from_text(&text.as_bytes()[..place]).is_err());
        }
        for more in ["\n", " ", "\0", "checksum"] {
            assert!(SealedKey::from_text((text.clone() + more).as_bytes()).is_err());
        }
    }

    #[test]
    fn what_is_altered_under_a_fitting_checksum_is_no_other_key() {
        let text = sealed().to_text();
        let line = |name: &str| text.find(name).unwrap() + name.len();
        for place in ["public-key ", "salt ", "nonce ", "sealed "].map(line).into_iter().chain([line("sealed ") + 64]) {
            let mut altered = text.clone().into_bytes();
            altered[place] = if altered[place] == b'0' { b'1' } else { b'0' };
            let altered = with_checksum(&String::from_utf8(altered).unwrap());
            let sealed = SealedKey::from_text(altered.as_bytes()).unwrap();
            let opened = sealed.open(&Passphrase::new("correct horse"));
            assert_eq!(opened.unwrap_err(), OpenError::WrongPassphrase, "byte {place}");
        }
        let altered = with_checksum(&text.replace("passes=1", "passes=2"));
        let sealed = SealedKey::from_text(altered.as_bytes()).unwrap();
        assert_eq!(sealed.open(&Passphrase::new("correct horse")).unwrap_err(), OpenError::WrongPassphrase);
    }

    #[test]
    fn parameters_that_cost_too_much_or_too_little_are_refused_unused() {
        let text = sealed().to_text();
        let with = |parameters: &str| {
            let altered = with_checksum(&text.replace("memory-kib=8192 passes=1 lanes=1", parameters));
            SealedKey::from_text(altered.as_bytes())
        };
        assert!(with("memory-kib=1048576 passes=4 lanes=16").is_ok());
        for parameters in [
            "memory-kib=1073741824 passes=1 lanes=1",
            "memory-kib=1048577 passes=1 lanes=1",
            "memory-kib=8191 passes=1 lanes=1",
            "memory-kib=1048576 passes=5 lanes=1",
            "memory-kib=8192 passes=0 lanes=1",
            "memory-kib=8192 passes=4294967295 lanes=1",
            "memory-kib=8192 passes=1 lanes=0",
            "memory-kib=8192 passes=1 lanes=17",
            "memory-kib=08192 passes=1 lanes=1",
            "memory-kib=+8192 passes=1 lanes=1",
            "memory-kib=8192 passes=1 lanes=1 ",
            "memory-kib=8192 passes=1",
            "memory-kib=99999999999999 passes=1 lanes=1",
        ] {
            assert!(with(parameters).is_err(), "{parameters}");
        }
    }

    #[test]
    fn one_form_each() {
        let text = sealed().to_text();
        let upper = text.lines().nth(1).unwrap().to_ascii_uppercase().replace("PUBLIC-KEY", "public-key");
        for other in [
            text.replace(text.lines().nth(1).unwrap(), &upper),
            text.replace("salt ", "salt  "),
            text.replace("nonce ", "\nnonce "),
            text.replace("\nchecksum", "\nextra\nchecksum"),
            text.replace(" v0\n", " v1\n"),
            text.replace('\n', "\r\n"),
        ] {
            assert!(SealedKey::from_text(with_checksum(&other).as_bytes()).is_err(), "{other}");
        }
    }
}
