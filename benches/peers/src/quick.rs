//! commonware-storage's `qmdb::current`: an append-only log of operations with a Merkle mountain belt over it and a
//! bitmap of those that are current (in the manner of QMDB, arXiv 2501.05262), an index in memory.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use commonware_codec::EncodeSize;
use commonware_cryptography::Sha256;
use commonware_parallel::Rayon;
use commonware_runtime::buffer::paged::{CacheRef, page_size};
use commonware_runtime::tokio::{Config as RuntimeConfig, Context, Runner};
use commonware_runtime::{BLOB_PAGE_SIZE, Runner as _, Strategizer as _, Supervisor as _};
use commonware_storage::journal::contiguous::fixed::Config as FixedJournal;
use commonware_storage::journal::contiguous::variable::Config as VariableJournal;
use commonware_storage::merkle::full::Config as MerkleConfig;
use commonware_storage::merkle::mmb;
use commonware_storage::qmdb::any::batch::Slot;
use commonware_storage::qmdb::current::{FixedConfig, VariableConfig, ordered, unordered};
use commonware_storage::qmdb::floor::Proportional;
use commonware_storage::translator::EightCap;
use commonware_utils::sequence::FixedBytes;
use commonware_utils::{NZU64, NZUsize};

use crate::measure::{Clock, Report, memory, written_bytes};
use crate::workload::{Update, VALUE_BYTES, Workload, key};
use crate::{Outcome, SAMPLES};

/// Bytes of bitmap in one chunk, as in the library's own benches.
const CHUNK: usize = 32;

type Name = FixedBytes<32>;
type Fixed = FixedBytes<VALUE_BYTES>;
type OrderedFixed = ordered::fixed::Db<mmb::Family, Context, Name, Fixed, Sha256, EightCap, CHUNK, Rayon>;
type UnorderedFixed = unordered::fixed::Db<mmb::Family, Context, Name, Fixed, Sha256, EightCap, CHUNK, Rayon>;
type OrderedVariable = ordered::variable::Db<mmb::Family, Context, Name, Vec<u8>, Sha256, EightCap, CHUNK, Rayon>;
type UnorderedVariable = unordered::variable::Db<mmb::Family, Context, Name, Vec<u8>, Sha256, EightCap, CHUNK, Rayon>;

/// How long keys and values may be when they are decoded.
type Limits = ((), (commonware_codec::RangeCfg<usize>, ()));

fn fixed(updates: Vec<Update>) -> Vec<(Name, Fixed)> {
    updates.into_iter().map(|(key, value)| (FixedBytes::new(key), FixedBytes::new(value))).collect()
}

fn variable(updates: Vec<Update>) -> Vec<(Name, Vec<u8>)> {
    updates.into_iter().map(|(key, value)| (FixedBytes::new(key), value.to_vec())).collect()
}

/// Two cores, a page cache that holds all of it; else what the library's own benches set.
struct Parts {
    merkle: MerkleConfig<Rayon>,
    cache: CacheRef,
}

const ITEMS: std::num::NonZeroU64 = NZU64!(10_000_000);
const BUFFER: NonZeroUsize = NZUsize!(2 << 20);
const CACHE_PAGES: NonZeroUsize = NZUsize!(262_144);

impl Parts {
    fn new(context: &Context) -> Self {
        let cache = CacheRef::new(page_size(BLOB_PAGE_SIZE), CACHE_PAGES);
        let merkle = MerkleConfig {
            journal_partition: "merkle-journal".into(),
            metadata_partition: "merkle-metadata".into(),
            items_per_blob: ITEMS,
            write_buffer: BUFFER,
            replay_buffer: BUFFER,
            strategy: context.strategy(NZUsize!(2)),
            page_cache: cache.clone(),
        };
        Self { merkle, cache }
    }

    fn fixed(self) -> FixedConfig<EightCap, Rayon> {
        FixedConfig {
            merkle_config: self.merkle,
            journal_config: FixedJournal {
                partition: "log".into(),
                items_per_blob: ITEMS,
                page_cache: self.cache,
                write_buffer: BUFFER,
                replay_buffer: BUFFER,
            },
            grafted_metadata_partition: "grafted".into(),
            translator: EightCap,
            init_cache: Some(NZUsize!(1 << 18)),
            init_buffer: NZUsize!(1 << 21),
            init_concurrency: (),
        }
    }

    fn variable(self) -> VariableConfig<EightCap, Limits, Rayon> {
        VariableConfig {
            merkle_config: self.merkle,
            journal_config: VariableJournal {
                partition: "log".into(),
                items_per_section: ITEMS,
                compression: None,
                codec_config: ((), ((0..=10_000).into(), ())),
                page_cache: self.cache,
                write_buffer: BUFFER,
                replay_buffer: BUFFER,
            },
            grafted_metadata_partition: "grafted".into(),
            translator: EightCap,
            init_cache: Some(NZUsize!(1 << 18)),
            init_buffer: NZUsize!(1 << 21),
            init_concurrency: (),
        }
    }
}

