use super::*;

/// Headers with some values of each.
type Columns<'a> = &'a [(&'a str, &'a [&'a str])];

/// A proposal for such columns.
fn proposed(kind: Kind, columns: Columns) -> Proposal {
    let name = if kind == Kind::Points { "tidemill" } else { "tidemill-customers" };
    let format = Format::builtin(None, name).expect("built in");
    let names = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let values = columns.iter().map(|(_, values)| values.iter().map(|&value| value.to_owned()).collect()).collect();
    Proposal::new(format, name.to_owned(), false, true, names, values, &[])
}

/// `header=field` of every column that is to hold something.
fn fields(proposal: &Proposal) -> String {
    let field = |column: &ProposedColumn| column.field.map(|field| format!("{}={field}", column.name));
    proposal.columns.iter().filter_map(field).collect::<Vec<_>>().join(" ")
}

#[test]
fn documented_files_are_proposed_and_what_is_ambiguous_is_not() {
    const MAIL: &[&str] = &["ana@example.com"];
    #[rustfmt::skip]
    let cases: &[(Kind, Columns, &str)] = &[
        // Smile.io's report of customers, without the mark by which its export is recognised.
        (Kind::Points, &[("First name", &["Ana"]), ("Email address", MAIL), ("Points balance", &["89,085"]), ("Referral url", &["https://example.com"]), ("Membership status", &["member"])],
            "Email address=email Points balance=amount"),
        // Kaddra: which of the two ids is meant only its user knows.
        (Kind::Points, &[("Customer Reference", &["C-1"]), ("Customer Email", MAIL), ("Action", &["Earn"]), ("Points", &["5"]), ("Comment", &["hello"]), ("Expiry Days", &["30"])],
            "Customer Reference=user_id Customer Email=email Action=operation Points=amount Comment=comment Expiry Days=expires_in_days"),
        // Influence.io: the same header, and a reason.
        (Kind::Points, &[("Email", MAIL), ("Points", &["5"]), ("Action", &["Birthday bonus"])], "Email=email Points=amount Action=reason"),
        // Stamped: one column replaces the balance, the other adds to it.
        (Kind::Points, &[("email", MAIL), ("points", &["5000"]), ("add_points", &["1000"])], "email=email"),
        (Kind::Points, &[("MEMBERNO", &["1001"]), ("POINTS", &["5"]), ("COMMENT", &["hello"])], "MEMBERNO=card POINTS=amount COMMENT=comment"),
        (Kind::Points, &[("Shopify Customer ID", &["7210448301123"]), ("Customer Email", MAIL), ("Points", &["5"])], "Shopify Customer ID=external_id Customer Email=email Points=amount"),
        (Kind::Points, &[("email", MAIL), ("identifier", &["a-1"]), ("points", &["5"]), ("explanation", &["quiz"])], "email=email identifier=row_id points=amount explanation=reason"),
        (Kind::Points, &[("customerprofileid", &["URN"]), ("amount", &["100"]), ("startdate", &["2020-11-10T23:00:00Z"]), ("expirydate", &["2020-11-11T23:00:00Z"]), ("subledgerid", &["s1"]), ("reason", &["appeasement"])],
            "customerprofileid=user_id amount=amount startdate=credited_on expirydate=expires_on subledgerid=program reason=reason"),
        // Shopify's export of customers.
        (Kind::Customers, &[("Customer ID", &["'7210448301123"]), ("First Name", &["Hollis"]), ("Last Name", &["P."]), ("Email", MAIL), ("Accepts Email Marketing", &["yes"]), ("Phone", &["'(801) 555-0188"]), ("Total Spent", &["154.29"]), ("Total Orders", &["2"])],
            "First Name=first_name Last Name=last_name Email=email Accepts Email Marketing=consent Phone=mobile Total Spent=ltv Total Orders=orders"),
        (Kind::Customers, &[("Email", MAIL), ("Name", &["Ana"]), ("Membership Type", &["Gold"]), ("Points", &["5"]), ("Birthday", &["1990-04-30"]), ("Created Date", &["2024-01-15"])],
            "Email=email Name=name Membership Type=tier Points=balance Birthday=birthday Created Date=created_at"),
        // Two columns alike, two headers alike.
        (Kind::Points, &[("mail", MAIL), ("Mail", MAIL), ("points", &["5"])], "points=amount"),
        (Kind::Points, &[("customer_email", MAIL), ("user_email", MAIL), ("points", &["5"])], "points=amount"),
    ];
    for (kind, columns, expected) in cases {
        assert_eq!(fields(&proposed(*kind, columns)), *expected);
    }
}

#[test]
fn the_line_says_what_the_format_does_not_read_by_itself() {
    let mut proposal = proposed(
        Kind::Points,
        &[("Customer Mail", &["ana@example.com"]), ("points", &["5"]), ("State", &["UT", "CA"]), ("a=b", &["x"])],
    );
    // `State` is a column of an export of lots to our format, and another thing here.
    assert_eq!(proposal.line(), "--format tidemill --map \"Customer Mail=email\" --map State=ignore");
    assert!(proposal.missing().is_empty() && proposal.needs_mode());
    proposal.columns[3].field = Some(ColumnField::Operation);
    proposal.numbers = Some("en".into());
    proposal.dates = Some(DateStyle::Dmy);
    assert!(!proposal.needs_mode());
    assert_eq!(
        proposal.line(),
        "--format tidemill --map \"Customer Mail=email\" --map State=ignore --map a=b=operation --number-format en \
         --date-format dmy"
    );
    proposal.columns[0].field = None;
    assert_eq!(proposal.missing().len(), 1);
}

#[test]
fn a_map_is_quoted_as_shells_need_it() {
    for (map, expected) in [
        ("Mail=email", "--map Mail=email"),
        ("Points Balance=amount", "--map \"Points Balance=amount\""),
        ("Taškai=amount", "--map Taškai=amount"),
        ("a$b=amount", "--map 'a$b=amount'"),
        ("it's \"so\"=amount", "--map 'it'\\''s \"so\"=amount'"),
        ("-x=amount", "--map=-x=amount"),
        ("points (old)=amount", "--map \"points (old)=amount\""),
    ] {
        assert_eq!(map_argument(map), expected);
    }
}

#[test]
fn the_saved_format_reads_the_file_without_maps() {
    let mut proposal = proposed(
        Kind::Points,
        &[
            ("Customer Mail", &["ana@example.com"]),
            ("Loyalty", &["52,620"]),
            ("Action", &["Earn", "Use"]),
            ("State", &["UT"]),
        ],
    );
    assert_eq!(fields(&proposal), "Customer Mail=email Loyalty=amount Action=operation");
    let unknown: Vec<String> = proposal.unknown_operations().into_iter().map(|(word, _)| word).collect();
    assert_eq!(unknown, ["earn", "use"]);
    for (word, meaning) in proposal.unknown_operations() {
        proposal.format.operations.insert(word, meaning.expect("a usual word"));
    }
    assert!(proposal.unknown_operations().is_empty());
    assert_eq!(proposal.open_numbers().len(), 3);
    proposal.numbers = Some("en".into());
    assert!(proposal.open_numbers().is_empty());
    let text = proposal.format_file("loyalty").expect("a format");
    let format = Format::parse(&text).expect("a format");
    assert_eq!(format.number_style, NumberStyle::En);
    assert_eq!(format.operation("USE"), Some(OperationWord::Debit));
    let header = ["Customer Mail", "Loyalty", "Action", "State"].map(str::to_owned);
    let mapping = crate::import::format::Mapping::resolve(&format, crate::import::format::Header::Named(&header), &[]);
    let mapping = mapping.expect("its own header");
    assert_eq!(mapping.ignored, ["State"]);
    assert_eq!(mapping.fields.len(), 3);
}

#[test]
fn a_format_needs_headers_to_find_its_columns() {
    let mut proposal = proposed(Kind::Points, &[("email", &["ana@example.com"]), ("column 2", &["5"])]);
    proposal.has_header = false;
    assert!(proposal.format_file("x").is_err());
}

#[test]
fn the_error_lists_columns_guesses_and_the_line_and_no_values() {
    let proposal = proposed(
        Kind::Points,
        &[
            ("Customer Mail", &["ana@example.com"]),
            ("Loyalty", &["52,620"]),
            ("customer_id", &["77120"]),
            ("ben@example.com", &["x"]),
            ("Zip", &["84403"]),
        ],
    );
    let error = proposal.error("no format fits the file's columns");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Usage, COLUMNS_UNKNOWN));
    assert_eq!(
        error.message(),
        "no format fits the file's columns: `Customer Mail` may be `email` (its header is a usual one, and its values are \
         e-mail addresses), `Loyalty` may be `amount` (its values look like numbers), `customer_id` may be `user_id` or \
         `external_id`, `…` is not known, `Zip` is not known"
    );
    assert_eq!(
        error.hint_text(),
        Some(
            "these are guesses, and nothing was read by them; if they are right, add `--format tidemill --map \
             \"Customer Mail=email\" --map Loyalty=amount`, and either `--mode add` or `--mode reset`, which is never \
             guessed; its numbers need `--number-format`"
        )
    );
    for value in ["ana@", "52,620", "77120", "ben@", "84403"] {
        assert!(!format!("{error:?}").contains(value), "{error:?}");
    }
    // Not even where its values tell what the column is; nor does what a terminal would obey come through.
    let columns: Columns =
        &[("37061234567", &["ana@example.com"]), ("Po\x1bints", &["5"]), ("points", &["7"]), ("add points", &["1"])];
    let error = format!("{:?}", proposed(Kind::Points, columns).error("why"));
    assert!(
        error.contains("`…` may be `email` (its values are e-mail addresses), `Po ints` may be `amount`"),
        "{error}"
    );
    assert!(!error.contains("3706") && !error.contains("u{1b}"), "{error}");
    let error = proposed(Kind::Points, &[("Customer Mail", &["ana@example.com"]), ("Zip", &[])]).error("why");
    assert_eq!(
        error.hint_text(),
        Some(
            "no column is clearly `amount`: name it, with `--format tidemill --map \"Customer Mail=email\" --map \
             \"Header=amount\"`, and either `--mode add` or `--mode reset`, which is never guessed"
        )
    );
}
