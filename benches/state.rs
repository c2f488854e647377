//! Durable updates with a state root after each batch: ours beside nomt, jmt and commonware-storage's qmdb, on the same
//! keys and values in the same run; memory, disk, reads and proofs by the number of keys.
//!
//! Each contender runs in a process of its own: ours in this program, started again; the peers in the program of
//! `benches/peers`, which is built when it is wanted. Preparing a batch in a contender's own types (and sorting it where
//! it asks for that) is charged to nobody.

#[path = "state/append_only.rs"]
mod append_only;
#[path = "state/children.rs"]
mod children;
#[path = "state/contender.rs"]
mod contender;
#[path = "state/measure.rs"]
mod measure;
#[path = "state/options.rs"]
mod options;
#[path = "state/ours.rs"]
mod ours;
#[path = "state/plot.rs"]
mod plot;
#[path = "state/prototype.rs"]
mod prototype;
#[path = "state/workload.rs"]
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use measure::{Report, quantile};
use options::Options;
use plot::{Mark, Point};
use workload::Workload;

/// As in the peers' program, so that no contender gains or loses by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The first argument of this program when it plays a contender.
const CHILD: &str = "--contender";

/// Contenders of the peers' package. The fastest of qmdb's is what ours is held against.
const PEERS: [&str; 6] =
    ["nomt", "jmt", "qmdb-unordered-fixed", "qmdb-unordered-fixed-overlapped", "qmdb-ordered-fixed", "fjall"];

