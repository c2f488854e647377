//! Killing a member in the middle, and taking it back.

use std::io::Write;

use crate::network::Network;
use crate::processes::Fallible;
use crate::report::Report;

/// The member that is killed: the second, in a network of four the exporter, which has the most to record.
const MEMBER: usize = 1;

/// How far the plan is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing, or nothing more, is going to happen.
    Over,
    /// The member is killed when half of the documents was handed in.
    Planned,
    /// It was killed, and is started when three quarters were.
    Killed { name: String, at: u64 },
    /// It is back.
    Restarted { line: String },
}

impl Fault {
    pub(crate) fn planned(kill: bool) -> Self {
        if kill { Fault::Planned } else { Fault::Over }
    }

    /// `done` of `total` bytes of documents were handed in.
    pub(crate) async fn reached(
        &mut self,
        done: u64,
        total: u64,
        network: &Network,
        report: &mut Report,
    ) -> Fallible<()> {
        match self {
            Fault::Planned if done.saturating_mul(2) >= total => self.kill(network, report).await,
            Fault::Killed { .. } if done.saturating_mul(4) >= total.saturating_mul(3) => {
                self.restart(network, report).await
            }
            _ => Ok(()),
        }
    }

    /// Does what is left to be done, and says what was.
    pub(crate) async fn finish(&mut self, network: &Network, report: &mut Report, out: &mut dyn Write) -> Fallible<()> {
        if *self == Fault::Planned {
            self.kill(network, report).await?;
        }
        if matches!(self, Fault::Killed { .. }) {
            self.restart(network, report).await?;
        }
        if let Fault::Restarted { line } = self {
            writeln!(out, "{line}")?;
            *self = Fault::Over;
        }
        Ok(())
    }

    async fn kill(&mut self, network: &Network, report: &mut Report) -> Fallible<()> {
        let name = network.kill(MEMBER).await?;
        report.killed += 1;
        *self = Fault::Killed { name, at: report.transactions };
        Ok(())
    }

    async fn restart(&mut self, network: &Network, report: &mut Report) -> Fallible<()> {
        let Fault::Killed { name, at } = self else { return Ok(()) };
        let missed = report.transactions.saturating_sub(*at);
        let (height, caught_up) = network.restart(MEMBER).await?;
        report.caught_up_ms = Some(caught_up);
        let line = format!(
            "killed       {name} (SIGKILL) when {at} events were final; {missed} became final without it; started again, it \
             stood at block {height} with the others after {caught_up:.0} ms"
        );
        *self = Fault::Restarted { line };
        Ok(())
    }
}
