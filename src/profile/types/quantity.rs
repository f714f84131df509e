//! Human units.

use std::fmt;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads `4G`, `512M`, `64K`, `1T` (powers of 1024; `GiB` and `GB` mean the same) or plain bytes.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "K" | "KB" | "KIB" => 10,
            "M" | "MB" | "MIB" => 20,
            "G" | "GB" | "GIB" => 30,
            "T" | "TB" | "TIB" => 40,
            _ => return Err(not_a_size(text)),
        };
        let number: u64 = number.parse().map_err(|_| not_a_size(text))?;
        number
            .checked_mul(1 << shift)
            .filter(|bytes| *bytes <= i64::MAX as u64)
            .map(Self)
            .ok_or_else(|| format!("`{}` is more than any machine has", text.escape_debug()))
    }
}

fn not_a_size(text: &str) -> String {
    format!("`{}` is not a size", text.escape_debug())
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Processors' worth of time, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(pub u32);

impl Cpus {
    /// Reads `2`, `1.5` or `150%`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || format!("`{}` is not a number of processors", text.escape_debug());
        let hundredths = if let Some(percent) = text.strip_suffix('%') {
            percent.parse::<u32>().map_err(|_| error())?
        } else {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let whole: u32 = whole.parse().map_err(|_| error())?;
            let padded = format!("{fraction}0");
            let fraction: u32 = padded
                .get(..2)
                .filter(|_| fraction.len() <= 2)
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(error)?;
            whole.checked_mul(100).and_then(|n| n.checked_add(fraction)).ok_or_else(error)?
        };
        if hundredths == 0 || hundredths > 1_000_000 {
            return Err(error());
        }
        Ok(Self(hundredths))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(Bytes::parse("4G").unwrap().0, 4 << 30);
        assert_eq!(Bytes::parse("512 MiB").unwrap().0, 512 << 20);
        assert_eq!(Bytes::parse("0").unwrap().0, 0);
        assert_eq!(Bytes(3 << 30).to_string(), "3G");
        for bad in ["", "G", "-1", "1X", "1.5G", "99999999T", "18446744073709551616"] {
            Bytes::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn processors() {
        assert_eq!(Cpus::parse("2").unwrap().0, 200);
        assert_eq!(Cpus::parse("1.5").unwrap().0, 150);
        assert_eq!(Cpus::parse("0.25").unwrap().0, 25);
        assert_eq!(Cpus::parse("150%").unwrap().0, 150);
        for bad in ["0", "", "x", "1.234", "-1", "0%", "99999999"] {
            Cpus::parse(bad).unwrap_err();
        }
    }
}
