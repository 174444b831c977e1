//! What one scalar may be, and what is read from it.

use crate::tree::{Plain, Scalar};

/// Kinds of scalars that are allowed at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts(u8);

impl Accepts {
    const TEXT_BIT: u8 = 1;
    const INTEGER_BIT: u8 = 2;
    const FLOAT_BIT: u8 = 4;
    const BOOLEAN_BIT: u8 = 8;
    const NULL_BIT: u8 = 16;
    const WHOLE_BIT: u8 = 32;

    /// A text.
    pub const TEXT: Self = Self(Self::TEXT_BIT);
    /// A text or nothing.
    pub const TEXT_OR_NULL: Self = Self(Self::TEXT_BIT | Self::NULL_BIT);
    /// A text or a whole number.
    pub const INTEGER_OR_TEXT: Self = Self(Self::TEXT_BIT | Self::INTEGER_BIT);
    /// A text or a whole number that is written without a fraction.
    pub const WHOLE_OR_TEXT: Self = Self(Self::TEXT_BIT | Self::WHOLE_BIT);
    /// A whole number.
    pub const INTEGER: Self = Self(Self::INTEGER_BIT);
    /// A number.
    pub const NUMBER: Self = Self(Self::INTEGER_BIT | Self::FLOAT_BIT);
    /// A text or any number.
    pub const NUMBER_OR_TEXT: Self = Self(Self::TEXT_BIT | Self::INTEGER_BIT | Self::FLOAT_BIT);
    /// A text, any number or nothing.
    pub const NUMBER_TEXT_OR_NULL: Self =
        Self(Self::TEXT_BIT | Self::INTEGER_BIT | Self::FLOAT_BIT | Self::NULL_BIT);
    /// A truth value.
    pub const BOOLEAN: Self = Self(Self::BOOLEAN_BIT);
    /// A truth value or a text.
    pub const BOOLEAN_OR_TEXT: Self = Self(Self::TEXT_BIT | Self::BOOLEAN_BIT);
    /// A text, number or truth value.
    pub const SOMETHING: Self =
        Self(Self::TEXT_BIT | Self::INTEGER_BIT | Self::FLOAT_BIT | Self::BOOLEAN_BIT);
    /// A text, number, truth value or nothing.
    pub const ANY: Self = Self(Self::SOMETHING.0 | Self::NULL_BIT);

    /// Whether nothing is allowed.
    #[must_use]
    pub fn null(self) -> bool {
        self.0 & Self::NULL_BIT != 0
    }

    /// Whether the scalar is of an allowed kind. A whole number may be written with a fraction of zero.
    #[must_use]
    pub fn allows(self, scalar: &Scalar) -> bool {
        let bit = match scalar.meaning() {
            Plain::Null => Self::NULL_BIT,
            Plain::Boolean(_) => Self::BOOLEAN_BIT,
            Plain::Integer(_) => Self::INTEGER_BIT | Self::FLOAT_BIT | Self::WHOLE_BIT,
            Plain::Float(number) if number.fract() == 0.0 => Self::FLOAT_BIT | Self::INTEGER_BIT,
            Plain::Float(_) => Self::FLOAT_BIT,
            Plain::Text => Self::TEXT_BIT,
            Plain::Timestamp => 0,
        };
        self.0 & bit != 0
    }

    /// The allowed kinds in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self.0 & !Self::NULL_BIT {
            Self::TEXT_BIT => "a text",
            Self::INTEGER_BIT => "a whole number",
            Self::BOOLEAN_BIT => "`true` or `false`",
            9 => "`true`, `false` or a text",
            3 | 33 => "a whole number or a text",
            6 => "a number",
            7 => "a number or a text",
            _ => "a text, a number or a truth value",
        }
    }
}

/// What is read from a scalar, and what its canonical form is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reads {
    /// The text; a number by its value.
    Text,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A text that has one of some words in it.
    Containing(&'static [&'static str]),
    /// The name of a container.
    ContainerName,
    /// `true` or `false`, also as text in the old ways to write it.
    Boolean,
    /// A whole number of 64 bits; a text is read in base ten.
    Integer,
    /// The same within limits.
    Within(i64, i64),
    /// A whole number that is not negative; a text is read in base ten.
    Unsigned,
    /// The same up to a limit; a text counts only where the flag says so.
    UpTo(u64, bool),
    /// A number of single precision.
    Single,
    /// A percentage: a whole number from 0 to 100.
    Percent,
    /// A number of bytes, such as `64m`; a fraction without unit says nothing.
    Bytes,
    /// A time, such as `1m30s`.
    Duration,
    /// The mode of a file: octal as text.
    Mode,
    /// How many devices: a number, or `all`.
    Count,
    /// A path; a relative one resolves against the project's directory.
    Path,
    /// The same, where an absolute path of Windows is left alone.
    HostPath,
    /// A path or what a builder fetches.
    Context,
}
