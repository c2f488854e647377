//! Key files that others can read are refused, and no damaged file is taken for an intact or absent one.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use ledger_crypto::{
    Check, Digest, Domain, FileGuard, FileSigner, Guard, GuardError, GuardRecord, KeyDerivation, KeyFileError,
    LastVote, LogFacts, Passphrase, RecordError, SecretKey, Signer, VoteError, VotePosition, VoteSigner, hash, verify,
};

const DOMAIN: Domain = Domain::new("test");

fn record(last: Option<LastVote>) -> GuardRecord {
    GuardRecord { log: hash(DOMAIN, b"log"), chain: hash(DOMAIN, b"chain"), last }
}

fn records() -> [GuardRecord; 3] {
    let position = VotePosition { epoch: 1, view: u64::MAX, slot: 2 };
    let message = Some(Digest::ZERO);
    [None, Some(LastVote { position, message: None }), Some(LastVote { position, message })].map(record)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o7777
}

#[test]
fn a_generated_key_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = FileSigner::generate(&path).unwrap();
    let opened = FileSigner::open(&path).unwrap();
    assert_eq!(opened.public_key(), made.public_key());
    assert_eq!(opened.path(), path);
    assert_eq!(opened.public_key().check_strong(), Ok(()));
    let signature = opened.sign(DOMAIN, b"m").unwrap();
    assert_eq!(
        verify(&Check { key: &made.public_key(), domain: DOMAIN, message: b"m", signature: &signature }),
        Ok(())
    );
    let another = FileSigner::generate(folder.path().join("another")).unwrap();
    assert_ne!(another.public_key(), made.public_key());
}

#[test]
fn the_key_file_has_its_documented_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    FileSigner::create(&path, SecretKey::from_seed([0xa5; 32])).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("ledgerkit ed25519 secret key v0\n{}\n", "a5".repeat(32)));
}

#[test]
fn an_existing_key_is_never_overwritten_and_a_missing_one_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let missing = FileSigner::open(&path).unwrap_err();
    assert!(matches!(&missing, KeyFileError::Missing { path: p } if *p == path));
    let made = FileSigner::generate(&path).unwrap();
    assert!(matches!(FileSigner::generate(&path), Err(KeyFileError::Exists { path: p }) if p == path));
    assert_eq!(FileSigner::open(&path).unwrap().public_key(), made.public_key());
    assert!(matches!(FileSigner::open(folder.path()), Err(KeyFileError::NotAFile { .. })));
}

#[cfg(unix)]
#[test]
fn a_key_that_others_have_any_access_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    FileSigner::generate(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    for exposed in [0o640, 0o604, 0o620, 0o602, 0o601, 0o610, 0o644, 0o666] {
        set_mode(&path, exposed);
        let refused = FileSigner::open(&path).unwrap_err();
        assert!(matches!(&refused, KeyFileError::Exposed { mode, .. } if *mode == exposed));
        let text = refused.to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains(&format!("{exposed:04o}")), "{text}");
    }
    for private in [0o600, 0o400] {
        set_mode(&path, private);
        FileSigner::open(&path).unwrap();
    }
}

#[test]
fn a_damaged_key_file_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    FileSigner::create(&path, SecretKey::from_seed([0xa5; 32])).unwrap();
    let good = fs::read(&path).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
    damaged.push([&good[..], b"\n"].concat());
    damaged.push(good.to_ascii_uppercase());
    damaged.push(String::from_utf8(good.clone()).unwrap().replace("v0", "v1").into_bytes());
    damaged.push(String::from_utf8(good.clone()).unwrap().replace("a5a5\n", "a5ag\n").into_bytes());
    damaged.push(good.repeat(1000));
    for content in damaged {
        fs::write(&path, &content).unwrap();
        let refused = FileSigner::open(&path).unwrap_err();
        assert!(matches!(refused, KeyFileError::Malformed { .. }), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("a5a5"));
    }
}

#[test]
fn a_secret_key_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let signer = FileSigner::create(folder.path().join("key"), SecretKey::from_seed([0xa5; 32])).unwrap();
    let shown = format!("{signer:?} {:?}", SecretKey::from_seed([0xa5; 32]));
    assert!(!shown.contains("a5a5") && !shown.contains("165, 165"), "{shown}");
    assert!(shown.contains(&signer.public_key().to_string()));
}

