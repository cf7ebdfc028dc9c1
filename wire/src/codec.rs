//! Deterministic CBOR for records: arrays with fixed positions, RFC 8949 section 4.2.1.
//!
//! Decoding accepts exactly the bytes that encoding gives: after a value is read it is encoded again and compared, which
//! refuses indefinite lengths, long forms of integers, trailing bytes and unknown items in one place.

use minicbor::{Decoder, Encoder};

/// Why bytes are not a value of the expected type. Always the sender's fault; drop the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not CBOR, or another shape than expected, or cut off.
    #[error("malformed {record} near byte {position}")]
    Malformed {
        /// The record that was expected.
        record: &'static str,
        /// Where reading stopped.
        position: usize,
    },
    /// The first item, which names the version or the kind of message, is another.
    #[error("{record} starts with {found}, expected {expected}")]
    Tag {
        /// The record that was expected.
        record: &'static str,
        /// The value that the record starts with.
        expected: u64,
        /// The value found.
        found: u64,
    },
    /// A string, list or number beyond its stated maximum.
    #[error("an item of {record} is over its limit of {limit}")]
    OverLimit {
        /// The record that holds the item.
        record: &'static str,
        /// The limit, in bytes or items.
        limit: usize,
    },
    /// Readable, but not the one encoding of the value.
    #[error("{record} is not in its deterministic encoding")]
    NotCanonical {
        /// The record that was expected.
        record: &'static str,
    },
    /// Well-formed, but breaks a rule of its record (order, uniqueness, range).
    #[error("{record} breaks the rule: {rule}")]
    Rule {
        /// The record that was expected.
        record: &'static str,
        /// The rule.
        rule: &'static str,
    },
}

/// A record with exactly one encoding.
pub trait Wire: Sized {
    /// Encodes the value.
    fn encode(&self) -> Vec<u8>;

    /// Decodes a value that fills `bytes` completely.
    ///
    /// # Errors
    /// [`DecodeError`] for everything that [`Wire::encode`] would not have written.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Where fields are written; writing to memory cannot fail.
pub struct Sink(Encoder<Vec<u8>>);

impl Default for Sink {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self(Encoder::new(Vec::new()))
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }

    /// Writes the head of an array.
    pub fn array(&mut self, items: usize) {
        let _ = self.0.array(items as u64);
    }

    /// Writes an unsigned integer in its shortest form.
    pub fn uint(&mut self, value: u64) {
        let _ = self.0.u64(value);
    }
}

/// Where fields are read from, with the name of the record for errors.
pub struct Source<'b> {
    decoder: Decoder<'b>,
    /// The record being read, for errors.
    pub record: &'static str,
}

impl<'b> Source<'b> {
    /// Reads from `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8], record: &'static str) -> Self {
        Self { decoder: Decoder::new(bytes), record }
    }

    /// The error for another shape, here.
    #[must_use]
    pub fn malformed(&self) -> DecodeError {
        DecodeError::Malformed { record: self.record, position: self.decoder.position() }
    }

    /// The error for an item over `limit`.
    #[must_use]
    pub fn over(&self, limit: usize) -> DecodeError {
        DecodeError::OverLimit { record: self.record, limit }
    }

    /// Length of an array that must be definite and at most `limit` items long.
    ///
    /// # Errors
    /// [`DecodeError`] for an indefinite or longer one.
    pub fn array(&mut self, limit: usize) -> Result<usize, DecodeError> {
        let items = self.decoder.array().map_err(|_| self.malformed())?;
        let items = usize::try_from(items.ok_or_else(|| self.malformed())?).map_err(|_| self.over(limit))?;
        if items > limit { Err(self.over(limit)) } else { Ok(items) }
    }

    /// Reads the head of an array of exactly `items`.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] for any other length.
    pub fn exact_array(&mut self, items: usize) -> Result<(), DecodeError> {
        match self.decoder.array() {
            Ok(Some(found)) if found == items as u64 => Ok(()),
            _ => Err(self.malformed()),
        }
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] for anything else.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        self.decoder.u64().map_err(|_| self.malformed())
    }

    /// Reads the fixed first item of a record.
    ///
    /// # Errors
    /// [`DecodeError::Tag`] for another number.
    pub fn expect_tag(&mut self, expected: u64) -> Result<(), DecodeError> {
        let found = self.uint()?;
        let record = self.record;
        if found == expected { Ok(()) } else { Err(DecodeError::Tag { record, expected, found }) }
    }

    fn bytes(&mut self) -> Result<&'b [u8], DecodeError> {
        self.decoder.bytes().map_err(|_| self.malformed())
    }

    fn is_finished(&self) -> bool {
        self.decoder.position() == self.decoder.input().len()
    }
}