/// The four databases have one interface but no trait in common, hence a macro.
macro_rules! contend {
    ($database:ty, $config:expr, $prepare:expr, $context:expr, $workload:expr, $overlap:expr) => {{
        let (workload, prepare, overlap) = ($workload, $prepare, $overlap);
        let before = memory();
        let mut database = <$database>::init($context.child("state"), $config, None).await?;
        for load in workload.loads() {
            let mut batch = database.new_batch();
            for (key, value) in prepare(load) {
                batch = batch.write(key, Some(value));
            }
            let batch = batch.merkleize(&database, None, &mut Proportional).await?;
            database = database.apply_batch(batch).await?.commit().await?;
        }
        let mut written = written_bytes();
        let mut clock = Clock::start();
        let mut under_way = None;
        for number in 0..workload.warm_up + workload.batches {
            if number == workload.warm_up {
                written = written_bytes();
                clock = Clock::start();
            }
            let updates = clock.aside(|| prepare(workload.batch(number)));
            let begun = clock.begin();
            // Reads of the keys' places staged together: the library's fast way.
            let keys: Vec<&Name> = updates.iter().map(|(key, _)| key).collect();
            let (_, staged) = database.new_batch().stage(&keys, &database).await?;
            let slots = updates.iter().map(|(_, value)| Slot::Put(value.clone())).collect();
            let batch = staged.merkleize(slots, Vec::new(), None, &database, &mut Proportional).await?;
            black_box(batch.root());
            database = database.apply_batch(batch).await?;
            if overlap {
                // One sync under way, as ours has.
                let (synced, handle) = database.start_sync().await?;
                database = synced;
                if let Some((earlier, begun)) = under_way.replace((handle, begun)) {
                    earlier.await?;
                    clock.done(begun);
                }
            } else {
                database = database.commit().await?;
                clock.done(begun);
            }
        }
        if let Some((earlier, begun)) = under_way.take() {
            earlier.await?;
            clock.done(begun);
        }
        let mut report = Report::default();
        clock.report(workload.batch, &mut report);
        let updates = workload.batches * workload.batch;
        report.put("written_per_update", format!("{:.0}", (written_bytes() - written) as f64 / updates as f64));
        report.put_memory(before, workload.keys);
        let start = Instant::now();
        for number in workload.reads(SAMPLES) {
            black_box(database.get(&FixedBytes::new(key(number))).await?);
        }
        report.put("reads_per_s", format!("{:.0}", SAMPLES as f64 / start.elapsed().as_secs_f64()));
        let (start, proofs, mut bytes) = (Instant::now(), SAMPLES / 10, 0);
        for number in workload.reads(proofs) {
            bytes += database.key_value_proof(FixedBytes::new(key(number))).await?.encode_size();
        }
        report.put("proofs_per_s", format!("{:.0}", proofs as f64 / start.elapsed().as_secs_f64()));
        report.put("proof_bytes", bytes as u64 / proofs);
        report
    }};
}

pub(crate) fn run(variant: &str, folder: &Path, workload: Workload) -> Outcome {
    let config = RuntimeConfig::default().with_worker_threads(2).with_storage_directory(folder);
    let (kind, overlap) = variant.strip_suffix("-overlapped").map_or((variant, false), |kind| (kind, true));
    let chosen = kind.to_owned();
    let mut report = Runner::new(config).start(|context| async move {
        let parts = Parts::new(&context);
        let outcome: Outcome = match chosen.as_str() {
            "ordered-fixed" => Ok(contend!(OrderedFixed, parts.fixed(), fixed, context, workload, overlap)),
            "unordered-fixed" => Ok(contend!(UnorderedFixed, parts.fixed(), fixed, context, workload, overlap)),
            "ordered-variable" => Ok(contend!(OrderedVariable, parts.variable(), variable, context, workload, overlap)),
            "unordered-variable" => {
                Ok(contend!(UnorderedVariable, parts.variable(), variable, context, workload, overlap))
            }
            _ => Err(format!("unknown variant {chosen} of qmdb").into()),
        };
        outcome
    })?;
    report.put("name", format!("commonware-storage 2026.10.0 qmdb current {variant} (SHA-256)"));
    let when = if overlap { "while the next batch is worked on" } else { "before the next batch begins" };
    report.put("durable", format!("each batch: the log of operations, fsync {when}; index and tree are rebuilt"));
    report.put("commits", "the log of operations since the beginning and which are current; depends on their order");
    let absence = if variant.starts_with("ordered") { "absence by the neighbour's next key" } else { "no absence" };
    report.put("proves", format!("presence, {absence}; no range of keys in one proof, no older current state"));
    Ok(report)
}