fn cheap() -> KeyDerivation {
    KeyDerivation::new(KeyDerivation::MIN_MEMORY_KIB, 1, 1).unwrap()
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let passphrase = Passphrase::new("correct horse");
    let made = FileSigner::create_encrypted(&path, SecretKey::from_seed([0xa5; 32]), &passphrase, cheap()).unwrap();
    let opened = FileSigner::open_encrypted(&path, &passphrase).unwrap();
    assert_eq!(opened.public_key(), SecretKey::from_seed([0xa5; 32]).public_key());
    assert_eq!(opened.sign(DOMAIN, b"m").unwrap(), made.sign(DOMAIN, b"m").unwrap());
    for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
        let refused = FileSigner::open_encrypted(&path, &Passphrase::new(wrong)).unwrap_err();
        assert!(matches!(&refused, KeyFileError::WrongPassphrase { path: p } if *p == path));
    }
    assert_eq!(FileSigner::peek(&path).unwrap(), (true, made.public_key()));
    assert!(matches!(FileSigner::open(&path), Err(KeyFileError::Encrypted { .. })));
    let again = FileSigner::create_encrypted(&path, SecretKey::from_seed([1; 32]), &passphrase, cheap());
    assert!(matches!(again, Err(KeyFileError::Exists { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(!fs::read_to_string(&path).unwrap().contains(&"a5".repeat(8)));
    assert!(!format!("{made:?} {passphrase:?}").contains("horse"));
}

#[test]
fn a_generated_encrypted_key_asks_for_the_recommended_derivation_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new("correct horse");
    let texts = ["a", "b"].map(|name| {
        let path = folder.path().join(name);
        let made = FileSigner::generate_encrypted(&path, &passphrase).unwrap();
        let opened = FileSigner::open_encrypted(&path, &passphrase).unwrap();
        assert_eq!(opened.public_key(), made.public_key());
        fs::read_to_string(path).unwrap()
    });
    for text in &texts {
        assert_eq!(text.lines().nth(2).unwrap(), "argon2id memory-kib=65536 passes=3 lanes=4");
    }
    for line in [1, 3, 4, 5, 6] {
        assert_ne!(texts[0].lines().nth(line), texts[1].lines().nth(line));
    }
}

#[test]
fn a_plain_key_is_not_opened_with_a_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = FileSigner::generate(&path).unwrap();
    let refused = FileSigner::open_encrypted(&path, &Passphrase::new("correct horse")).unwrap_err();
    assert!(matches!(refused, KeyFileError::NotEncrypted { .. }));
    assert_eq!(FileSigner::peek(&path).unwrap(), (false, made.public_key()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[cfg(unix)]
#[test]
fn an_encrypted_key_that_others_have_any_access_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let passphrase = Passphrase::new("correct horse");
    FileSigner::create_encrypted(&path, SecretKey::from_seed([1; 32]), &passphrase, cheap()).unwrap();
    assert_eq!(mode(&path), 0o600);
    set_mode(&path, 0o640);
    let refused = FileSigner::open_encrypted(&path, &passphrase).unwrap_err();
    assert!(matches!(refused, KeyFileError::Exposed { mode: 0o640, .. }));
}

#[test]
fn a_damaged_encrypted_key_is_called_damaged_and_never_a_wrong_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let good = include_bytes!("golden/encrypted.key");
    let passphrase = Passphrase::new("correct horse");
    let write = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        #[cfg(unix)]
        set_mode(&path, 0o600);
    };
    write(good);
    let opened = FileSigner::open_encrypted(&path, &passphrase).unwrap();
    assert_eq!(opened.public_key(), SecretKey::from_seed([0xa5; 32]).public_key());
    for place in 0..good.len() {
        let mut damaged = good.to_vec();
        damaged[place] ^= 1;
        write(&damaged);
        let refused = FileSigner::open_encrypted(&path, &passphrase).unwrap_err();
        assert!(matches!(&refused, KeyFileError::Malformed { .. }), "byte {place}: {refused}");
    }
    for content in [&good[..good.len() - 1], &good[..100], &[&good[..], b"\n"].concat(), &good.repeat(1000)] {
        write(content);
        let refused = FileSigner::open_encrypted(&path, &passphrase).unwrap_err();
        assert!(matches!(&refused, KeyFileError::Malformed { .. }), "{refused}");
    }
}

#[test]
fn the_format_page_shows_the_golden_key_file() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains(include_str!("golden/encrypted.key")));
}

