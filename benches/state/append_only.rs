//! Prototype (b) of docs/storage.md: an append-only authenticated store in the manner of QMDB (arXiv 2501.05262).
//!
//! ```text
//!   update ──▶ entry appended: key, next key in order, version, the key's previous entry, value
//!              the entry before it becomes inactive: one bit
//!   twig: 2,048 entries under a Merkle tree, and their 2,048 active bits under another; full twigs never change but for bits
//!   root: a Merkle tree over all twigs           index in memory: 10 bytes of key ─▶ serial number of its active entry
//! ```
//! Presence is an entry with its active bit; absence is the active entry whose key and next key enclose the absent one;
//! a range is the chain of entries along their next keys. A key that is created or deleted rewrites its neighbour.
//! Compaction appends the oldest active entries again until at most half of what is kept is dead.
//!
//! A prototype: values of at most [`MAX_VALUE`] bytes, 2^32 entries, keys that differ in their first 10 bytes (it refuses
//! others), no opening of what was closed, one thread. Nothing here is synced; who wants durability logs the batch first.
#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "places within arrays of its own making")]

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ledger_crypto::{Digest, Domain, hash, hash_many};

const ENTRY: Domain = Domain::new("prototype append-only entry");
const NODE: Domain = Domain::new("prototype append-only node");

/// Bytes of an entry on disk and under its hash: three blocks of BLAKE3.
pub(crate) const RECORD: usize = 192;
/// The longest value in bytes.
pub(crate) const MAX_VALUE: usize = RECORD - HEADER;
const HEADER: usize = 32 + 32 + 8 + 8 + 4;

/// Entries of a twig.
const TWIG: usize = 2048;
/// Twigs in one file.
const TWIGS_A_FILE: usize = 64;
const ENTRIES_A_FILE: u64 = (TWIG * TWIGS_A_FILE) as u64;
/// Bytes of active bits in one leaf of their tree.
const CHUNK: usize = 32;
const CHUNKS: usize = TWIG / 8 / CHUNK;

/// Before every key.
const FIRST: [u8; 32] = [0; 32];
/// The next key of the last one.
const END: [u8; 32] = [0xff; 32];
/// The previous entry of a key's first one.
const NONE: u64 = u64::MAX;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: [u8; 32],
    pub(crate) next: [u8; 32],
    pub(crate) version: u64,
    previous: u64,
    pub(crate) value: Vec<u8>,
}

impl Entry {
    fn encode(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        record[..32].copy_from_slice(&self.key);
        record[32..64].copy_from_slice(&self.next);
        record[64..72].copy_from_slice(&self.version.to_le_bytes());
        record[72..80].copy_from_slice(&self.previous.to_le_bytes());
        record[80..84].copy_from_slice(&(self.value.len() as u32).to_le_bytes());
        record[HEADER..HEADER + self.value.len()].copy_from_slice(&self.value);
        record
    }

    fn decode(record: &[u8; RECORD]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| record[at + index]));
        let length = (word(80) as u32 as usize).min(MAX_VALUE);
        Self {
            key: std::array::from_fn(|index| record[index]),
            next: std::array::from_fn(|index| record[32 + index]),
            version: word(64),
            previous: word(72),
            value: record[HEADER..HEADER + length].to_vec(),
        }
    }
}

/// From keys to the serial numbers of their active entries, in order: a sorted array for each of the first two bytes.
struct Index(Vec<(Vec<u64>, Vec<u32>)>);

impl Index {
    fn place(key: &[u8; 32]) -> (usize, u64) {
        let mark = u64::from_be_bytes(std::array::from_fn(|index| key[2 + index]));
        (usize::from(u16::from_be_bytes([key[0], key[1]])), mark)
    }

    fn get(&self, key: &[u8; 32]) -> Option<u64> {
        let (shard, mark) = Self::place(key);
        let (marks, serials) = &self.0[shard];
        marks.binary_search(&mark).ok().map(|found| u64::from(serials[found]))
    }