/// One position of a record.
pub trait Field: Sized {
    /// Writes the value.
    fn put(&self, sink: &mut Sink);
    /// Reads a value of at most its limit.
    ///
    /// # Errors
    /// [`DecodeError`] for another shape or an item over its limit.
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError>;
}

/// Encodes one field as a whole message.
pub fn encode_whole<T: Field>(value: &T) -> Vec<u8> {
    let mut sink = Sink::new();
    value.put(&mut sink);
    sink.into_bytes()
}

/// Decodes one field that fills `bytes`, refusing every encoding but the one that [`encode_whole`] gives.
pub fn decode_whole<T: Field>(bytes: &[u8], record: &'static str) -> Result<T, DecodeError> {
    let mut source = Source::new(bytes, record);
    let value = T::take(&mut source)?;
    if source.is_finished() && encode_whole(&value) == bytes {
        Ok(value)
    } else {
        Err(DecodeError::NotCanonical { record })
    }
}

impl Field for u64 {
    fn put(&self, sink: &mut Sink) {
        sink.uint(*self);
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.uint()
    }
}

impl Field for u8 {
    fn put(&self, sink: &mut Sink) {
        sink.uint(u64::from(*self));
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        u8::try_from(source.uint()?).map_err(|_| source.over(u8::MAX as usize))
    }
}

impl Field for u16 {
    fn put(&self, sink: &mut Sink) {
        sink.uint(u64::from(*self));
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        u16::try_from(source.uint()?).map_err(|_| source.over(u16::MAX as usize))
    }
}

impl Field for bool {
    fn put(&self, sink: &mut Sink) {
        let _ = sink.0.bool(*self);
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.decoder.bool().map_err(|_| source.malformed())
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, sink: &mut Sink) {
        let _ = sink.0.bytes(self);
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let bytes = source.bytes()?;
        bytes.try_into().map_err(|_| source.malformed())
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, sink: &mut Sink) {
        match self {
            Some(value) => value.put(sink),
            None => {
                let _ = sink.0.null();
            }
        }
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        if matches!(source.decoder.datatype(), Ok(minicbor::data::Type::Null)) {
            source.decoder.null().map_err(|_| source.malformed())?;
            Ok(None)
        } else {
            T::take(source).map(Some)
        }
    }
}

/// A byte string of at most `MAX` bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Bytes<MAX> {
    /// Takes `bytes`, or gives them back as the error when there are more than `MAX`.
    ///
    /// # Errors
    /// The bytes themselves, unchanged.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Vec<u8>> {
        if bytes.len() > MAX { Err(bytes) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Field for Bytes<MAX> {
    fn put(&self, sink: &mut Sink) {
        let _ = sink.0.bytes(&self.0);
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let bytes = source.bytes()?;
        if bytes.len() > MAX { Err(source.over(MAX)) } else { Ok(Self(bytes.to_vec())) }
    }
}

/// A text of at most `MAX` bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes as much of `text` as fits, cut at a character.
    #[must_use]
    pub fn truncated(text: &str) -> Self {
        let mut end = text.len().min(MAX);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        Self(text.get(..end).unwrap_or_default().to_owned())
    }

    /// The text. It comes from the other side: clean it before it reaches a screen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Field for Text<MAX> {
    fn put(&self, sink: &mut Sink) {
        let _ = sink.0.str(&self.0);
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let text = source.decoder.str().map_err(|_| source.malformed())?;
        if text.len() > MAX { Err(source.over(MAX)) } else { Ok(Self(text.to_owned())) }
    }
}