#[test]
fn a_guard_file_gives_back_what_was_stored_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guard");
    let mut guard = FileGuard::new(&path);
    assert_eq!(guard.load().unwrap(), None);
    for record in records() {
        guard.store(&record).unwrap();
        assert_eq!(guard.load().unwrap(), Some(record));
        assert_eq!(FileGuard::new(&path).load().unwrap(), Some(record));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // What a crash before the rename left behind counts for nothing.
    fs::write(folder.path().join("guard.new"), b"torn").unwrap();
    assert_eq!(guard.load().unwrap(), Some(records()[2]));
    guard.store(&records()[1]).unwrap();
    assert_eq!(guard.load().unwrap(), Some(records()[1]));
}

#[test]
fn a_guard_file_in_a_folder_that_is_not_there_is_an_error_naming_it() {
    let mut guard = FileGuard::new("/nowhere/at/all/guard");
    let error = guard.store(&record(None)).unwrap_err();
    assert!(matches!(&error, GuardError::Storage { place, .. } if place == "/nowhere/at/all/guard"));
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_guard_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guard");
    let mut guard = FileGuard::new(&path);
    for record in records() {
        let good = record.to_bytes();
        assert_eq!(good.len(), GuardRecord::LENGTH);
        assert_eq!(GuardRecord::from_bytes(&good), Ok(record));
        for bit in 0..8 * good.len() {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(GuardRecord::from_bytes(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(GuardRecord::from_bytes(&good[..length]), Err(RecordError::Length { found: length }));
        }
        guard.store(&record).unwrap();
        for content in [&good[..40], &[], &[&good[..], b"x"].concat()] {
            fs::write(&path, content).unwrap();
            let error = guard.load().unwrap_err();
            assert!(matches!(&error, GuardError::Damaged { .. }));
            assert!(error.to_string().contains(&path.display().to_string()));
        }
    }
}

#[test]
fn a_guard_record_has_one_form() {
    // Content that its writer would never have written, under a checksum that fits.
    const CHECKSUM: Domain = Domain::new("ledgerkit guard checksum");
    let known_at = 18 + 64;
    for (record, at) in records().into_iter().zip([known_at + 1, known_at + 18, known_at]) {
        let mut bytes = record.to_bytes();
        bytes[at] = 7;
        let content = GuardRecord::LENGTH - 32;
        let checksum = hash(CHECKSUM, &bytes[..content]);
        bytes[content..].copy_from_slice(checksum.as_bytes());
        assert_eq!(GuardRecord::from_bytes(&bytes), Err(RecordError::Form));
    }
}

#[test]
fn a_vote_signer_on_files_survives_a_restart_and_refuses_a_damaged_or_deleted_guard() {
    let folder = tempfile::tempdir().unwrap();
    let (key, guard) = (folder.path().join("key"), folder.path().join("guard"));
    FileSigner::generate(&key).unwrap();
    let chain = hash(DOMAIN, b"chain");
    let open = |last| {
        let log = LogFacts { id: hash(DOMAIN, b"log"), last };
        VoteSigner::open(Box::new(FileSigner::open(&key).unwrap()), Box::new(FileGuard::new(&guard)), chain, log)
    };
    let position = VotePosition { epoch: 0, view: 1, slot: 0 };
    let mut signer = open(None).unwrap();
    let signature = signer.sign_vote(DOMAIN, position, b"m").unwrap();
    signer.advance(position).unwrap();
    drop(signer);
    assert_eq!(open(Some(position)).unwrap().sign_vote(DOMAIN, position, b"m").unwrap(), signature);
    let good = fs::read(&guard).unwrap();
    fs::write(&guard, &good[1..]).unwrap();
    assert!(matches!(open(Some(position)), Err(VoteError::Guard(GuardError::Damaged { .. }))));
    fs::remove_file(&guard).unwrap();
    assert!(matches!(open(Some(position)), Err(VoteError::GuardMissing { .. })));
}