    /// The last key before `key`. There is one: [`FIRST`].
    fn before(&self, key: &[u8; 32]) -> u64 {
        let (shard, mark) = Self::place(key);
        let (marks, serials) = &self.0[shard];
        let here = serials[..marks.partition_point(|known| *known < mark)].last();
        let earlier = || self.0[..shard].iter().rev().find_map(|(_, serials)| serials.last());
        here.or_else(earlier).copied().map_or(0, u64::from)
    }

    fn set(&mut self, key: &[u8; 32], serial: u64) {
        let (shard, mark) = Self::place(key);
        let (marks, serials) = &mut self.0[shard];
        match marks.binary_search(&mark) {
            Ok(found) => serials[found] = serial as u32,
            Err(place) => {
                marks.insert(place, mark);
                serials.insert(place, serial as u32);
            }
        }
    }

    fn remove(&mut self, key: &[u8; 32]) {
        let (shard, mark) = Self::place(key);
        let (marks, serials) = &mut self.0[shard];
        if let Ok(found) = marks.binary_search(&mark) {
            marks.remove(found);
            serials.remove(found);
        }
    }

    fn bytes(&self) -> usize {
        let shards = self.0.iter().map(|(marks, serials)| 48 + marks.capacity() * 8 + serials.capacity() * 4);
        shards.sum()
    }
}

struct Twig {
    /// The root of the entries' tree, places without an entry counting as zeros.
    entries: Digest,
    bits: [u8; TWIG / 8],
}

struct Files {
    entries: File,
    /// The trees of full twigs, as [`tree`] gives them.
    nodes: File,
}

/// The store.
pub(crate) struct AppendOnly {
    folder: PathBuf,
    keep_history: bool,
    files: Vec<Option<Files>>,
    index: Index,
    twigs: Vec<Twig>,
    /// Digests of the entries in the last twig, if it isn't full.
    tail: Vec<Digest>,
    /// Level 0 has the twigs' roots; the last level has the root.
    upper: Vec<Vec<Digest>>,
    pending: Vec<[u8; RECORD]>,
    flushed: u64,
    dirty: Vec<usize>,
    live: u64,
    cursor: u64,
    pub(crate) moved: u64,
    pub(crate) written: u64,
}

fn pair(left: &Digest, right: &Digest) -> [u8; 64] {
    let mut message = [0; 64];
    message[..32].copy_from_slice(left.as_bytes());
    message[32..].copy_from_slice(right.as_bytes());
    message
}

fn hashed<const N: usize>(domain: Domain, messages: &[[u8; N]]) -> Vec<Digest> {
    let mut digests = vec![Digest::ZERO; messages.len()];
    hash_many(domain, messages, &mut digests);
    digests
}

fn parents(children: &[Digest]) -> Vec<Digest> {
    let messages: Vec<[u8; 64]> = children.as_chunks::<2>().0.iter().map(|[left, right]| pair(left, right)).collect();
    hashed(NODE, &messages)
}

/// All nodes over a twig's leaves: the leaves (filled up with zeros), their parents, and so on up to the root.
fn tree(leaves: &[Digest]) -> Vec<Digest> {
    let mut nodes = leaves.to_vec();
    nodes.resize(TWIG, Digest::ZERO);
    let mut level = nodes.clone();
    while level.len() > 1 {
        level = parents(&level);
        nodes.extend_from_slice(&level);
    }
    nodes
}

fn fold(leaf: Digest, mut place: usize, siblings: &[Digest]) -> Digest {
    siblings.iter().fold(leaf, |digest, sibling| {
        let (left, right) = if place & 1 == 0 { (&digest, sibling) } else { (sibling, &digest) };
        place >>= 1;
        hash(NODE, &pair(left, right))
    })
}

fn chunks(bits: &[u8; TWIG / 8]) -> Vec<Digest> {
    bits.as_chunks::<CHUNK>().0.iter().map(|chunk| Digest::new(*chunk)).collect()
}

