//! Writes the EPCIS document that the chain-of-origin example traces by default.
//!
//! ```text
//! cargo run -p ledger-traceability --example coffee_document > examples/data/coffee.jsonld
//! ```
//!
//! The lots in `examples/data/coffee_lots.csv` are facts of real graded coffee; all that happens to them here is invented, the same
//! on each run. Companies have prefixes from 952, which GS1 keeps for demonstrations.

mod document;
mod facts;
mod print;

fn main() -> Result<(), String> {
    let lots = facts::read(facts::LOTS)?;
    println!("{}", document::document(&lots).pretty(0));
    Ok(())
}
