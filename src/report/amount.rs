//! Amounts and cells as text.

/// A sum of points with the program's decimals. Sums of many balances may be wider than one amount.
pub fn amount_text(amount: i128, decimals: u8) -> String {
    if decimals == 0 {
        return amount.to_string();
    }
    let unit = 10_u128.pow(u32::from(decimals));
    let magnitude = amount.unsigned_abs();
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = usize::from(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_always_have_the_programs_decimals() {
        for (amount, decimals, text) in
            [(0, 0, "0"), (-5, 2, "-0.05"), (550, 2, "5.50"), (1, 4, "0.0001"), (-120, 1, "-12.0")]
        {
            assert_eq!(amount_text(amount, decimals), text);
        }
    }
}
