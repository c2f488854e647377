//! Counting fuel.

use crate::host::HostError;
use ledger_core::Fuel;

/// Counts fuel up to a limit. What was used is never more than the limit: a charge that would pass it uses all that is
/// left and fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    limit: Fuel,
    used: Fuel,
}

impl Meter {
    /// A meter that has used nothing.
    pub const fn new(limit: Fuel) -> Self {
        Meter { limit, used: Fuel(0) }
    }

    /// Uses `amount`.
    ///
    /// # Errors
    /// [`HostError::OutOfFuel`] when that is more than is left; then nothing is left.
    pub fn charge(&mut self, amount: u64) -> Result<(), HostError> {
        match self.used.0.checked_add(amount) {
            Some(used) if used <= self.limit.0 => {
                self.used = Fuel(used);
                Ok(())
            }
            _ => Err(self.exhaust()),
        }
    }

    /// Uses `base`, and `each` for every one of `count`.
    ///
    /// # Errors
    /// As [`Meter::charge`]. A price too large for 64 bits is more than any limit.
    pub fn charge_sized(&mut self, base: u64, each: u64, count: usize) -> Result<(), HostError> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match each.checked_mul(count).and_then(|sized| sized.checked_add(base)) {
            Some(amount) => self.charge(amount),
            None => Err(self.exhaust()),
        }
    }

    /// Uses all that is left, and gives the error that says so.
    pub fn exhaust(&mut self) -> HostError {
        self.used = self.limit;
        HostError::OutOfFuel { limit: self.limit }
    }

    /// What was used so far.
    pub const fn used(&self) -> Fuel {
        self.used
    }

    /// What is left.
    pub const fn left(&self) -> Fuel {
        Fuel(self.limit.0.saturating_sub(self.used.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn used_is_the_sum_until_the_limit_and_then_the_limit(limit in 0..1_000u64, charges: Vec<u16>) {
            let mut meter = Meter::new(Fuel(limit));
            let mut sum = 0u64;
            for charge in charges {
                sum += u64::from(charge);
                let outcome = meter.charge(u64::from(charge));
                if sum > limit {
                    prop_assert_eq!(outcome, Err(HostError::OutOfFuel { limit: Fuel(limit) }));
                    prop_assert_eq!(meter.used(), Fuel(limit));
                    return Ok(());
                }
                prop_assert_eq!(outcome, Ok(()));
                prop_assert_eq!(meter.used(), Fuel(sum));
                prop_assert_eq!(meter.left(), Fuel(limit - sum));
            }
        }
    }

    #[test]
    fn a_price_beyond_64_bits_is_out_of_fuel_and_does_not_wrap() {
        let mut meter = Meter::new(Fuel(u64::MAX));
        assert!(meter.charge_sized(1, u64::MAX, 2).is_err());
        assert_eq!(meter.left(), Fuel(0));
    }
}
