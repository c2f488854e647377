//! A secret key in a file, plain or under a passphrase.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::sealed_key::{self, KeyDerivation, OpenError, Passphrase, SealedKey};
use crate::{Domain, MemorySigner, PublicKey, SecretKey, Signature, Signer, SignerError, bytes, files};

const HEADER: &str = "ledgerkit ed25519 secret key v0\n";

/// Length of a plain key file: header, 64 hex digits, line end.
const LENGTH: usize = HEADER.len() + 65;

/// The most that is read of a key file of either kind.
const LONGEST: usize = if LENGTH > sealed_key::MAX_LENGTH { LENGTH } else { sealed_key::MAX_LENGTH };

/// Why a key file wasn't made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is a file already, which is never overwritten.
    #[error("key file {} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no file.
    #[error("key file {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or change the file (on Unix).
    #[error("key file {} has mode {mode:04o}: only its owner may have access (chmod 600)", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file isn't a regular one.
    #[error("key file {} is not a regular file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// The content isn't a key file's.
    #[error("key file {} is not in the form of a version-0 key file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never the content.
        reason: &'static str,
    },
    /// The file is encrypted, and no passphrase was given.
    #[error("key file {} is encrypted: it takes its passphrase", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase was given, but the file is plain.
    #[error("key file {} is not encrypted", path.display())]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The file is whole, but the passphrase doesn't open it. Damage by accident is [`KeyFileError::Malformed`]; who
    /// changes the file *and* its checksum on purpose can't be told from a wrong passphrase.
    #[error("the passphrase does not open key file {} (or the file was altered on purpose)", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The machine hasn't the memory that the key derivation takes.
    #[error("key file {} takes {kib} KiB of memory to open, which this machine has not got", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// What it takes.
        kib: u32,
    },
    /// The operating system has no randomness to give.
    #[error("cannot make a key for {}", path.display())]
    Randomness {
        /// The file that was to be made.
        path: PathBuf,
        /// Why.
        #[source]
        error: SignerError,
    },
    /// Reading or writing failed.
    #[error("cannot {action} key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed: "write" or "read".
        action: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Signs with a key from a file, read once when it is opened.
///
/// A **plain** file is text: the line `ledgerkit ed25519 secret key v0` and a line of 64 hex digits, the seed. Who can
/// read it can sign. An **encrypted** one takes its passphrase too: the seed is sealed with XChaCha20-Poly1305 under a
/// key that Argon2id derives from the passphrase ([`KeyDerivation`]); `docs/format.md` has its lines. Either is made for
/// its owner alone (mode 0600), and on Unix one that others have any access to is refused. A file appears whole or not
/// at all; a crash while it is made may leave one beside it whose name ends in `.new`, which counts for nothing.
///
/// ```
/// use ledger_crypto::{FileSigner, KeyFileError, Passphrase, Signer};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("validator.key");
/// let made = FileSigner::generate_encrypted(&path, &Passphrase::new("correct horse battery staple"))?;
/// let opened = FileSigner::open_encrypted(&path, &Passphrase::new("correct horse battery staple"))?;
/// assert_eq!(opened.public_key(), made.public_key());
///
/// let wrong = FileSigner::open_encrypted(&path, &Passphrase::new("correct horse"));
/// assert!(matches!(wrong, Err(KeyFileError::WrongPassphrase { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileSigner {
    path: PathBuf,
    signer: MemorySigner,
}

/// What a key file holds.
enum Content {
    Plain(SecretKey),
    Sealed(SealedKey),
}

