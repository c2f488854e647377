//! Contenders in processes of their own, so that each one's memory is its own; and the package of the peers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::Report;
use crate::workload::Workload;

/// Builds the package of the peers beside the bench's own output, and gives its program.
///
/// # Errors
/// A sentence that says why there are no peers, to be shown as it is.
pub(crate) fn build_peers() -> Result<PathBuf, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]).arg(package);
    let status = command.arg("--target-dir").arg(&target).status();
    match status {
        Ok(status) if status.success() => Ok(target.join("release").join("ledgerkit-peers")),
        Ok(status) => Err(format!("cargo couldn't build benches/peers ({status}; its words are above)")),
        Err(error) => Err(format!("cargo couldn't be started: {error}")),
    }
}

/// Runs a contender in an empty folder, which is gone afterwards, and gives what it tells.
pub(crate) fn run(program: &Path, arguments: &[&str], folder: &Path, workload: Workload) -> Result<Report, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(wrong)?;
    }
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let mut command = Command::new(program);
    command.args(arguments).arg(folder);
    command.args([workload.keys, workload.batches, workload.batch].map(|number| number.to_string()));
    let output = command.stderr(Stdio::inherit()).output();
    std::fs::remove_dir_all(folder).map_err(wrong)?;
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{} {arguments:?} ended with {}", program.display(), output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    Ok(Report::parse(line))
}
