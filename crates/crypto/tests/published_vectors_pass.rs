//! BLAKE3's, Ed25519's and RFC 6962's published test vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use ledger_crypto::merkle::{self, Frontier, Sha256, TreeHasher};
use ledger_crypto::{Digest, Domain, Hasher, PublicKey, SecretKey, Signature, hash, verify_raw};

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn blake3() {
    // The vectors' key happens to be 32 printable characters, so it is a domain.
    const KEY: Domain = Domain::new("whats the Elvish word for friend");
    const CONTEXT: &str = "BLAKE3 2019-12-27 16:29:52 test vectors context";
    let Some(text) = ledger_testdata::read("crypto/blake3/test_vectors.json") else { return };
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(vectors["key"], KEY.name());
    assert_eq!(vectors["context_string"], CONTEXT);
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 35);
    for case in cases {
        let length = usize::try_from(case["input_len"].as_u64().unwrap()).unwrap();
        let input: Vec<u8> = (0..=250).cycle().take(length).collect();
        let wanted = |mode: &str| bytes(case[mode].as_str().unwrap());

        let keyed = wanted("keyed_hash");
        assert_eq!(hash(KEY, &input).as_bytes()[..], keyed[..32], "{length} bytes at once");
        let mut hasher = Hasher::new(KEY);
        for piece in input.chunks(977) {
            hasher.update(piece);
        }
        assert_eq!(hasher.finalize().as_bytes()[..], keyed[..32], "{length} bytes in pieces");

        // Modes and lengths that our interface doesn't offer, against the library as it is built here.
        for (mode, mut reader) in [
            ("hash", blake3::Hasher::new()),
            ("keyed_hash", blake3::Hasher::new_keyed(b"whats the Elvish word for friend")),
            ("derive_key", blake3::Hasher::new_derive_key(CONTEXT)),
        ]
        .map(|(mode, mut hasher)| (mode, hasher.update(&input).finalize_xof()))
        {
            let wanted = wanted(mode);
            let mut found = vec![0; wanted.len()];
            reader.fill(&mut found);
            assert_eq!(found, wanted, "{mode} of {length} bytes");
        }
    }
}

#[test]
fn ed25519() {
    let Some(text) = ledger_testdata::read("crypto/ed25519-dalek/TESTVECTORS") else { return };
    let mut count = 0;
    for line in text.lines() {
        let fields: Vec<_> = line.split(':').map(bytes).collect();
        let seed: [u8; 32] = fields[0][..32].try_into().unwrap();
        let key = PublicKey::new(fields[1][..].try_into().unwrap());
        let message = &fields[2];
        let signature = Signature::new(fields[3][..64].try_into().unwrap());

        assert_eq!(SecretKey::from_seed(seed).public_key(), key);
        assert_eq!(key.check_strong(), Ok(()));
        assert_eq!(verify_raw(&key, message, &signature), Ok(()));
        let mut altered = message.clone();
        altered.push(0);
        assert!(verify_raw(&key, &altered, &signature).is_err());
        // Raw signing isn't offered, so the signature itself is made by the library behind our signers.
        let signed = ed25519_dalek::Signer::sign(&ed25519_dalek::SigningKey::from_bytes(&seed), message);
        assert_eq!(&signed.to_bytes(), signature.as_bytes());
        count += 1;
    }
    assert_eq!(count, 128);
}

const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn digests(texts: &[&str]) -> Vec<Digest> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn certificate_transparency_roots() {
    let leaves: Vec<_> = LEAVES.iter().map(|leaf| Sha256::leaf(&bytes(leaf))).collect();
    let mut frontier = Frontier::<Sha256>::new();
    for (size, root) in digests(&ROOTS).into_iter().enumerate() {
        assert_eq!(merkle::root::<Sha256>(&leaves[..size]), root);
        assert_eq!(frontier.root(), root);
        if let Some(leaf) = leaves.get(size) {
            frontier.append(*leaf, &mut |_, _| {});
        }
    }
}

#[test]
fn certificate_transparency_inclusion_paths() {
    let leaves: Vec<_> = LEAVES.iter().map(|leaf| Sha256::leaf(&bytes(leaf))).collect();
    let second_pair = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    let fifth = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    let cases: [(usize, usize, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                second_pair,
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (5, 8, &[fifth, "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0", ROOTS[4]]),
        (2, 3, &[ROOTS[2]]),
        (1, 5, &[ROOTS[1], second_pair, fifth]),
    ];
    for (index, size, path) in cases {
        let path = digests(path);
        assert_eq!(merkle::prove_inclusion::<Sha256>(&leaves[..size], index), Some(path.clone()));
        let root = ROOTS[size].parse().unwrap();
        let verdict = merkle::verify_inclusion::<Sha256>(&root, size as u64, index as u64, &leaves[index], &path);
        assert_eq!(verdict, Ok(()), "leaf {index} of {size}");
    }
}

#[test]
fn certificate_transparency_consistency_paths() {
    let mut nodes = BTreeMap::new();
    let mut frontier = Frontier::<Sha256>::new();
    for leaf in LEAVES {
        frontier.append(Sha256::leaf(&bytes(leaf)), &mut |position, digest| {
            nodes.insert(position, digest);
        });
    }
    let second_pair = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    let cases: [(usize, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                second_pair,
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                ROOTS[4],
            ],
        ),
        (2, 5, &[second_pair, "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
    ];
    for (old, new, path) in cases {
        let path = digests(path);
        assert_eq!(merkle::consistency_proof::<Sha256, _>(&nodes, old as u64, new as u64).unwrap(), path);
        let (old_root, new_root) = (ROOTS[old].parse().unwrap(), ROOTS[new].parse().unwrap());
        let verdict = merkle::verify_consistency::<Sha256>(old as u64, &old_root, new as u64, &new_root, &path);
        assert_eq!(verdict, Ok(()), "{old} to {new}");
    }
}
