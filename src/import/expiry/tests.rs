use super::*;
use crate::{
    domain::{
        expiry_terms::ExpiryProfile,
        time::{Date, Timestamp},
    },
    import::{format::Format, input},
};

fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

/// The batch of a file that is read on 2021-08-01 with these terms; none: as a preview without any.
fn parsed(terms: Option<&ExpiryTerms>, format: &str, content: &str) -> ExpiryBatch {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("expiry.csv");
    std::fs::write(&path, content).unwrap();
    let hints = input::InputHints { format: Some(format.to_owned()), ..Default::default() };
    let source = input::open(&path, &hints).unwrap();
    let layout = input::understand(&source, &path, Some(crate::import::format::Kind::Expiry), &hints).unwrap();
    let now = Timestamp::parse_rfc3339("2021-08-01T12:00:00Z").unwrap();
    let rules = ExpiryRules::reading(&layout, terms, &Surroundings::of_new_store(now), 0);
    let mut chunks =
        input::chunks_of(&source, layout.dialect, layout.start, 1 << 20, std::sync::Arc::default()).unwrap();
    let mut batch = ExpiryBatch::default();
    batch.fill(chunks().unwrap().unwrap());
    rules.parse(&IdentifierTable::default(), &mut batch);
    batch
}

fn reference(change: Option<ExpiryDirection>, set: Option<NewExpiry>) -> ExpiryTerms {
    ExpiryTerms { profile: ExpiryProfile::Reference, change, set, include_promised: true }
}

const HEADER: &str = "User Id,Point Awarded Ref Type,Point Awarded Ref Id,Expiry Type,Expiry Unit,New Expiry Value,\
                      Expiry Update Reason Type,Expiry Update Reason Note";

/// What each row asks for in words, or its code, column and message.
fn answers(terms: &ExpiryTerms, rows: &[&str]) -> Vec<String> {
    let batch = parsed(Some(terms), "expiry-reference", &format!("{HEADER}\n{}\n", rows.join("\n")));
    let answer = |at: usize| {
        if let Some((_, fault)) = batch.faults().iter().find(|(row, _)| *row as usize == at) {
            return format!("{} {}: {}", fault.rejection.code(), fault.column, fault.message);
        }
        let ask = batch.asks[at].unwrap();
        let note = &batch.notes[ask.note.0 as usize..ask.note.1 as usize];
        let update = ask.update;
        assert_eq!((update.base, update.include_promised), (ExpiryBase::OwnLastDay, true));
        let LotSelector::Reference { ref_type, ref_id } = update.selector else { panic!("{update:?}") };
        let of = |which, hash| match hash {
            0 => "-".to_owned(),
            hash if hash == reference_hash(which, "order") => "order".to_owned(),
            hash if hash == reference_hash(which, "17") => "17".to_owned(),
            _ => "?".to_owned(),
        };
        let (ref_type, ref_id) = (of(EntryText::RefType, ref_type), of(EntryText::RefId, ref_id));
        format!("{ref_type} {ref_id} {:?} {} {note}", update.new, update.direction.word())
    };
    (0..batch.rows.len()).map(answer).collect()
}

#[test]
fn a_row_says_which_points_expire_when_and_why() {
    for (row, expected) in [
        // The sample of the source page, with a reference of ours.
        ("235233,order,17,relative,months,12,Extend_Expiry,Covid", "order 17 Months(12) extended Covid"),
        ("235233,order,,Relative date expiry,DAY, 10 ,Extended expiry,", "order - Days(10) extended "),
        ("235233,,,fixed,,2021-08-02,early,", "- - Fixed(Date(738004)) early "),
        ("235233,,,FIXED,months,2021-08-31,Early-Expiry,x y", "- - Fixed(Date(738033)) early x y"),
        ("235233,order,,immediate,,,Early expiry,", "order - Immediate early "),
        ("235233,Order,18,relative,days,12.0,early,", "? ? Days(12) early "),
        (
            "235233,,,,,,,",
            "expiry_invalid expiry_type: expiry_type is empty, and the job has no `--set` for such rows; \
                           also: expiry_change is empty, and the job has no `--change` for such rows",
        ),
        (
            "235233,,,,months,,early,",
            "expiry_invalid expiry_type: expiry_type is empty, but a unit or a value is there: \
                                      fixed, relative or immediate?",
        ),
        (
            "235233,,,soon,,,early,",
            "field_invalid expiry_type: expiry_type `soon` is none of fixed, relative, immediate",
        ),
        (
            "235233,,,relative,,12,early,",
            "expiry_invalid expiry_unit: expiry_unit is empty: relative needs days or months",
        ),
        (
            "235233,,,relative,weeks,12,early,",
            "expiry_invalid expiry_unit: expiry_unit `weeks` is neither days nor months",
        ),
        (
            "235233,,,relative,months,,early,",
            "expiry_invalid expiry_value: expiry_value is empty: relative needs a number of days or months",
        ),
        (
            "235233,,,relative,months,0,early,",
            "expiry_invalid expiry_value: expiry_value `0` is not a whole number from 1",
        ),
        (
            "235233,,,relative,months,-1,early,",
            "expiry_invalid expiry_value: expiry_value `-1` is not a whole number from 1",
        ),
        (
            "235233,,,relative,months,1.5,early,",
            "expiry_invalid expiry_value: expiry_value `1.5` is not a whole number from 1",
        ),
        (
            "235233,,,relative,months,4294967296,early,",
            "expiry_invalid expiry_value: expiry_value `4294967296` is not a whole number from 1",
        ),
        (
            "235233,,,relative,,,early,",
            "expiry_invalid expiry_unit: expiry_unit is empty: relative needs days or months; also: expiry_value is empty: \
             relative needs a number of days or months",
        ),
        (
            "235233,,,fixed,,2021-08-01,early,",
            "expiry_invalid expiry_value: expiry_value `2021-08-01` is not after today, 2021-08-01",
        ),
        // "Incorrect point expiry date: September 31, 2021".
        (
            "235233,,,fixed,,2021-09-31,early,",
            "expiry_invalid expiry_value: expiry_value `2021-09-31` is not a date that exists, as YYYY-MM-DD",
        ),
        ("235233,,,fixed,,,early,", "expiry_invalid expiry_value: expiry_value is empty: fixed needs a date"),
        (
            "235233,,,immediate,,12,early,",
            "expiry_invalid expiry_value: points that expire at once have no expiry_value `12`: empty it",
        ),
        (
            "235233,,,immediate,,,Extend_Expiry,",
            "expiry_invalid expiry_type: points that expire at once are not valid longer: immediate contradicts extended",
        ),
        (
            "235233,,17,immediate,,,early,",
            "field_invalid ref_type: ref_type is empty: the id `17` means nothing without a type",
        ),
        (
            "235233,,,immediate,,,sooner,",
            "field_invalid expiry_change: expiry_change `sooner` is neither early nor extended",
        ),
        (
            ",,17,immediate,,,early,",
            "identifier_missing user_id: no identifier is filled: one of user_id is needed; also: ref_type is empty: the id \
             `17` means nothing without a type",
        ),
        ("235233,order", "row_malformed : the row has 2 fields, the header 8"),
    ] {
        assert_eq!(answers(&reference(None, None), &[row]), [expected], "{row}");
    }
}

