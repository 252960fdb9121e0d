//! Filters: what a person writes is understood or refused, and a packed page is narrowed as a look at each value would.

use tidemill::{
    domain::{
        filter::{FilterText, Within},
        tier::Tiers,
        time::{Date, TimeZone},
    },
    store::filter_page::{FilterPage, MASK_WORDS, MISSING, Mask, Overlap, ROWS, encode},
};

/// Values that lie close together, as those of real columns do, and some that do not.
fn values(shape: u8, bytes: &[u8]) -> Vec<i64> {
    let width = usize::from(shape % 8) + 1;
    let base = [0, 1_700_000_000_000, i64::MIN + 1, i64::MAX - 300][usize::from(shape / 8) % 4];
    let one = |piece: &[u8]| {
        let mut eight = [0; 8];
        eight[..piece.len()].copy_from_slice(piece);
        match i64::from_le_bytes(eight) {
            7 => MISSING,
            other => base.wrapping_add(other),
        }
    };
    // A few bytes make a page of some hundred values.
    let few: Vec<i64> = bytes.chunks(width).map(one).collect();
    few.iter().copied().cycle().take((few.len() * (1 + usize::from(shape / 32))).min(ROWS)).collect()
}

fn check_page(values: &[i64], within: Within, mask: &Mask) {
    let mut stored = Vec::new();
    encode(values, &mut stored);
    let page = FilterPage::open(0, &stored).expect("it was just written");
    assert_eq!((0..page.count()).map(|at| page.get(at)).collect::<Vec<_>>(), values);
    let is_meant = |at: usize| values.get(at).is_some_and(|&value| value != MISSING && within.has(value));
    let mut plain = [0; MASK_WORDS];
    for at in (0..ROWS).filter(|&at| is_meant(at) && mask[at / 64] >> (at % 64) & 1 == 1) {
        plain[at / 64] |= 1 << (at % 64);
    }
    let mut kept = *mask;
    page.keep_within(within.min, within.max, &mut kept);
    assert_eq!(kept, plain, "{within:?} of {values:?}");
    let meant = (0..values.len()).filter(|&at| is_meant(at)).count();
    match page.overlap(within.min, within.max) {
        Overlap::None => assert_eq!(meant, 0),
        Overlap::All => assert_eq!(meant, values.len()),
        Overlap::Some => {}
    }
    let is_wanted: Vec<bool> = (0..10).map(|value| within.has(value)).collect();
    let is_among = |value: i64| usize::try_from(value).is_ok_and(|value| is_wanted.get(value) == Some(&true));
    let mut kept = *mask;
    page.keep_among(&is_wanted, &mut kept);
    for at in 0..ROWS {
        let before = mask[at / 64] >> (at % 64) & 1 == 1;
        let is_kept = kept[at / 64] >> (at % 64) & 1 == 1;
        assert_eq!(is_kept, before && values.get(at).is_some_and(|&value| is_among(value)), "at {at}");
    }
}

pub fn check(input: &[u8]) {
    let Some((&[shape, decimals, lines, a, b], rest)) = input.split_first_chunk::<5>() else { return };
    // Lines of text, then the bytes of a page.
    let mut parts = rest.splitn(6, |&byte| byte == b'\n');
    let mut line = |bit: u8| {
        let text = std::str::from_utf8(parts.next()?).ok()?;
        (lines >> bit & 1 == 0).then(|| text.to_owned())
    };
    let (balance, ltv, orders, tiers) = (line(0), line(1), line(2), line(3));
    let days = line(4).unwrap_or_default();
    let (after, before) = days.split_once(' ').unwrap_or((&days, ""));
    let bytes = parts.next().unwrap_or_default();
    let text = FilterText {
        balance,
        ltv,
        orders,
        created_after: Date::parse(after),
        created_before: Date::parse(before),
        tiers: tiers.map(|tiers| tiers.split(',').map(str::to_owned).collect()).unwrap_or_default(),
    };
    let declared = ["silver", "gold", "gold+"].map(str::to_owned);
    let declared = if lines & 0x80 == 0 { &declared[..] } else { &[] };
    let known = Tiers::from_parts(&["old".to_owned()], declared).expect("they are all different");
    let zone = TimeZone::new("Pacific/Apia").expect("it is bundled");
    let values = values(shape, bytes);
    let mut mask: Mask = [u64::MAX; MASK_WORDS];
    mask[usize::from(a) % MASK_WORDS] = 0x0101_0101_8000_0001;
    mask[usize::from(b) % MASK_WORDS] = 0;
    match text.filter(decimals % 5, &known, &zone) {
        Ok(filter) => {
            for within in [filter.balance, filter.ltv, filter.orders, filter.created_at].into_iter().flatten() {
                assert!(within.min <= within.max && within.min > MISSING, "{text:?}");
                check_page(&values, within, &mask);
            }
            let tiers = filter.tiers.iter().flatten();
            assert!(tiers.copied().collect::<Vec<_>>().is_sorted(), "{text:?}");
        }
        Err(problem) => assert!(!problem.message.is_empty() && !problem.hint.is_empty()),
    }
    // A range between two of the values, which a filter seldom hits by chance.
    let end = |place: u8| values.get(usize::from(place)).copied().filter(|&value| value != MISSING).unwrap_or(0);
    check_page(&values, Within { min: end(a).min(end(b)), max: end(a).max(end(b)) }, &mask);
}