impl AppendOnly {
    /// An empty store in `folder`. Without history, files whose entries are all dead are deleted.
    pub(crate) fn create(folder: &Path, keep_history: bool) -> io::Result<Self> {
        let mut store = Self {
            folder: folder.to_path_buf(),
            keep_history,
            files: Vec::new(),
            index: Index(vec![(Vec::new(), Vec::new()); 1 << 16]),
            twigs: Vec::new(),
            tail: Vec::new(),
            upper: vec![Vec::new()],
            pending: Vec::new(),
            flushed: 0,
            dirty: Vec::new(),
            live: 0,
            cursor: 0,
            moved: 0,
            written: 0,
        };
        store.append(&Entry { key: FIRST, next: END, version: 0, previous: NONE, value: Vec::new() });
        store.settle()?;
        Ok(store)
    }

    fn read(&self, serial: u64) -> io::Result<Entry> {
        if serial >= self.flushed {
            return Ok(Entry::decode(&self.pending[(serial - self.flushed) as usize]));
        }
        let file = self.files[(serial / ENTRIES_A_FILE) as usize].as_ref();
        let file = file.ok_or_else(|| io::Error::other(format!("entry {serial} was given up")))?;
        let mut record = [0; RECORD];
        file.entries.read_exact_at(&mut record, serial % ENTRIES_A_FILE * RECORD as u64)?;
        Ok(Entry::decode(&record))
    }

    /// The entry of exactly this key.
    fn find(&self, key: &[u8; 32]) -> io::Result<Option<(u64, Entry)>> {
        let Some(serial) = self.index.get(key) else { return Ok(None) };
        let entry = self.read(serial)?;
        if entry.key != *key {
            return Err(io::Error::other("two keys share their first 10 bytes, which the prototype can't tell apart"));
        }
        Ok(Some((serial, entry)))
    }

    fn append(&mut self, entry: &Entry) {
        let serial = self.flushed + self.pending.len() as u64;
        let (twig, bit) = ((serial / TWIG as u64) as usize, serial as usize % TWIG);
        if twig == self.twigs.len() {
            self.twigs.push(Twig { entries: Digest::ZERO, bits: [0; TWIG / 8] });
        }
        self.twigs[twig].bits[bit / 8] |= 1 << (bit % 8);
        self.pending.push(entry.encode());
        self.index.set(&entry.key, serial);
        self.live += 1;
    }

    fn deactivate(&mut self, serial: u64) {
        let (twig, bit) = ((serial / TWIG as u64) as usize, serial as usize % TWIG);
        self.twigs[twig].bits[bit / 8] &= !(1 << (bit % 8));
        self.dirty.push(twig);
        self.live -= 1;
    }

    fn is_active(&self, serial: u64) -> bool {
        let (twig, bit) = ((serial / TWIG as u64) as usize, serial as usize % TWIG);
        self.twigs[twig].bits[bit / 8] & (1 << (bit % 8)) != 0
    }

    /// Lets the key before another one point to `next`.
    fn relink(&mut self, serial: u64, next: [u8; 32]) -> io::Result<()> {
        if serial >= self.flushed {
            // Of this batch: nobody has seen it yet.
            self.pending[(serial - self.flushed) as usize][32..64].copy_from_slice(&next);
            return Ok(());
        }
        let entry = Entry { next, ..self.read(serial)? };
        self.deactivate(serial);
        self.append(&entry);
        Ok(())
    }

    /// Applies writes to different keys, in their order, as version `version`, and gives the root after them.
    pub(crate) fn update(&mut self, version: u64, writes: &[([u8; 32], Option<&[u8]>)]) -> io::Result<Digest> {
        for (key, value) in writes {
            if *key == FIRST || *key == END || value.is_some_and(|value| value.len() > MAX_VALUE) {
                return Err(io::Error::other(format!("the prototype takes no such key, or no value over {MAX_VALUE}")));
            }
            match (self.find(key)?, value) {
                (Some((serial, old)), Some(value)) => {
                    self.deactivate(serial);
                    self.append(&Entry { version, previous: serial, value: value.to_vec(), ..old });
                }
                (Some((serial, old)), None) => {
                    self.relink(self.index.before(key), old.next)?;
                    self.deactivate(serial);
                    self.index.remove(key);
                }
                (None, Some(value)) => {
                    let before = self.index.before(key);
                    let next = self.read(before)?.next;
                    self.relink(before, *key)?;
                    self.append(&Entry { key: *key, next, version, previous: NONE, value: value.to_vec() });
                }
                (None, None) => {}
            }
        }
        self.compact()?;
        self.settle()
    }