/// A list of at most `MAX` items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes `items`, or gives them back as the error when there are more than `MAX`.
    ///
    /// # Errors
    /// The items themselves, unchanged.
    pub fn new(items: Vec<T>) -> Result<Self, Vec<T>> {
        if items.len() > MAX { Err(items) } else { Ok(Self(items)) }
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The items, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Field, const MAX: usize> Field for List<T, MAX> {
    fn put(&self, sink: &mut Sink) {
        sink.array(self.0.len());
        for item in &self.0 {
            item.put(sink);
        }
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let items = source.array(MAX)?;
        // Grown item by item: a claimed length must not reserve memory before its bytes are there.
        let mut list = Vec::new();
        for _ in 0..items {
            list.push(T::take(source)?);
        }
        Ok(Self(list))
    }
}

/// Declares a record: a struct, its CBOR array and [`Wire`]. `[n]` is the fixed first item, `[]` means there is none.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident [$($tag:literal)?] {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type),*
        }

        impl $crate::codec::Field for $name {
            fn put(&self, sink: &mut $crate::codec::Sink) {
                sink.array(<[&str]>::len(&[$(stringify!($tag),)? $(stringify!($field)),*]));
                $(sink.uint($tag);)?
                $($crate::codec::Field::put(&self.$field, sink);)*
            }
            fn take(source: &mut $crate::codec::Source<'_>) -> Result<Self, $crate::DecodeError> {
                source.record = stringify!($name);
                source.exact_array(<[&str]>::len(&[$(stringify!($tag),)? $(stringify!($field)),*]))?;
                $(source.expect_tag($tag)?;)?
                $(let $field = <$type as $crate::codec::Field>::take(source)?;)*
                Ok(Self { $($field),* })
            }
        }

        impl $crate::Wire for $name {
            fn encode(&self) -> Vec<u8> {
                $crate::codec::encode_whole(self)
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::DecodeError> {
                $crate::codec::decode_whole(bytes, stringify!($name))
            }
        }
    };
}

/// Declares an enum that travels as a small unsigned integer; unknown numbers are refused.
#[macro_export]
macro_rules! coded {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant),* }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub fn code(self) -> u64 {
                match self { $(Self::$variant => $code),* }
            }

            /// The value for a number on the wire, if there is one.
            #[must_use]
            pub fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }

        impl $crate::codec::Field for $name {
            fn put(&self, sink: &mut $crate::codec::Sink) {
                sink.uint(self.code());
            }
            fn take(source: &mut $crate::codec::Source<'_>) -> Result<Self, $crate::DecodeError> {
                let code = source.uint()?;
                Self::from_code(code).ok_or_else(|| source.malformed())
            }
        }
    };
}

/// Declares an enum of records told apart by the first item of each.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident($record:ident) = $tag:literal),* $(,)? }) => {
        $(#[$meta])*
        pub enum $name { $($(#[$vmeta])* $variant($record)),* }

        impl $crate::Wire for $name {
            fn encode(&self) -> Vec<u8> {
                match self { $(Self::$variant(record) => $crate::Wire::encode(record)),* }
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::DecodeError> {
                let mut source = $crate::codec::Source::new(bytes, stringify!($name));
                source.array(32)?;
                match source.uint()? {
                    $($tag => $crate::Wire::decode(bytes).map(Self::$variant),)*
                    _ => Err(source.malformed()),
                }
            }
        }
    };
}

pub(crate) use choice;
pub use {coded, record};
