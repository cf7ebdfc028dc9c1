//! The input as a source of decisions.

/// What is left of the input.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below `limit`, which is not 0; 0 when the input has ended.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let (high, low) = if limit > 256 { (self.byte(), self.byte()) } else { (None, self.byte()) };
        (usize::from(high.unwrap_or(0)) << 8 | usize::from(low.unwrap_or(0))) % limit
    }

    /// As many bytes as the next two say, or as there are.
    pub(super) fn long(&mut self) -> &'a [u8] {
        let wanted = self.below(1 << 16);
        let (taken, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the next one says, or as there are.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.byte().unwrap_or(0)) * 4;
        let (taken, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