    /// Moves the oldest active entries to the end until at most half of what lies behind the cursor is dead.
    fn compact(&mut self) -> io::Result<()> {
        while self.flushed + self.pending.len() as u64 - self.cursor > 2 * self.live + 4 * TWIG as u64 {
            if self.is_active(self.cursor) {
                let entry = self.read(self.cursor)?;
                self.deactivate(self.cursor);
                self.append(&entry);
                self.moved += 1;
            }
            self.cursor += 1;
            if self.cursor.is_multiple_of(ENTRIES_A_FILE) && !self.keep_history {
                let number = (self.cursor / ENTRIES_A_FILE) as usize - 1;
                self.files[number] = None;
                std::fs::remove_file(self.folder.join(format!("{number}.entries")))?;
                std::fs::remove_file(self.folder.join(format!("{number}.nodes")))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, serial: u64) -> io::Result<&Files> {
        let number = (serial / ENTRIES_A_FILE) as usize;
        if number == self.files.len() {
            let open = |kind: &str| {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create_new(true).open(self.folder.join(format!("{number}.{kind}")))
            };
            self.files.push(Some(Files { entries: open("entries")?, nodes: open("nodes")? }));
        }
        self.files[number].as_ref().ok_or_else(|| io::Error::other(format!("file {number} was given up")))
    }

    /// Writes what is pending and works out the root.
    fn settle(&mut self) -> io::Result<Digest> {
        let pending = std::mem::take(&mut self.pending);
        let leaves = hashed(ENTRY, &pending);
        let mut rest = (pending.as_slice(), leaves.as_slice());
        while !rest.0.is_empty() {
            let serial = self.flushed;
            let count = rest.0.len().min(TWIG - self.tail.len());
            let bytes = rest.0[..count].as_flattened();
            self.file(serial)?.entries.write_all_at(bytes, serial % ENTRIES_A_FILE * RECORD as u64)?;
            self.written += bytes.len() as u64;
            self.tail.extend_from_slice(&rest.1[..count]);
            let twig = (serial / TWIG as u64) as usize;
            let nodes = tree(&self.tail);
            self.twigs[twig].entries = nodes[nodes.len() - 1];
            self.dirty.push(twig);
            if self.tail.len() == TWIG {
                let bytes: Vec<u8> = nodes.iter().flat_map(|node| *node.as_bytes()).collect();
                let place = (twig % TWIGS_A_FILE * bytes.len()) as u64;
                self.file(serial)?.nodes.write_all_at(&bytes, place)?;
                self.written += bytes.len() as u64;
                self.tail.clear();
            }
            self.flushed += count as u64;
            rest = (&rest.0[count..], &rest.1[count..]);
        }
        self.dirty.sort_unstable();
        self.dirty.dedup();
        let dirty = std::mem::take(&mut self.dirty);
        let mut bits: Vec<Digest> = dirty.iter().flat_map(|twig| chunks(&self.twigs[*twig].bits)).collect();
        while bits.len() > dirty.len() {
            bits = parents(&bits);
        }
        let pairs: Vec<Digest> =
            dirty.iter().zip(bits).flat_map(|(twig, bits)| [self.twigs[*twig].entries, bits]).collect();
        Ok(self.raise(dirty, parents(&pairs)))
    }

    /// Sets twigs' roots and gives the root over all.
    fn raise(&mut self, mut places: Vec<usize>, mut digests: Vec<Digest>) -> Digest {
        let mut level = 0;
        loop {
            if self.upper.len() == level {
                self.upper.push(Vec::new());
            }
            for (place, digest) in places.iter().zip(&digests) {
                let length = self.upper[level].len().max(place + 1);
                self.upper[level].resize(length, Digest::ZERO);
                self.upper[level][*place] = *digest;
            }
            let nodes = &self.upper[level];
            if nodes.len() <= 1 {
                return nodes.first().copied().unwrap_or(Digest::ZERO);
            }
            places.iter_mut().for_each(|place| *place /= 2);
            places.dedup();
            let at = |place: usize| nodes.get(place).copied().unwrap_or(Digest::ZERO);
            let messages: Vec<[u8; 64]> = places.iter().map(|place| pair(&at(place * 2), &at(place * 2 + 1))).collect();
            digests = hashed(NODE, &messages);
            level += 1;
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8; 32]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.find(key)?.map(|(_, entry)| entry.value))
    }

    /// The value that a key had after `version`, as far as its entries are kept. A deletion leaves no entry, so a key that
    /// is gone has no history here.
    pub(crate) fn get_at(&self, key: &[u8; 32], version: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((_, mut entry)) = self.find(key)? else { return Ok(None) };
        while entry.version > version {
            if entry.previous == NONE {
                return Ok(None);
            }
            entry = self.read(entry.previous)?;
        }
        Ok(Some(entry.value))
    }

    fn prove_entry(&self, serial: u64) -> io::Result<EntryProof> {
        let (twig, place) = ((serial / TWIG as u64) as usize, serial as usize % TWIG);
        let tail = (twig == (self.flushed / TWIG as u64) as usize).then(|| tree(&self.tail));
        let siblings = |places: usize, place: usize, node: &mut dyn FnMut(usize) -> io::Result<Digest>| {
            let (mut start, mut width, mut place, mut found) = (0, places, place, Vec::new());
            while width > 1 {
                found.push(node(start + (place ^ 1))?);
                (start, width, place) = (start + width, width / 2, place / 2);
            }
            Ok::<_, io::Error>(found)
        };
        let file = self.files[twig / TWIGS_A_FILE].as_ref();
        let file = file.ok_or_else(|| io::Error::other(format!("entry {serial} was given up")))?;
        let entries = siblings(TWIG, place, &mut |node| {
            if let Some(tail) = &tail {
                return Ok(tail[node]);
            }
            let mut bytes = [0; 32];
            file.nodes.read_exact_at(&mut bytes, ((twig % TWIGS_A_FILE * (2 * TWIG - 1) + node) * 32) as u64)?;
            Ok(Digest::new(bytes))
        })?;
        let mut level = chunks(&self.twigs[twig].bits);
        let (chunk, mut nodes) = (level[place / 8 / CHUNK], level.clone());
        while level.len() > 1 {
            level = parents(&level);
            nodes.extend_from_slice(&level);
        }
        let bits = siblings(CHUNKS, place / 8 / CHUNK, &mut |node| Ok(nodes[node]))?;
        let levels = self.upper.iter().take(self.upper.len() - 1).enumerate();
        let upper =
            levels.map(|(level, nodes)| nodes.get((twig >> level) ^ 1).copied().unwrap_or(Digest::ZERO)).collect();
        Ok(EntryProof { serial, entry: self.read(serial)?, entries, chunk, bits, upper })
    }

    /// What shows that a key has a value, or none: the active entry of the key or of the one before it.
    pub(crate) fn prove(&self, key: &[u8; 32]) -> io::Result<EntryProof> {
        let serial = self.find(key)?.map_or_else(|| self.index.before(key), |(serial, _)| serial);
        self.prove_entry(serial)
    }

    /// The chain of active entries that shows every key from `from` up to, but not including, `to`.
    pub(crate) fn prove_range(&self, from: &[u8; 32], to: &[u8; 32]) -> io::Result<Vec<EntryProof>> {
        let mut proofs = vec![self.prove(from)?];
        while let Some(next) = proofs.last().map(|proof| proof.entry.next).filter(|next| next < to && *next != END) {
            proofs.push(self.prove(&next)?);
        }
        Ok(proofs)
    }

    /// Bytes of memory of the index, and of twigs and the tree over them.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let upper: usize = self.upper.iter().map(|level| level.capacity() * 32).sum();
        (self.index.bytes(), self.twigs.capacity() * size_of::<Twig>() + upper)
    }

