//! Running the binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, reason = "each test file uses a part")]

use ledger_client::Client;
use ledger_core::{Genesis, TrustRoot, codec};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a command said.
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerkit"));
    command.args(arguments).env_remove("LEDGERKIT_PASSPHRASE");
    command
}

pub(crate) fn ledgerkit(arguments: &[&str]) -> Said {
    said(&mut command(arguments))
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Said {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A network's folder, made by `init` with free ports.
pub(crate) struct Network {
    pub(crate) folder: PathBuf,
}

impl Network {
    pub(crate) fn new(below: &Path, validators: u16) -> Self {
        let folder = below.join("network");
        let count = validators.to_string();
        let made = ledgerkit(&["init", "--validators", &count, "--listen", "0", "--folder", text(&folder)]);
        assert_eq!((made.status, made.err.as_str()), (0, ""));
        Network { folder }
    }

    pub(crate) fn node(&self, number: usize) -> PathBuf {
        self.folder.join(format!("node-{number}"))
    }

    pub(crate) fn config(&self, number: usize) -> PathBuf {
        self.node(number).join("ledgerkit.toml")
    }

    pub(crate) fn genesis(&self) -> Genesis {
        codec::decode(&std::fs::read(self.folder.join("genesis.bin")).unwrap()).unwrap()
    }

    pub(crate) fn start(&self, number: usize) -> Node {
        Node::start(&self.config(number))
    }

    /// Runs the node where it is to fail.
    pub(crate) fn fails(&self, number: usize) -> Said {
        ledgerkit(&["run", "--config", text(&self.config(number))])
    }

    /// A client that knows the genesis only, and asks the first of the servers before the others.
    pub(crate) fn client(&self, servers: &[String]) -> Client {
        let mut builder = Client::builder(&servers[0], TrustRoot::new(self.genesis()));
        for server in &servers[1..] {
            builder = builder.server(server);
        }
        builder.build().unwrap()
    }
}

/// A node's process, killed in the end.
pub(crate) struct Node {
    pub(crate) process: Child,
    pub(crate) ready: Value,
}

impl Node {
    pub(crate) fn start(config: &Path) -> Self {
        let mut command = command(&["run", "--until-stdin-ends", "--config", text(config)]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut error = process.stderr.take().unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut said = String::new();
            error.read_to_string(&mut said).unwrap();
            panic!("the node doesn't start: {said}");
        };
        // Read on, so that the node never waits for a reader of its log lines.
        std::thread::spawn(move || std::io::copy(&mut error, &mut std::io::sink()));
        Node { process, ready }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.ready["api"].as_str().unwrap())
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// In good order: standard input ends. Gives the exit status.
    pub(crate) fn stop(mut self) -> i32 {
        drop(self.process.stdin.take());
        self.process.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
