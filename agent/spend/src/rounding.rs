//! Splitting an amount so that the parts always sum to the whole. The remainder is placed deterministically: largest
//! remainder first, the earliest of equals first.

use crate::money::Money;

/// Splits `total` in proportion to `weights`; the parts sum to `total` to the last minor unit.
///
/// Negative weights count as zero. When no weight is positive, everything goes to the first part. Without weights there
/// are no parts.
pub fn allocate(total: Money, weights: &[i64]) -> Vec<Money> {
    let weights: Vec<u128> = weights.iter().map(|w| u128::from(w.max(&0).unsigned_abs())).collect();
    let sum: u128 = weights.iter().sum();
    // 64 by 63 bits: the product fits.
    let whole = u128::from(total.minor.unsigned_abs());
    let (mut parts, remainders): (Vec<u128>, Vec<u128>) = match sum {
        0 => (vec![0; weights.len()], vec![0; weights.len()]),
        _ => weights.iter().map(|w| (whole * w / sum, whole * w % sum)).unzip(),
    };
    let missing = whole - parts.iter().sum::<u128>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| remainders[*b].cmp(&remainders[*a]).then(a.cmp(b)));
    match (sum, parts.first_mut()) {
        (0, Some(first)) => *first = missing,
        (0, None) => {}
        // Fewer units are missing than there are parts with a remainder.
        _ => order.iter().take(usize::try_from(missing).unwrap_or(usize::MAX)).for_each(|i| parts[*i] += 1),
    }
    parts.into_iter().map(|part| signed(total, part)).collect()
}

/// `part` never exceeds the size of `total`, so it fits with the sign of `total`.
fn signed(total: Money, part: u128) -> Money {
    let size = i128::try_from(part).unwrap_or(i128::MAX);
    let value = if total.minor < 0 { -size } else { size };
    Money::new(i64::try_from(value).unwrap_or(total.minor), total.currency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use proptest::prelude::*;

    fn minors(total: i64, weights: &[i64]) -> Vec<i64> {
        allocate(Money::new(total, Currency::USD), weights).iter().map(|part| part.minor).collect()
    }

    #[test]
    fn the_remainder_goes_to_the_largest_remainder_then_to_the_earliest() {
        for (total, weights, parts) in [
            (100, vec![1, 1, 1], vec![34, 33, 33]),
            (-100, vec![1, 1, 1], vec![-34, -33, -33]),
            (101, vec![1, 1, 1], vec![34, 34, 33]),
            (10, vec![1, 5, 1], vec![2, 7, 1]),
            (1, vec![1, 9], vec![0, 1]),
            (7, vec![0, 0], vec![7, 0]),
            (7, vec![-5, 1], vec![0, 7]),
            (7, vec![], vec![]),
            (0, vec![1, 2], vec![0, 0]),
            (i64::MIN, vec![i64::MAX], vec![i64::MIN]),
        ] {
            assert_eq!(minors(total, &weights), parts, "{total} by {weights:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn parts_sum_to_the_whole(total: i64, weights in prop::collection::vec(any::<i64>(), 1..20)) {
            let parts = minors(total, &weights);
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(total));
            prop_assert!(parts.iter().all(|part| *part == 0 || (*part < 0) == (total < 0)));
        }
    }
}
