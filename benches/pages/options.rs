//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
cargo bench --bench pages -- [options]
  --lots N       how many lots, ten times as many events; rounded up to tens (default 1000)
  --browser      also opens pages in Chromium, which needs Node.js to be told so; CHROMIUM names the program
  --data DIR     where a fresh folder is made; not on tmpfs (default: below target/)
  --keep         leaves the folder with ledger and pages, and says where it is
  --report FILE  the figures as lines of name=value";

pub(crate) struct Options {
    pub(crate) lots: usize,
    pub(crate) browser: bool,
    pub(crate) keep: bool,
    pub(crate) data: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
}

impl Options {
    /// `None` when help was asked for.
    pub(crate) fn read() -> Result<Option<Self>, String> {
        let mut options = Options { lots: 1_000, browser: false, keep: false, data: None, report: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--help" => return Ok(None),
                "--lots" => {
                    let value = value()?;
                    let lots = value.parse().ok().filter(|lots| *lots > 0);
                    options.lots = lots.ok_or(format!("--lots: `{value}` is not a positive number"))?;
                }
                "--browser" => options.browser = true,
                "--keep" => options.keep = true,
                "--data" => options.data = Some(value()?.into()),
                "--report" => options.report = Some(value()?.into()),
                // What cargo adds.
                "--bench" => {}
                _ => return Err(format!("unknown option {word}\n{HELP}")),
            }
        }
        Ok(Some(options))
    }
}