    /// The share of kept entries that are dead.
    pub(crate) fn dead(&self) -> f64 {
        let kept =
            if self.keep_history { self.flushed } else { self.flushed - self.cursor / ENTRIES_A_FILE * ENTRIES_A_FILE };
        1.0 - self.live as f64 / kept as f64
    }
}

/// That an entry is in the log and active.
pub(crate) struct EntryProof {
    serial: u64,
    pub(crate) entry: Entry,
    /// Siblings in the twig's tree of entries.
    entries: Vec<Digest>,
    /// The 256 active bits around the entry's.
    chunk: Digest,
    bits: Vec<Digest>,
    upper: Vec<Digest>,
}

impl EntryProof {
    pub(crate) fn verify(&self, root: &Digest) -> bool {
        let place = self.serial as usize % TWIG;
        let bit = place % (8 * CHUNK);
        let active = self.chunk.as_bytes()[bit / 8] & (1 << (bit % 8)) != 0;
        let entries = fold(hash(ENTRY, &self.entry.encode()), place, &self.entries);
        let bits = fold(self.chunk, place / 8 / CHUNK, &self.bits);
        let twig = hash(NODE, &pair(&entries, &bits));
        let shape = (1 << self.entries.len(), 1 << self.bits.len()) == (TWIG, CHUNKS);
        active && shape && fold(twig, (self.serial / TWIG as u64) as usize, &self.upper) == *root
    }

