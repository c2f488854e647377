//! A secret key in a plain file.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{Domain, MemorySigner, PublicKey, SecretKey, Signature, Signer, SignerError, bytes, files};

const HEADER: &str = "ledgerkit ed25519 secret key v0\n";

/// Length of a key file: header, 64 hex digits, line end.
const LENGTH: usize = HEADER.len() + 65;

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
        /// What failed: "create", "write" or "read".
        action: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Signs with a key from a file, read once when it is opened.
///
/// The file is text: the line `ledgerkit ed25519 secret key v0` and a line of 64 hex digits, the seed. It isn't
/// encrypted; who can read it can sign. So it is made for its owner alone (mode 0600), and on Unix one that others have
/// any access to is refused.
#[derive(Debug)]
pub struct FileSigner {
    path: PathBuf,
    signer: MemorySigner,
}

impl FileSigner {
    /// Makes a new key and its file, which must not exist yet. Both survive power loss once this returns.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn generate(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        match SecretKey::generate() {
            Ok(key) => Self::create(path, key),
            Err(error) => Err(KeyFileError::Randomness { path, error }),
        }
    }

    /// Puts `key` into a new file, which must not exist yet. It survives power loss once this returns.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn create(path: impl Into<PathBuf>, key: SecretKey) -> Result<Self, KeyFileError> {
        let path = path.into();
        let io = |action| {
            let path = path.clone();
            move |error| KeyFileError::Io { path, action, error }
        };
        let mut file = match files::private().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(KeyFileError::Exists { path }),
            Err(error) => return Err(io("create")(error)),
        };
        let written = file.write_all(&encode(&key)).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| files::sync_folder_of(&path)) {
            // Half a key in the way of the next attempt helps nobody; the first error is the one to report.
            let _ = std::fs::remove_file(&path);
            return Err(io("write")(error));
        }
        Ok(Self { path, signer: MemorySigner::new(key) })
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file; its content never appears.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        let io = |error| KeyFileError::Io { path: path.clone(), action: "read", error };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyFileError::Missing { path }),
            Err(error) => return Err(io(error)),
        };
        // Asked of the open file, so that it can't be another one by the time it is read.
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(KeyFileError::NotAFile { path });
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
            if mode & 0o077 != 0 {
                return Err(KeyFileError::Exposed { path, mode });
            }
        }
        // The buffer never grows, so no copy of the secret is left behind in freed memory.
        let mut content = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
        file.take(LENGTH as u64 + 1).read_to_end(&mut content).map_err(io)?;
        match decode(&content) {
            Ok(key) => Ok(Self { path, signer: MemorySigner::new(key) }),
            Err(reason) => Err(KeyFileError::Malformed { path, reason }),
        }
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
