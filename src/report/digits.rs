//! Numbers of a report's line, written from the end of a small buffer so that a line takes one copy and not ten.

/// The longest piece: three amounts of 20 digits with signs, points and separators.
const BYTES: usize = 96;

/// A piece of a line that grows towards its front.
pub struct Piece {
    bytes: [u8; BYTES],
    start: usize,
}

impl Piece {
    /// An empty piece.
    #[inline]
    #[expect(clippy::new_without_default, reason = "a piece has no default that anybody asks for")]
    pub fn new() -> Piece {
        Piece { bytes: [0; BYTES], start: BYTES }
    }

    /// Puts a byte in front; more than the piece holds is dropped, which no caller comes near.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        if let Some(at) = self.start.checked_sub(1) {
            self.start = at;
            self.bytes[at] = byte;
        }
    }

    /// Puts a number in front.
    #[inline]
    pub fn number(&mut self, mut number: u64) {
        loop {
            self.byte(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    /// Puts an amount in front, with all of a program's decimals.
    #[inline]
    pub fn amount(&mut self, amount: i64, decimals: u8) {
        let mut magnitude = amount.unsigned_abs();
        for _ in 0..decimals {
            self.byte(b'0' + (magnitude % 10) as u8);
            magnitude /= 10;
        }
        if decimals > 0 {
            self.byte(b'.');
        }
        self.number(magnitude);
        if amount < 0 {
            self.byte(b'-');
        }
    }

    /// What it holds.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::points::write_amount;

    proptest! {
        #[test]
        fn amounts_are_written_as_everywhere_else(amount in any::<i64>(), decimals in 0..=4_u8) {
            let mut expected = Vec::new();
            write_amount(amount, decimals, &mut expected);
            let mut piece = Piece::new();
            piece.amount(amount, decimals);
            prop_assert_eq!(piece.as_bytes(), expected.as_slice());
        }
    }
}