impl FileSigner {
    /// Makes a new key and its plain file, which must not exist yet. Both survive power loss once this returns.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn generate(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        let key = new_key(&path)?;
        Self::create(path, key)
    }

    /// Puts `key` into a new plain file, which must not exist yet. It survives power loss once this returns.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn create(path: impl Into<PathBuf>, key: SecretKey) -> Result<Self, KeyFileError> {
        Self::write(path.into(), key, |key, _| Ok(encode(key)))
    }

    /// Makes a new key and its encrypted file, which must not exist yet. Both survive power loss once this returns.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn generate_encrypted(path: impl Into<PathBuf>, passphrase: &Passphrase) -> Result<Self, KeyFileError> {
        let path = path.into();
        let key = new_key(&path)?;
        Self::create_encrypted(path, key, passphrase, KeyDerivation::default())
    }

    /// Puts `key` into a new encrypted file, which must not exist yet. It survives power loss once this returns. It
    /// takes the memory and time that `derivation` asks for.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn create_encrypted(
        path: impl Into<PathBuf>,
        key: SecretKey,
        passphrase: &Passphrase,
        derivation: KeyDerivation,
    ) -> Result<Self, KeyFileError> {
        Self::write(path.into(), key, |key, path| {
            let mut random = Zeroizing::new([0; sealed_key::RANDOM_BYTES]);
            getrandom::fill(random.as_mut()).map_err(|error| KeyFileError::Randomness {
                path: path.to_owned(),
                error: SignerError::Unavailable(Box::new(error)),
            })?;
            let sealed = SealedKey::seal(key, passphrase, derivation, &random);
            let sealed = sealed.map_err(|error| opening(path, error))?;
            Ok(Zeroizing::new(sealed.to_text().into_bytes()))
        })
    }

    fn write(
        path: PathBuf,
        key: SecretKey,
        content: impl FnOnce(&SecretKey, &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError>,
    ) -> Result<Self, KeyFileError> {
        // Said before a long derivation; what counts is that the file is never replaced.
        if path.symlink_metadata().is_ok() {
            return Err(KeyFileError::Exists { path });
        }
        let content = content(&key, &path)?;
        match files::create(&path, &content) {
            Ok(()) => Ok(Self { path, signer: MemorySigner::new(key) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyFileError::Exists { path }),
            Err(error) => Err(KeyFileError::Io { path, action: "write", error }),
        }
    }

    /// Opens a plain key file.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file; its content never appears.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        match read(&path)? {
            Content::Plain(key) => Ok(Self { path, signer: MemorySigner::new(key) }),
            Content::Sealed(_) => Err(KeyFileError::Encrypted { path }),
        }
    }

    /// Opens an encrypted key file. It takes the memory and time that the file asks for, within [`KeyDerivation`]'s
    /// limits.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file; its content never appears.
    pub fn open_encrypted(path: impl Into<PathBuf>, passphrase: &Passphrase) -> Result<Self, KeyFileError> {
        let path = path.into();
        match read(&path)? {
            Content::Plain(_) => Err(KeyFileError::NotEncrypted { path }),
            Content::Sealed(sealed) => match sealed.open(passphrase) {
                Ok(key) => Ok(Self { path, signer: MemorySigner::new(key) }),
                Err(error) => Err(opening(&path, error)),
            },
        }
    }

    /// Whether a key file is encrypted, and the public key that it names. No passphrase is asked for, so an encrypted
    /// file's word is taken for the key.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file; its content never appears.
    pub fn peek(path: impl AsRef<Path>) -> Result<(bool, PublicKey), KeyFileError> {
        Ok(match read(path.as_ref())? {
            Content::Plain(key) => (false, key.public_key()),
            Content::Sealed(sealed) => (true, sealed.public_key()),
        })
    }

    /// The key itself, to be put into another file.
    pub fn into_secret_key(self) -> SecretKey {
        self.signer.into_secret_key()
    }

    /// Where the key is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Signer for FileSigner {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SignerError> {
        self.signer.sign(domain, message)
    }
}

fn new_key(path: &Path) -> Result<SecretKey, KeyFileError> {
    SecretKey::generate().map_err(|error| KeyFileError::Randomness { path: path.to_owned(), error })
}

fn opening(path: &Path, error: OpenError) -> KeyFileError {
    let path = path.to_owned();
    match error {
        OpenError::WrongPassphrase => KeyFileError::WrongPassphrase { path },
        OpenError::Memory { kib } => KeyFileError::Memory { path, kib },
    }
}

fn read(path: &Path) -> Result<Content, KeyFileError> {
    let at = || path.to_owned();
    let io = |error| KeyFileError::Io { path: at(), action: "read", error };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyFileError::Missing { path: at() }),
        Err(error) => return Err(io(error)),
    };
    // Asked of the open file, so that it can't be another one by the time it is read.
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile { path: at() });
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: at(), mode });
        }
    }
    // The buffer never grows, so no copy of the secret is left behind in freed memory.
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut content).map_err(io)?;
    let found = match sealed_key::is_sealed(&content) {
        true => SealedKey::from_text(&content).map(Content::Sealed),
        false => decode(&content).map(Content::Plain),
    };
    found.map_err(|reason| KeyFileError::Malformed { path: at(), reason })
}

fn encode(key: &SecretKey) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::with_capacity(LENGTH));
    content.extend_from_slice(HEADER.as_bytes());
    for byte in key.seed() {
        content.extend([byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
    }
    content.push(b'\n');
    content
}

fn decode(content: &[u8]) -> Result<SecretKey, &'static str> {
    let rest = content.strip_prefix(HEADER.as_bytes()).ok_or("the header line is missing or of another version")?;
    let digits = rest.strip_suffix(b"\n").ok_or("it does not end after one line of hex digits")?;
    let seed = bytes::parse_hex::<32>(digits).map_err(|_| "the second line is not 64 lower-case hex digits")?;
    Ok(SecretKey::from_seed(seed))
}
