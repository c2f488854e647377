//! What was measured.

use std::time::Duration;

use ledger_traceability::json::Json;

/// The figures of a run. "Final" ends when a checkpoint commits to the transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Events of the documents that were not refused.
    pub(crate) events: u64,
    /// Events among them that the ledger had before this run.
    pub(crate) known: u64,
    /// Transactions of this run that recorded an event.
    pub(crate) transactions: u64,
    /// Documents refused.
    pub(crate) refused: u64,
    /// Blocks of the chain, the genesis not counted.
    pub(crate) blocks: u64,
    /// From handing in to final, of each transaction.
    pub(crate) latencies: Vec<Duration>,
    /// How long loading took.
    pub(crate) loading: Duration,
    pub(crate) lot: Option<String>,
    pub(crate) trace_events: u64,
    pub(crate) proofs_verified: u64,
    /// Leaves of the history that the checkpoint commits to.
    pub(crate) checkpoint_size: u64,
    pub(crate) state_root: String,
    /// What ran the contract: `native`, `wasm`.
    pub(crate) runtime: &'static str,
    /// How many members keep the ledger.
    pub(crate) nodes: usize,
    /// Whether all of them stand at the same block, history root and state root.
    pub(crate) roots_equal: bool,
    /// How many members were killed and started again.
    pub(crate) killed: u64,
    /// From the start of a killed member's process until it had executed what the others had then, in ms.
    pub(crate) caught_up_ms: Option<f64>,
}

impl Report {
    /// The latency that `percent` of the transactions didn't exceed, in ms; 0 without any.
    pub(crate) fn latency_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }

    /// Final transactions per second of loading; 0 without any.
    pub(crate) fn transactions_per_s(&self) -> f64 {
        if self.transactions == 0 { 0.0 } else { self.transactions as f64 / self.loading.as_secs_f64().max(0.000_001) }
    }

    /// The report as JSON, with a line feed at the end.
    pub(crate) fn to_json(&self) -> String {
        let whole = |number: u64| Json::Number(number.to_string().into());
        let decimal = |number: f64| Json::Number(format!("{number:.3}").into());
        let text = |text: &str| Json::Text(text.to_owned());
        let object = |members: Vec<(&str, Json)>| {
            Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let report = object(vec![
            ("events", whole(self.events)),
            ("transactions", whole(self.transactions)),
            ("refused", whole(self.refused)),
            ("blocks", whole(self.blocks)),
            ("final_ms_p50", decimal(self.latency_ms(50))),
            ("final_ms_p99", decimal(self.latency_ms(99))),
            ("transactions_per_s", decimal(self.transactions_per_s())),
            (
                "trace",
                object(vec![
                    ("lot", self.lot.as_deref().map_or(Json::Null, text)),
                    ("events", whole(self.trace_events)),
                    ("proofs_verified", whole(self.proofs_verified)),
                ]),
            ),
            ("checkpoint", object(vec![("size", whole(self.checkpoint_size))])),
            ("state_root", text(&self.state_root)),
            ("runtime", text(self.runtime)),
            ("nodes", whole(u64::try_from(self.nodes).unwrap_or(u64::MAX))),
            ("roots_equal", Json::Bool(self.roots_equal)),
            ("killed", whole(self.killed)),
            ("caught_up_ms", self.caught_up_ms.map_or(Json::Null, decimal)),
        ]);
        format!("{report}\n")
    }
}
