//! Writing the binary format: integers in LEB128, vectors, sections.
//!
//! WebAssembly Core Specification 2.0, chapter 5.

/// The few instructions that are written and not copied.
pub(super) mod op {
    pub(crate) const UNREACHABLE: u8 = 0x00;
    pub(crate) const BLOCK: u8 = 0x02;
    pub(crate) const IF: u8 = 0x04;
    pub(crate) const END: u8 = 0x0b;
    pub(crate) const BR: u8 = 0x0c;
    pub(crate) const LOCAL_GET: u8 = 0x20;
    pub(crate) const LOCAL_SET: u8 = 0x21;
    pub(crate) const LOCAL_TEE: u8 = 0x22;
    pub(crate) const GLOBAL_GET: u8 = 0x23;
    pub(crate) const GLOBAL_SET: u8 = 0x24;
    pub(crate) const I32_CONST: u8 = 0x41;
    pub(crate) const I64_CONST: u8 = 0x42;
    pub(crate) const I32_LT_S: u8 = 0x48;
    pub(crate) const I64_LT_S: u8 = 0x53;
    pub(crate) const I32_ADD: u8 = 0x6a;
    pub(crate) const I32_SUB: u8 = 0x6b;
    pub(crate) const I32_ROTL: u8 = 0x77;
    pub(crate) const I64_ADD: u8 = 0x7c;
    pub(crate) const I64_SUB: u8 = 0x7d;
    pub(crate) const I64_MUL: u8 = 0x7e;
    pub(crate) const I64_SHR_U: u8 = 0x88;
    pub(crate) const I64_EXTEND_I32_U: u8 = 0xad;
    /// The type of a block without parameters and results.
    pub(crate) const EMPTY: u8 = 0x40;
    pub(crate) const I32: u8 = 0x7f;
    pub(crate) const I64: u8 = 0x7e;
}

/// Bytes of a module that are being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// An unsigned integer.
    pub(super) fn unsigned(&mut self, value: impl Into<u64>) -> &mut Self {
        let mut value = value.into();
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return self;
            }
            self.0.push(low | 0x80);
        }
    }

    /// A length. Nothing here is as long as 64 bits can tell.
    pub(super) fn length(&mut self, length: usize) -> &mut Self {
        self.unsigned(u64::try_from(length).unwrap_or(u64::MAX))
    }

    /// A signed integer.
    pub(super) fn signed(&mut self, value: impl Into<i64>) -> &mut Self {
        let mut value = value.into();
        loop {
            let [low, ..] = value.to_le_bytes();
            // The sign stays, so the last byte's highest bit is it.
            value >>= 7;
            let done = (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0);
            if done {
                self.0.push(low & 0x7f);
                return self;
            }
            self.0.push(low | 0x80);
        }
    }

    /// An instruction with one index.
    pub(super) fn indexed(&mut self, opcode: u8, index: u32) -> &mut Self {
        self.byte(opcode).unsigned(index)
    }

    /// A name or another vector of bytes.
    pub(super) fn vector(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len()).bytes(bytes)
    }

    /// A section: its id, its size, its content.
    pub(super) fn section(&mut self, id: u8, content: &[u8]) -> &mut Self {
        self.byte(id).vector(content)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wasmparser::BinaryReader;

    proptest! {
        #[test]
        fn an_integer_written_is_read(unsigned: u64, signed: i64) {
            let mut writer = Writer::default();
            writer.unsigned(unsigned).signed(signed);
            let mut reader = BinaryReader::new(&writer.0, 0);
            prop_assert_eq!(reader.read_var_u64().unwrap(), unsigned);
            prop_assert_eq!(reader.read_var_i64().unwrap(), signed);
            prop_assert!(reader.eof());
        }
    }

    #[test]
    fn the_bounds_of_each_width_are_read_as_written() {
        for shift in 0..64 {
            for value in [1i64 << shift, (1i64 << shift).wrapping_sub(1), -(1i64 << (shift % 63)), i64::MIN, 0, -1] {
                let mut writer = Writer::default();
                writer.signed(value);
                assert_eq!(BinaryReader::new(&writer.0, 0).read_var_i64().unwrap(), value);
            }
        }
    }
}
