//! Scenarios by name, for the command line and for tests.

use crate::scenario::{Scenario, one_owner};

/// A scenario with a name.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What it is called.
    pub name: &'static str,
    /// What it goes through.
    pub about: &'static str,
    build: fn() -> Scenario,
}

impl Named {
    /// The scenario.
    pub fn scenario(&self) -> Scenario {
        Scenario { name: Some(self.name), ..(self.build)() }
    }
}

/// All named scenarios.
pub const SCENARIOS: &[Named] = &[
    Named {
        name: "calm",
        about: "three chains on one host, no faults",
        build: || one_owner().chains(3).transactions(60),
    },
    Named {
        name: "crashes",
        about: "power is cut at I/O operations and between them, also within recovery; writes may be short",
        build: || one_owner().chains(2).transactions(40).crashes(4).power_cuts(1).nested(60).short_writes(),
    },
    Named {
        name: "restarts",
        about: "the process is killed, or closed properly, many times",
        build: || one_owner().chains(3).transactions(40).kills(3).shutdowns(3),
    },
    Named {
        name: "disk-errors",
        about: "syncs and writes fail, the disk runs full, power is cut in between",
        build: || {
            one_owner()
                .chains(2)
                .transactions(40)
                .failing_syncs(2)
                .failing_writes(2)
                .full_disks(2)
                .crashes(2)
                .nested(40)
        },
    },
    Named {
        name: "mischief",
        about: "half of what clients send is wrong; real signatures in every seed",
        build: || one_owner().transactions(60).wrong(50).real_signatures(100).crashes(1),
    },
    Named {
        name: "restored-log",
        about: "an older copy of the log stands beside newer vote guards: the signer refuses",
        build: || one_owner().chains(2).transactions(20).crashes(1).restored_log(),
    },
    Named {
        name: "heartbeat",
        about: "an empty block after every quiet second",
        build: || one_owner().chains(2).transactions(20).crashes(1).heartbeat(1_000),
    },
    Named {
        name: "growth",
        about: "the log is cut behind the views, by policies of each chain; crashes and errors amid it; older views",
        build: || {
            let cutting = one_owner().chains(2).transactions(60).growth().short_writes();
            cutting
                .crashes(6)
                .power_cuts(1)
                .kills(1)
                .shutdowns(1)
                .failing_syncs(1)
                .failing_writes(1)
                .full_disks(1)
                .nested(40)
        },
    },
    Named {
        name: "every-point",
        about: "a short run, to be cut at an I/O operation of one's choice (--crash-at, --survivor)",
        build: || one_owner().accounts(2).transactions(6).wrong(0).real_signatures(0),
    },
];

/// The scenario called `name`.
#[must_use]
pub fn named(name: &str) -> Option<Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).map(Named::scenario)
}
