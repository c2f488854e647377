//! The task that keeps the shards of a running host small.

use super::growth::{Growth, GrowthConfig, GrowthError};
use ledger_storage::log::LogWriter;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A shard as it is kept small.
#[derive(Clone)]
pub(super) struct Growing {
    pub(super) growth: Arc<Growth>,
    /// Not held on to: the shard closes it.
    pub(super) log: Weak<LogWriter>,
}

impl Growing {
    /// All steps of one cut, if the log has grown beyond its bound. Blocks.
    fn step(&self, config: &GrowthConfig) -> Result<(), GrowthError> {
        let mut log = self.log.upgrade();
        if log.is_none() {
            return Ok(());
        }
        let mut under_way = self.growth.begin(config)?;
        while let Some(cut) = under_way {
            if let Some(position) = cut.removes()
                && let Some(log) = log.take()
            {
                log.remove_before(position)?.wait()?;
            }
            under_way = self.growth.go_on(cut)?;
        }
        Ok(())
    }
}

/// The task that keeps all shards of a host small.
pub(super) struct Grower {
    task: JoinHandle<()>,
    /// Dropping it ends the task.
    stop: oneshot::Sender<()>,
}

impl Grower {
    pub(super) fn spawn(shards: Vec<Growing>, config: GrowthConfig) -> Self {
        let (stop, stopped) = oneshot::channel();
        Grower { task: tokio::spawn(grow(shards, config, stopped)), stop }
    }

    /// Ends the task, after the step that it is in.
    pub(super) async fn end(self) {
        drop(self.stop);
        // It has no result, and a panic in it has been noted as the shard's error.
        let _ = self.task.await;
    }
}

async fn grow(mut shards: Vec<Growing>, config: GrowthConfig, mut stopped: oneshot::Receiver<()>) {
    while !shards.is_empty() {
        tokio::select! {
            _ = &mut stopped => return,
            () = tokio::time::sleep(config.interval) => {}
        }
        let mut going = Vec::with_capacity(shards.len());
        for shard in shards {
            let (stepping, config) = (shard.clone(), config.clone());
            let done = tokio::task::spawn_blocking(move || stepping.step(&config)).await;
            let error = match done {
                Ok(Ok(())) => {
                    going.push(shard);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            shard.growth.failed(error);
        }
        shards = going;
    }
}
