//! Where fuel goes, over many transactions.

use super::tree::grouped;
use super::{CallTrace, Entered, Names, TransactionTrace};
use core::cmp::Reverse;
use core::fmt;
use ledger_core::{ContractId, Fuel};
use std::collections::BTreeMap;

/// Fuel by contract and method, from [traces](TransactionTrace). It doesn't depend on the order in which they are added.
///
/// Memory: for each method, one entry for each different amount of fuel that a call of it has used. What traces
/// [omit](super::Omitted) is counted, but belongs to no method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FuelProfile {
    methods: BTreeMap<(ContractId, Entered), Method>,
    transactions: u64,
    outside: u64,
    omitted_calls: u64,
    omitted_fuel: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Method {
    calls: u64,
    failed: u64,
    fuel: u64,
    own: u64,
    /// How many calls have used so much fuel.
    samples: BTreeMap<u64, u64>,
}

/// What the calls of one method used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    /// The contract.
    pub contract: ContractId,
    /// The method, the constructor, or the migration.
    pub entry: Entered,
    /// How many calls there were.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Fuel that they used, with all that they called. Where a method is called within itself, the outer call counts.
    pub fuel: Fuel,
    /// Fuel that they used themselves.
    pub own_fuel: Fuel,
    /// The least fuel of a call, with all that it called.
    pub least: Fuel,
    /// The median; of an even number of calls the lower one of the two in the middle.
    pub median: Fuel,
    /// The most.
    pub most: Fuel,
}

impl FuelProfile {
    /// A profile of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a transaction, or a simulated call, has used.
    pub fn add(&mut self, trace: &TransactionTrace) {
        self.transactions = self.transactions.saturating_add(1);
        self.outside = self.outside.saturating_add(trace.own_fuel.0);
        self.omit(trace.omitted);
        let mut above = Vec::new();
        for call in super::calls(&trace.steps) {
            self.add_call(call, &mut above);
        }
    }

    fn omit(&mut self, omitted: super::Omitted) {
        self.omitted_calls = self.omitted_calls.saturating_add(omitted.calls);
        self.omitted_fuel = self.omitted_fuel.saturating_add(omitted.fuel.0);
    }

    fn add_call<'t>(&mut self, call: &'t CallTrace, above: &mut Vec<(ContractId, &'t Entered)>) {
        let place = (call.contract, &call.entry);
        let within_itself = above.contains(&place);
        let method = self.methods.entry((call.contract, call.entry.clone())).or_default();
        method.calls = method.calls.saturating_add(1);
        method.failed = method.failed.saturating_add(u64::from(!call.returned()));
        if !within_itself {
            method.fuel = method.fuel.saturating_add(call.fuel.0);
        }
        method.own = method.own.saturating_add(call.own_fuel.0);
        *method.samples.entry(call.fuel.0).or_default() += 1;
        self.omit(call.omitted);
        above.push(place);
        for inner in call.calls() {
            self.add_call(inner, above);
        }
        above.pop();
    }

    /// The methods: those that used most fuel themselves first, then by contract and name.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let row = |((contract, entry), method): (&(ContractId, Entered), &Method)| {
            let all = || method.samples.keys().copied();
            ProfileRow {
                contract: *contract,
                entry: entry.clone(),
                calls: method.calls,
                failed: method.failed,
                fuel: Fuel(method.fuel),
                own_fuel: Fuel(method.own),
                least: Fuel(all().next().unwrap_or(0)),
                median: Fuel(method.median()),
                most: Fuel(all().next_back().unwrap_or(0)),
            }
        };
        let mut rows: Vec<ProfileRow> = self.methods.iter().map(row).collect();
        rows.sort_by_key(|row| Reverse(row.own_fuel));
        rows
    }

    /// What is known of one method; `entry` as a trace has it, so cut if it is long.
    pub fn row(&self, contract: &ContractId, entry: &Entered) -> Option<ProfileRow> {
        self.rows().into_iter().find(|row| row.contract == *contract && row.entry == *entry)
    }

    /// How many transactions and simulated calls were added.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Fuel that transactions used outside of calls.
    pub fn outside_calls(&self) -> Fuel {
        Fuel(self.outside)
    }

    /// How many calls the traces left out, and what fuel they used.
    pub fn omitted(&self) -> (u64, Fuel) {
        (self.omitted_calls, Fuel(self.omitted_fuel))
    }

    /// The profile as a table, with `names` where contracts have some.
    pub fn table(&self, names: &Names) -> String {
        let mut lines = vec![HEAD.map(str::to_owned)];
        for row in self.rows() {
            let method = format!("{}.{}", names.of(&row.contract), row.entry.name().escape_debug());
            let numbers = [row.calls, row.failed, row.own_fuel.0, row.fuel.0, row.least.0, row.median.0, row.most.0];
            let [calls, failed, own, fuel, least, median, most] = numbers.map(grouped);
            lines.push([method, calls, failed, own, fuel, least, median, most]);
        }
        let none = String::new;
        let (calls, fuel) = (grouped(self.transactions), grouped(self.outside));
        lines.push([
            "transactions outside of calls".to_owned(),
            calls,
            none(),
            fuel.clone(),
            fuel,
            none(),
            none(),
            none(),
        ]);
        if self.omitted_calls > 0 {
            let (calls, fuel) = (grouped(self.omitted_calls), grouped(self.omitted_fuel));
            lines.push(["calls that were omitted".to_owned(), calls, none(), none(), fuel, none(), none(), none()]);
        }
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; 8] = core::array::from_fn(width);
        let mut table = String::new();
        for line in &lines {
            let mut written = String::new();
            for (place, (cell, width)) in line.iter().zip(widths).enumerate() {
                written += &if place == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            table += written.trim_end();
            table.push('\n');
        }
        table
    }
}

const HEAD: [&str; 8] = ["method", "calls", "failed", "own fuel", "fuel", "least", "median", "most"];

impl Method {
    fn median(&self) -> u64 {
        let middle = self.calls.div_ceil(2);
        let mut passed = 0u64;
        for (fuel, count) in &self.samples {
            passed = passed.saturating_add(*count);
            if passed >= middle {
                return *fuel;
            }
        }
        0
    }
}

impl fmt::Display for FuelProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(&Names::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_median_is_that_of_the_sorted_list(mut fuels in prop::collection::vec(0..50u64, 1..40)) {
            let mut method = Method::default();
            for fuel in &fuels {
                method.calls += 1;
                *method.samples.entry(*fuel).or_default() += 1;
            }
            fuels.sort_unstable();
            prop_assert_eq!(method.median(), fuels[(fuels.len() - 1) / 2]);
        }
    }
}