    /// The value that this shows `key` to have; `None` when it shows nothing.
    pub(crate) fn value(&self, root: &Digest, key: &[u8; 32]) -> Option<Option<&[u8]>> {
        let absent = self.entry.key < *key && *key < self.entry.next;
        let present = self.entry.key == *key;
        let shown = (present || absent) && self.verify(root);
        shown.then(|| present.then_some(self.entry.value.as_slice()))
    }

    pub(crate) fn bytes(&self) -> usize {
        let digests = self.entries.len() + 1 + self.bits.len() + self.upper.len();
        8 + HEADER + self.entry.value.len() + digests * 32
    }
}

/// Whether a chain shows all keys from `from` up to `to`.
pub(crate) fn verify_range(proofs: &[EntryProof], root: &Digest, from: &[u8; 32], to: &[u8; 32]) -> bool {
    let linked = proofs.windows(2).all(|two| two[0].entry.next == two[1].entry.key);
    let start = proofs.first().is_some_and(|proof| proof.entry.key <= *from && *from < proof.entry.next);
    let end = proofs.last().is_some_and(|proof| proof.entry.next >= *to);
    start && end && linked && proofs.iter().all(|proof| proof.verify(root))
}

/// The bytes of a chain whose entries share one set of siblings: no digest twice, none that can be worked out.
pub(crate) fn shared_bytes(proofs: &[EntryProof]) -> usize {
    let (mut known, mut siblings, mut chunks, mut entries) = (HashSet::new(), HashSet::new(), HashSet::new(), 0);
    for proof in proofs {
        entries += 8 + HEADER + proof.entry.value.len();
        let (twig, place) = ((proof.serial / TWIG as u64) as usize, proof.serial as usize % TWIG);
        chunks.insert((twig, place / 8 / CHUNK));
        let paths = [
            (0, twig, place, proof.entries.len()),
            (1, twig, place / 8 / CHUNK, proof.bits.len()),
            (2, 0, twig, proof.upper.len()),
        ];
        for (kind, twig, place, depth) in paths {
            for level in 0..depth {
                known.insert((kind, twig, level, place >> level));
                siblings.insert((kind, twig, level, (place >> level) ^ 1));
            }
        }
    }
    entries + (chunks.len() + siblings.difference(&known).count()) * 32
}
