//! The one place that knows bincode: a fixed-length value is its bytes, with no length before them.

macro_rules! raw_bytes {
    ($name:ident, $length:literal) => {
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), bincode::error::EncodeError> {
                bincode::Encode::encode(self.as_bytes(), encoder)
            }
        }

        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                <[u8; $length] as bincode::Decode<C>>::decode(decoder).map($name::new)
            }
        }

        impl<'de, C> bincode::BorrowDecode<'de, C> for $name {
            fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                <Self as bincode::Decode<C>>::decode(decoder)
            }
        }
    };
}
pub(crate) use raw_bytes;
