//! The notation of the built-in files: whole numbers in groups of seven bits, and texts behind their length.

/// Reads a built-in file from front to back. What does not fit is a mistake of the build, so it panics.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Begins behind the line that a file begins with.
    pub(super) fn of(file: &'a [u8], head: &str) -> Self {
        Self(file.strip_prefix(head.as_bytes()).expect("the built-in file is of this kind"))
    }

    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("the built-in file is whole");
        self.0 = rest;
        *first
    }

    pub(super) fn number(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    }

    /// A number that may be negative: 0 to 4 stand for 0, -1, 1, -2, 2.
    pub(super) fn signed(&mut self) -> i32 {
        let number = self.number() as i64;
        let value = if number % 2 == 0 { number / 2 } else { -number / 2 - 1 };
        i32::try_from(value).expect("the built-in file holds small numbers")
    }

    pub(super) fn text(&mut self) -> &'a str {
        let length = self.number();
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(text).expect("the built-in file holds UTF-8")
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_read_back() {
        let mut bytes = Bytes::of(b"head\n\x05\xac\x02\x03\x04\x03abcz", "head\n");
        assert_eq!((bytes.number(), bytes.number(), bytes.signed(), bytes.signed()), (5, 300, -2, 2));
        assert_eq!((bytes.text(), bytes.rest()), ("abc", &b"z"[..]));
    }
}
