//! Counting fuel.

use crate::host::HostError;
use ledger_core::Fuel;

/// Counts fuel up to a limit. What was used is never more than the limit: a charge that would pass it uses all that is
/// left and fails.
///
/// Work is charged before it is done, but for one kind: how long a value is shows when it was read. If there isn't fuel
/// for it then, it was read all the same, and what is missing is *owed*: by whoever called with a limit, and at last by
/// the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    limit: Fuel,
    used: Fuel,
    owed: Fuel,
}

impl Meter {
    /// A meter that has used nothing.
    pub const fn new(limit: Fuel) -> Self {
        Meter { limit, used: Fuel(0), owed: Fuel(0) }
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

    /// Uses `each` for every one of `count`, which is work that was done already.
    ///
    /// # Errors
    /// As [`Meter::charge`]; then what is missing is [owed](Meter::owed).
    pub fn charge_done(&mut self, each: u64, count: usize) -> Result<(), HostError> {
        self.charge_late(each.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)))
    }

    fn charge_late(&mut self, amount: u64) -> Result<(), HostError> {
        let missing = amount.saturating_sub(self.left().0);
        self.owed = Fuel(self.owed.0.saturating_add(missing));
        self.charge(amount)
    }

    /// Takes over what a call has used of this meter's fuel, and what it owes.
    ///
    /// # Errors
    /// As [`Meter::charge`]; then what is missing is [owed](Meter::owed).
    pub fn take_over(&mut self, inner: &Meter) -> Result<(), HostError> {
        self.charge(inner.used.0)?;
        self.charge_late(inner.owed.0)
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

    /// What was done and couldn't be paid: at most the last thing before the fuel was at its end.
    pub const fn owed(&self) -> Fuel {
        self.owed
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
    fn what_was_done_and_cannot_be_paid_is_owed_by_whoever_called() {
        let mut outer = Meter::new(Fuel(100));
        let mut inner = Meter::new(Fuel(10));
        assert!(inner.charge_done(2, 5).is_ok());
        assert_eq!(inner.charge_done(3, 20), Err(HostError::OutOfFuel { limit: Fuel(10) }));
        assert_eq!((inner.used(), inner.owed()), (Fuel(10), Fuel(60)));
        assert!(outer.take_over(&inner).is_ok());
        assert_eq!((outer.used(), outer.owed()), (Fuel(70), Fuel(0)));
        assert!(outer.take_over(&inner).is_err());
        assert_eq!((outer.used(), outer.owed()), (Fuel(100), Fuel(40)));
        assert!(outer.charge_done(u64::MAX, 2).is_err());
        assert_eq!(outer.owed(), Fuel(u64::MAX));
    }

    #[test]
    fn a_price_beyond_64_bits_is_out_of_fuel_and_does_not_wrap() {
        let mut meter = Meter::new(Fuel(u64::MAX));
        assert!(meter.charge_sized(1, u64::MAX, 2).is_err());
        assert_eq!(meter.left(), Fuel(0));
    }
}