/// Batches before the timed ones.
const WARM_UP: u64 = 10;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((first, rest)) if first == CHILD => child(rest),
        _ => Options::parse(words.into_iter()).and_then(|options| Bench::new(options).and_then(Bench::run)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("state bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `CONTENDER MINUTES FOLDER KEYS BATCHES BATCH`, as [`children::run`] puts them.
fn child(words: &[String]) -> Result<(), String> {
    let [contender, minutes, folder, keys, batches, batch] = words else {
        return Err(format!("{CHILD} is for the bench itself"));
    };
    let number = |text: &String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let (minutes, folder) = (number(minutes)?, Path::new(folder));
    let workload = Workload { keys: number(keys)?, batches: number(batches)?, batch: number(batch)?, warm_up: WARM_UP };
    let outcome = match (contender.as_str(), minutes) {
        ("ours", 0) => contender::run::<ours::Ours>(folder, workload),
        ("ours", minutes) => contender::run_for::<ours::Pruning>(folder, workload, minutes),
        ("append-only", _) => contender::run::<prototype::Live>(folder, workload),
        ("append-only-history", _) => contender::run::<prototype::WithHistory>(folder, workload),
        _ => Err(format!("unknown contender {contender}").into()),
    };
    println!("{}", outcome.map_err(|error| format!("{contender}: {error}"))?.line());
    Ok(())
}

struct Bench {
    options: Options,
    program: PathBuf,
    peers: Result<PathBuf, String>,
    report: Report,
}

impl Bench {
    fn new(options: Options) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let peers = match options.peers && !options.only_minutes {
            true => children::build_peers(),
            false => Err("--no-peers or --only-minutes was said".to_owned()),
        };
        Ok(Self { options, program, peers, report: Report::default() })
    }

    fn run(mut self) -> Result<(), String> {
        let conditions = self.conditions();
        println!("{conditions}");
        if self.options.only_minutes {
            self.tail()?;
            return self.write(&[], &[], &conditions);
        }
        if let Err(reason) = &self.peers {
            println!("\nno peers, so no ratios: {reason}");
        }
        let rows = self.compare()?;
        let ours = rows.first().map(|row| row.report.clone()).ok_or("nothing ran")?;
        self.ratios(&ours, &rows);
        let mut points = vec![point(&ours, self.options.keys)];
        self.sizes(&mut points)?;
        if self.options.minutes > 0 {
            self.tail()?;
        }
        self.write(&points, &rows, &conditions)
    }

    fn conditions(&self) -> String {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let model = model.trim_start_matches([' ', '\t', ':']);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("unknown");
        let options = &self.options;
        format!(
            "conditions: {model}, {cores} cores, load {load} before the start; folders in {} ({}); fsync on;\n            \
             keys of {} bytes, values of {} bytes, uniform; batches of {} different keys, {} timed after {WARM_UP};\n            \
             root after each batch; ours: the log's sync of a batch runs beside the work on its root, both are awaited\n            \
             before the next batch; 256 heights provable, whole history kept (not in the run of --minutes, see there);\n            \
             allocator: mimalloc for all;\n            \
             B/key: what the process takes of memory after the last batch and didn't before the first key, whatever for (buffers and\n            \
             what the allocator keeps included); index B: what the index alone takes",
            options.data.display(),
            file_system(&options.data),
            workload::KEY_BYTES,
            workload::VALUE_BYTES,
            options.batch,
            options.batches,
        )
    }

    fn workload(&self, keys: u64) -> Workload {
        Workload { keys, batch: self.options.batch, batches: self.options.batches, warm_up: WARM_UP }
    }

    fn contend(&self, contender: &str, keys: u64, minutes: u64) -> Result<Report, String> {
        let folder = self.options.data.join(contender);
        let workload = self.workload(keys);
        if PEERS.contains(&contender) {
            return children::run(self.peers.as_ref()?, &[contender], &folder, workload);
        }
        children::run(&self.program, &[CHILD, contender, &minutes.to_string()], &folder, workload)
    }

    /// All contenders at one size, in turn, several times; the medians of their figures. Ours comes first.
    fn compare(&self) -> Result<Vec<Row>, String> {
        let mut names = vec!["ours"];
        if self.peers.is_ok() {
            names.extend(PEERS);
        }
        if self.options.prototypes {
            names.extend(["append-only", "append-only-history"]);
        }
        let mut runs: Vec<Vec<Report>> = names.iter().map(|_| Vec::new()).collect();
        for run in 1..=self.options.runs {
            for (name, reports) in names.iter().zip(&mut runs) {
                eprintln!("run {run} of {}: {name}", self.options.runs);
                match self.contend(name, self.options.keys, 0) {
                    Ok(report) => reports.push(report),
                    Err(error) if *name == "ours" => return Err(error),
                    Err(error) => println!("{name} failed, and is left out: {error}"),
                }
            }
        }
        let mut rows = Vec::new();
        println!("\n{} keys, medians of {} runs:", self.options.keys, self.options.runs);
        println!(
            "{:34} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8} {:>7}",
            "",
            "updates/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "B/key",
            "index B",
            "disk MB",
            "B/update",
            "reads/s",
            "proofs/s",
            "proof B"
        );
        for (name, reports) in names.iter().zip(runs) {
            if let Some(report) = medians(&reports) {
                print_row(name, &report);
                rows.push(Row { name: (*name).to_owned(), report });
            }
        }
        println!("\nwhat each one is:");
        for Row { name, report } in &rows {
            println!("  {name}: {}", report.text("name"));
            println!("    durable: {}", report.text("durable"));
            println!("    the root commits to: {}", report.text("commits"));
            println!("    can prove: {}", report.text("proves"));
        }
        for row in rows.iter().filter(|row| row.name.starts_with("append-only")) {
            println!("  {}:", row.name);
            let own = row.report.iter().filter(|(name, _)| name.starts_with("prototype_"));
            own.for_each(|(name, value)| println!("    {name} = {value}"));
        }
        Ok(rows)
    }

    fn ratios(&mut self, ours: &Report, rows: &[Row]) {
        for (name, value) in ours.iter() {
            self.report.put(name, value);
        }
        let ratio = |of: &str, prefix: &str| {
            let mine = ours.number(of)?;
            let theirs = rows.iter().filter(|row| row.name.starts_with(prefix));
            let best = theirs.filter_map(|row| row.report.number(of)).fold(0.0, f64::max);
            (best > 0.0).then(|| format!("{:.2}", mine / best))
        };
        println!("\nours against the others, in this run:");
        let ratios = [
            ("nomt_ratio", "updates_per_s", "nomt"),
            ("jmt_ratio", "updates_per_s", "jmt"),
            ("qmdb_ratio", "updates_per_s", "qmdb"),
            ("reads_ratio", "reads_per_s", "fjall"),
        ];
        for (name, of, prefix) in ratios {
            let value = ratio(of, prefix).unwrap_or_else(|| "not measured".to_owned());
            println!("  {name} = {value} ({of})");
            self.report.put(name, value);
        }
        for row in rows {
            for figure in ["updates_per_s", "reads_per_s", "bytes_per_key", "written_per_update", "proof_bytes"] {
                let value = row.report.text(figure);
                if row.name != "ours" && !value.is_empty() {
                    self.report.put(&format!("{}.{figure}", row.name), value);
                }
            }
        }
    }

    fn sizes(&mut self, points: &mut Vec<Point>) -> Result<(), String> {
        let sizes = self.options.other_sizes();
        if sizes.is_empty() {
            return Ok(());
        }
        println!("\nours by size:");
        for keys in sizes {
            let report = self.contend("ours", keys, 0)?;
            print_row(&format!("ours, {keys} keys"), &report);
            let figures =
                ["updates_per_s", "bytes_per_key", "index_bytes_per_key", "disk_bytes", "batch_p50_ms", "batch_p99_ms"];
            for figure in figures {
                self.report.put(&format!("at_{keys}.{figure}"), report.text(figure));
            }
            points.push(point(&report, keys));
        }
        points.sort_by(|a, b| a.keys.total_cmp(&b.keys));
        let speed_at = |keys: f64| points.iter().find(|point| point.keys == keys).map(|point| point.speed);
        if let (Some(small), Some(large)) = (speed_at(1e6), speed_at(5e6)) {
            println!("  5 M keys run at {:.2} of the speed of 1 M", large / small);
            self.report.put("five_million_ratio", format!("{:.2}", large / small));
        }
        Ok(())
    }

    fn tail(&mut self) -> Result<(), String> {
        let report = self.contend("ours", self.options.keys, self.options.minutes)?;
        println!(
            "\n{} keys, {} minutes of blocks of {} updates, as fast as they come. In this run old versions are given up:\n\
             the 256 provable heights stay readable, passes of pruning and what they free run beside and in the commits, as\n\
             in a chain that keeps its last heights; the log is cut behind each batch:",
            self.options.keys, self.options.minutes, self.options.batch
        );
        let figures = [
            ("blocks", "blocks"),
            ("batch_p50_ms", "batch_p50_ms"),
            ("batch_p99_ms", "batch_p99_ms"),
            ("batch_max_ms", "batch_max_ms"),
            ("p99_over_p50", "p99_over_p50"),
            ("updates_per_s", "updates_per_s_total"),
            ("written_per_update", "written_per_update"),
            ("disk_max_bytes", "disk_max_bytes"),
            ("disk_end_bytes", "disk_end_bytes"),
            ("oldest_height", "oldest_height"),
        ];
        for (name, figure) in figures {
            println!("  {name} = {}", report.text(figure));
            self.report.put(&format!("long.{name}"), report.text(figure));
        }
        Ok(())
    }

    fn write(&self, points: &[Point], rows: &[Row], conditions: &str) -> Result<(), String> {
        if let Some(path) = &self.options.report {
            let mut text = String::new();
            for (name, value) in self.report.iter() {
                text.push_str(&format!("{name}={value}\n"));
            }
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if let Some(path) = &self.options.plot {
            let others: Vec<Mark> = rows
                .iter()
                .filter(|row| PEERS.contains(&row.name.as_str()) && row.name != "fjall")
                .map(|row| Mark { name: row.name.clone(), point: point(&row.report, self.options.keys) })
                .collect();
            let first = conditions.lines().next().unwrap_or_default();
            let note = format!("{} · batches of {}", first.split(';').next().unwrap_or_default(), self.options.batch);
            let svg = plot::svg(points, &others, &note);
            std::fs::write(path, svg).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

struct Row {
    name: String,
    report: Report,
}

fn point(report: &Report, keys: u64) -> Point {
    let number = |name| report.number(name).unwrap_or(0.0);
    Point { keys: keys as f64, speed: number("updates_per_s"), memory: number("bytes_per_key") }
}

/// Figure by figure; what isn't a number is taken from the first. `None` of nothing.
fn medians(reports: &[Report]) -> Option<Report> {
    let mut medians = reports.first()?.clone();
    let names: Vec<String> = medians.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let mut values: Vec<f64> = reports.iter().filter_map(|report| report.number(&name)).collect();
        if values.len() == reports.len() {
            medians.put(&name, quantile(&mut values, 0.5));
        }
    }
    Some(medians)
}

fn print_row(name: &str, report: &Report) {
    let text = |figure| match report.text(figure) {
        "" => "-",
        text => text,
    };
    let disk = report.number("disk_bytes").map_or("-".to_owned(), |bytes| format!("{:.0}", bytes / 1e6));
    println!(
        "{name:34} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8} {disk:>9} {:>9} {:>9} {:>8} {:>7}",
        text("updates_per_s"),
        text("batch_p50_ms"),
        text("batch_p99_ms"),
        text("batch_max_ms"),
        text("bytes_per_key"),
        text("index_bytes_per_key"),
        text("written_per_update"),
        text("reads_per_s"),
        text("proofs_per_s"),
        text("proof_bytes")
    );
}

/// The type of the file system that holds `folder`, by the longest mount point above it.
fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut best: Option<(&str, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if folder.starts_with(point) && best.is_none_or(|(known, _)| known.len() <= point.len()) {
            best = Some((point, kind));
        }
    }
    best.map_or_else(|| "file system unknown".to_owned(), |(_, kind)| kind.to_owned())
}