#[test]
fn a_row_wins_over_the_command_field_by_field() {
    let terms = reference(Some(ExpiryDirection::Extended), Some(NewExpiry::Days(30)));
    for (row, expected) in [
        ("235233,order,17,,,,,", "order 17 Days(30) extended "),
        ("235233,order,17,relative,months,2,,", "order 17 Months(2) extended "),
        ("235233,order,17,,,,early,", "order 17 Days(30) early "),
        (
            "235233,order,17,immediate,,,,",
            "expiry_invalid expiry_type: points that expire at once are not valid longer: immediate contradicts extended",
        ),
        (
            "235233,order,17,,days,10,,",
            "expiry_invalid expiry_type: expiry_type is empty, but a unit or a value is there: fixed, relative or immediate?",
        ),
    ] {
        assert_eq!(answers(&terms, &[row]), [expected], "{row}");
    }
}

#[test]
fn references_notes_and_rows_with_faults_stay_apart() {
    let long = "x".repeat(256);
    let found = answers(
        &reference(None, None),
        &[
            "1,order,17,immediate,,,early,first",
            "2,order,17,immediate,,,late,second",
            "3,,,immediate,,,early,third",
            &format!("4,{long},,immediate,,,early,fourth"),
            &format!("5,order,,immediate,,,early,{}", long.repeat(17)),
        ],
    );
    assert_eq!(found[0], "order 17 Immediate early first");
    assert!(found[1].starts_with("field_invalid expiry_change: "), "{}", found[1]);
    assert_eq!(found[2], "- - Immediate early third");
    assert_eq!(found[3], "field_invalid ref_type: ref_type is 256 bytes long, at most 255 are allowed");
    assert_eq!(found[4], "field_invalid reason: reason is 4352 bytes long, at most 4096 are allowed");
}

#[test]
fn files_of_other_profiles_only_name_customers() {
    let range = ExpiryProfile::DateRange { from: day("2021-08-01"), to: day("2021-08-31") };
    let terms = ExpiryTerms {
        profile: range,
        change: Some(ExpiryDirection::Extended),
        set: Some(NewExpiry::Months(24)),
        include_promised: false,
    };
    let batch = parsed(Some(&terms), "expiry-date-range", "User Id\n1250755\n\"\"\n");
    assert!(batch.asks.is_empty());
    let codes: Vec<_> = batch.rows.iter().map(|row| row.rejection.map(Rejection::code)).collect();
    // Nobody is there yet.
    assert_eq!(codes, [Some("identifier_unknown"), Some("identifier_missing")]);
    let update = ExpiryDefaults::of(&terms).update().unwrap();
    assert_eq!(update.selector, LotSelector::LastDay(day("2021-08-01"), day("2021-08-31")));
    assert_eq!(update.base, ExpiryBase::Today);
    let promotion = ExpiryTerms { profile: ExpiryProfile::Promotion { id: " SPRING ".to_owned() }, ..terms };
    let hash = reference_hash(EntryText::PromotionId, "SPRING");
    assert_eq!(ExpiryDefaults::of(&promotion).selector, LotSelector::Promotion(hash));
}

#[test]
fn a_preview_without_terms_finds_fault_only_with_what_stands_in_the_file() {
    let content = format!("{HEADER}\n1,,,,,,,\n2,,,immediate,,,extended,\n3,,,,,,extended,\n");
    let batch = parsed(None, "expiry-reference", &content);
    let faults: Vec<_> = batch.faults().iter().map(|(row, fault)| (*row, fault.rejection.code())).collect();
    assert_eq!(faults, [(1, "expiry_invalid")]);
    assert!(parsed(None, "expiry-promotion", "User Id\n1\n").faults().is_empty());
    assert!(Format::builtin(None, "expiry-promotion").is_some());
}
