use super::*;

fn cells(header: &str) -> Vec<String> {
    header.split(',').map(str::to_owned).collect()
}

fn builtin(name: &str) -> &'static Format {
    Format::builtin(None, name).expect("a built-in format")
}

/// `field=column` pairs and what is ignored, or the message.
fn resolved(format: &str, header: &str, maps: &[&str]) -> String {
    let format = builtin(format);
    let header = cells(header);
    let overrides: Result<Vec<_>, _> = maps.iter().map(|map| ColumnOverride::parse(map, format.kind)).collect();
    match overrides.and_then(|overrides| Mapping::resolve(format, Header::Named(&header), &overrides)) {
        Ok(mapping) => {
            let fields: Vec<_> = mapping.fields.iter().map(|(field, at)| format!("{field}={at}")).collect();
            format!("{} | {}", fields.join(" "), mapping.ignored.join(" "))
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_built_in_format_can_be_read_and_is_in_order() {
    let names = |kind| -> Vec<_> {
        Format::all().iter().filter(|format| format.kind == kind).map(|format| format.name.as_str()).collect()
    };
    assert_eq!(
        names(Kind::Points),
        [
            "nector",
            "nector-expiry",
            "smile",
            "smile-export",
            "rivo",
            "rivyo",
            "yotpo",
            "yotpo-points",
            "growave",
            "stamped",
            "marsello",
            "loloyal",
            "talon-one",
            "fanmaker",
            "kaddra",
            "tidemill"
        ]
    );
    assert_eq!(
        names(Kind::Customers),
        [
            "shopify-customers",
            "smile-export",
            "rivo",
            "rivyo",
            "yotpo",
            "growave",
            "stamped",
            "marsello",
            "tidemill-customers",
            "incust"
        ]
    );
    assert!(Format::all().is_sorted_by_key(|format| format.kind), "by kind");
    let mut keys: Vec<_> = Format::all().iter().map(|format| (format.kind, &format.name)).collect();
    keys.sort();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a name is there once for each kind");
    for format in Format::all() {
        let text = toml::to_string(format).expect("a format is TOML");
        assert_eq!(&Format::parse(&text).expect("what was written"), format);
    }
}

#[test]
fn a_template_is_recognised_as_its_own_format() {
    for format in Format::all() {
        let csv = format.template_csv();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        // Of files that only name customers, the command's profile says what they are for.
        if format.kind != Kind::Expiry || format.says_more_than_who() {
            assert_eq!(recognize(Some(format.kind), &header), Ok(format));
        }
        // Of two that read one file, the one for points; a preview can be told otherwise.
        // What only names customers is read only where that is asked for.
        if format.says_more_than_who() {
            assert_eq!(recognize(None, &header), Ok(builtin(&format.name)));
        }
        assert_eq!(builtin(&format.name).template_csv(), csv, "one name, one file");
        let mapping = Mapping::resolve(format, Header::Named(&header), &[]).expect("its own header");
        // What a vendor's template has besides is known, and read over.
        let unread = format.template_columns().filter(|column| column.field.is_none());
        assert_eq!(mapping.ignored, unread.map(|column| column.headers[0].clone()).collect::<Vec<_>>());
        assert_eq!(reader.records().filter(Result::is_ok).count(), format.sample.rows.len());
    }
}

#[test]
fn headers_match_by_name_and_never_by_position() {
    for (header, expected) in [
        ("email,mobile,amount,operation", "email=0 mobile=1 amount=2 operation=3 | "),
        ("operation,amount,email", "email=2 amount=1 operation=0 | "),
        ("\u{feff}E-Mail, A_M O-UNT ,Note", "email=0 amount=1 | Note"),
        ("Customer Email,Coins,,city", "email=0 amount=1 | column 3 city"),
    ] {
        assert_eq!(resolved("nector", header, &[]), expected, "{header}");
    }
}

#[test]
fn a_header_that_does_not_fit_is_told_what_to_do() {
    for (header, expected) in [
        (
            "email,points",
            "the file has no column `amount`, which the format `nector` needs; it has `email`, `points`: name the \
             column with `--map \"points=amount\"`, or choose another `--format`",
        ),
        (
            "name",
            "the file has no column `email` or `mobile`, `amount`, which the format `nector` needs; it has `name`: \
             name the column with `--map \"name=email\"`, or choose another `--format`",
        ),
        (
            "Email,amount,e-mail",
            "the columns `Email` (column 1) and `e-mail` (column 3) both hold `email`: rename one in the file, or \
             choose with `--map \"Header=email\"`",
        ),
    ] {
        assert_eq!(resolved("nector", header, &[]), expected, "{header}");
    }
}

#[test]
fn cells_that_look_like_data_are_not_repeated() {
    for (cell, expected) in [
        ("ana@example.com", true),
        ("+370 612 34567", true),
        ("12345", true),
        ("9001-2", true),
        ("points 2024", false),
        ("Points Balance", false),
        ("4711", false),
    ] {
        assert_eq!(looks_like_data(cell), expected, "{cell}");
    }
    let error = recognize(Some(Kind::Points), &cells("ana@example.com,5")).expect_err("no header").to_string();
    assert!(error.starts_with("no format fits the columns `…`, `5`: "), "{error}");
    assert_eq!(
        resolved("smile", "email,+37061234567", &[]),
        "the file has no column `points`, which the format `smile` needs; it has `email`, `…`: name the column with \
         `--map \"Header=amount\"`, or choose another `--format`"
    );
    assert_eq!(
        resolved("smile", "email,points", &["x=email"]),
        "`--map` names the column `x`, which the file does not have: take one of `email`, `points`"
    );
    assert_eq!(resolved("smile", "email,points,ben@example.com,city", &[]), "email=0 amount=1 | … city");
    // Who knows the header may name it all the same.
    assert_eq!(resolved("smile", "email,points 2024-11-30", &["points 2024-11-30=amount"]), "email=0 amount=1 | ");
}

#[test]
fn a_map_adds_or_overrides_a_column() {
    for (header, maps, expected) in [
        ("email,Points Balance", &["points-balance=amount"][..], "email=0 amount=1 | "),
        ("email,amount,new amount", &["new amount=amount"], "email=0 amount=2 | amount"),
        ("email,amount,mobile", &["mobile=card"], "email=0 card=2 amount=1 | "),
        ("a=b,amount", &["a=b=email"], "email=0 amount=1 | "),
        ("email,amount", &["email=email", "email=Email"], "email=0 amount=1 | "),
        ("email,amount,operation", &["operation=Ignore"], "email=0 amount=1 | operation"),
        ("email,coins,amount", &["coins=ignore"], "email=0 amount=2 | coins"),
        (
            "email,amount",
            &["email=amount", "email=ignore"],
            "`--map` gives the column `email` two meanings, `amount` and `ignore`: leave one out",
        ),
        (
            "email,amount",
            &["amount"],
            "`--map amount` has not the form `Header=field`: write, say, `--map \"Points Balance=amount\"`",
        ),
        (
            "email,amount",
            &["x=amount"],
            "`--map` names the column `x`, which the file does not have: take one of `email`, `amount`",
        ),
        (
            "email,amount",
            &["email=amount", "email=card"],
            "`--map` gives the column `email` two meanings, `amount` and `card`: leave one out",
        ),
        (
            "email,amount,x",
            &["x=amount", "amount=amount"],
            "the columns `amount` (column 2) and `x` (column 3) both hold `amount`: rename one in the file, or choose \
             with `--map \"Header=amount\"`",
        ),
    ] {
        assert_eq!(resolved("nector", header, maps), expected, "{header} {maps:?}");
    }
    let operations = resolved("smile", "email,points,what", &["what=operation"]);
    assert!(operations.starts_with("the format `smile` knows no operations: leave `--map \"what=operation\"`"));
    let unknown = resolved("nector", "email,amount", &["email=birthday"]);
    assert!(
        unknown.starts_with("`--map` names the field `birthday`, which `import points` does not read: take one of")
    );
    assert!(
        unknown
            .ends_with("`ref_type`, `ref_id`, `promotion_id`, `promised`, `reason`, `comment`, `row_id`, or `ignore`"),
        "{unknown}"
    );
}

#[test]
fn only_what_an_import_reads_can_be_mapped() {
    let read = |kind| -> Vec<_> {
        ColumnField::ALL.iter().filter(|field| field.is_read_by(kind)).map(|field| field.name()).collect()
    };
    let own = [
        "amount",
        "operation",
        "expires_on",
        "expires_in_days",
        "credited_on",
        "program",
        "ref_type",
        "ref_id",
        "promotion_id",
        "promised",
        "reason",
        "comment",
        "row_id",
    ];
    assert_eq!(read(Kind::Points), [&["user_id", "external_id", "email", "mobile", "card"][..], &own].concat());
    assert_eq!(read(Kind::Customers)[..5], read(Kind::Points)[..5]);
    assert_eq!(
        read(Kind::Customers)[5..],
        [
            "amount",
            "expires_on",
            "name",
            "first_name",
            "last_name",
            "birthday",
            "gender",
            "consent",
            "tier",
            "ltv",
            "orders",
            "created_at",
            "balance",
            "currency",
            "account"
        ]
    );
    assert_eq!(read(Kind::Selection), ["user_id", "external_id", "email", "mobile", "card"]);
    assert_eq!(read(Kind::Expiry)[..5], read(Kind::Points)[..5]);
    let of_expiry = ["ref_type", "ref_id", "reason", "expiry_type", "expiry_unit", "expiry_value", "expiry_change"];
    assert_eq!(read(Kind::Expiry)[5..], of_expiry);
    for kind in [Kind::Points, Kind::Customers] {
        for &field in ColumnField::ALL.iter().filter(|field| !field.is_read_by(kind)) {
            let error = ColumnOverride::parse(&format!("x={field}"), kind).expect_err("refused").to_string();
            assert!(error.contains(&format!("`{field}`, which `import {kind}` does not read")), "{error}");
            let text = format!(
                "name = \"x\"\nkind = \"{kind}\"\ntitle = \"X\"\nmandatory = []\n\
                 [[columns]]\nfield = \"{field}\"\nheaders = [\"x\"]\n"
            );
            let error = Format::parse(&text).expect_err("refused").to_string();
            assert!(error.contains(&format!("does not read the field `{field}`: it reads `user_id`")), "{error}");
        }
    }
}

#[test]
fn without_a_header_columns_are_mapped_by_number() {
    let map = |maps: &[&str]| {
        let overrides = maps.iter().map(|map| ColumnOverride::parse(map, Kind::Points).expect("right"));
        Mapping::resolve(builtin("smile"), Header::Numbered(3), &overrides.collect::<Vec<_>>())
    };
    let mapping = map(&["3=email", "1=amount"]).expect("both columns");
    assert_eq!((mapping.column(ColumnField::Email), mapping.column(ColumnField::Amount)), (Some(2), Some(0)));
    assert_eq!((mapping.columns, mapping.ignored), (3, vec!["2".to_owned()]));
    assert!(matches!(map(&["4=email"]), Err(MappingError::UnknownColumn { .. })));
    assert!(matches!(map(&["1=email"]), Err(MappingError::Missing { field: ColumnField::Amount, .. })));
}

#[test]
fn a_format_is_recognised_or_asked_for() {
    for (kind, header, expected) in [
        (Some(Kind::Points), "email,mobile,amount,operation", Ok("nector")),
        (Some(Kind::Points), "Mobile,Amount", Ok("nector")),
        // A column that only one of them reads decides: what the other dropped would be missed.
        (Some(Kind::Points), "email,mobile,amount,operation,expiry", Ok("nector-expiry")),
        (Some(Kind::Points), "email,amount,operation,expires_on", Ok("tidemill")),
        (Some(Kind::Points), "email,amount,Expire in days,row_id,expires_on", Ok("tidemill")),
        (Some(Kind::Points), "email,amount,operation,row_id", Ok("tidemill")),
        (Some(Kind::Points), "card,amount", Ok("tidemill")),
        (Some(Kind::Points), "email,points,expires_on", Ok("tidemill")),
        (Some(Kind::Points), "email,amount,expiry,expires_on", Ok("tidemill")),
        (
            Some(Kind::Points),
            "user_id,external_id,email,mobile,program,remaining,state,expires_on,ref_type,ref_id,promotion_id,credited_at",
            Ok("tidemill"),
        ),
        (Some(Kind::Points), "Email,Points", Ok("smile")),
        (Some(Kind::Points), "Email,Points Balance", Ok("rivo")),
        (Some(Kind::Points), "Email,Points Balance,Birthdate,VIP Tier,Activation Date,Credits Balance", Ok("rivo")),
        (Some(Kind::Points), "smile_customer_id,points-balance,EMAIL", Ok("smile-export")),
        (
            None,
            "Smile Customer ID,First name,Last name,Email,Membership status,Points balance,Referral url,Vip tier name,Date of birth",
            Ok("smile-export"),
        ),
        (
            Some(Kind::Points),
            "email,points,points balance",
            Err("the columns fit several formats: choose with `--format smile` or `--format rivo`"),
        ),
        (Some(Kind::Customers), "email,amount", Ok("tidemill-customers")),
        (
            Some(Kind::Points),
            "email,points,amount",
            Err("the columns fit several formats: choose with `--format nector` or `--format smile`"),
        ),
        (None, "email,points", Ok("smile")),
        (None, "email,tier", Ok("tidemill-customers")),
    ] {
        let found = recognize(kind, &cells(header)).map(|format| format.name.as_str());
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{header}");
    }
}

/// Each format has a hundred names; held against each column anew, they took a minute.
#[test]
fn a_header_of_tens_of_thousands_of_columns_is_read_like_any_other() {
    let many = |first: &str| {
        let others = (0..60_000).map(|number| format!("c{number}"));
        first.split(',').map(str::to_owned).chain(others).collect::<Vec<_>>()
    };
    assert_eq!(recognize(None, &many("email,amount,operation")).expect("it has all").name, "nector");
    let error = recognize(Some(Kind::Points), &many("email,none")).expect_err("no amount").to_string();
    assert!(error.contains("`nector` lacks `amount`"), "{}", &error[error.len() - 2000..]);
    let mapping = Mapping::resolve(builtin("nector"), Header::Named(&many("Amount,none,E-Mail")), &[]);
    let mapping = mapping.expect("both columns");
    assert_eq!((mapping.column(ColumnField::Email), mapping.column(ColumnField::Amount)), (Some(2), Some(0)));
    assert_eq!(mapping.ignored.len(), 60_001);
}

#[test]
fn a_header_that_no_format_fits_is_told_what_each_lacks() {
    let error = recognize(Some(Kind::Points), &cells("id,points")).expect_err("nobody has an id").to_string();
    assert!(
        error.starts_with("no format fits the columns `id`, `points`: `nector` lacks `email` or `mobile`, `amount`; ")
    );
    for lack in [
        "`nector-expiry` lacks `email` or `mobile`, `amount`, `expiry`; `smile` lacks `email`; `smile-export` lacks \
         `Email`, `Points balance`; `rivo` lacks `Email`, `Points Balance`; ",
        "; `talon-one` lacks `customerprofileid` or `identifier`, `amount`; `fanmaker` lacks `email`, `identifier`; ",
    ] {
        assert!(error.contains(lack), "{error}");
    }
    assert!(
        error.ends_with(
            "; `tidemill` lacks `user_id` or `external_id` or `email` or `mobile` or `card`; choose with `--format`, and \
             name columns with `--map`"
        ),
        "{error}"
    );
    // Recognised by a column besides those that it needs.
    let error = recognize(Some(Kind::Points), &cells("ExportId,Points")).expect_err("anybody's").to_string();
    assert!(
        error.contains("; `marsello` lacks `Firstname`, `Lastname`; `loloyal` lacks `email` or `phone`; "),
        "{error}"
    );
    let error = recognize(Some(Kind::Customers), &cells("Customer ID,Total Spent")).expect_err("half").to_string();
    assert!(
        error.contains("`shopify-customers` lacks `Accepts Email Marketing`, `Total Spent`, `Total Orders`"),
        "{error}"
    );
}

/// The headers that vendors document, and what they are recognised as: as points, as customers, without a word.
#[test]
fn a_vendors_header_is_recognised_as_the_vendors_or_asks() {
    const SHOPIFY: &str = "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,Default \
        Address Address1,Default Address Address2,Default Address City,Default Address Province Code,Default Address \
        Country Code,Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,Total \
        Orders,Note,Tax Exempt,Tags";
    const NONE: &str = "none";
    for (header, expected) in [
        (SHOPIFY, [NONE, "shopify-customers", "shopify-customers"]),
        (
            &format!("{SHOPIFY},GW Referral link (customer.metafields.growave.referral_link)"),
            [NONE, "shopify-customers", "shopify-customers"],
        ),
        (
            "Smile Customer ID,First name,Last name,Email,Membership status,Points balance,Referral url,Vip tier name,Date \
             of birth",
            ["smile-export", "smile-export", "smile-export"],
        ),
        // Its columns can be chosen.
        (
            "Smile customer ID,first name,last name,email,points balance,referral URL,membership status,date of birth,became \
             member at,first points earned at,last order placed at",
            ["smile-export", "smile-export", "smile-export"],
        ),
        ("email,points", ["smile", "tidemill-customers", "smile"]),
        ("Email,Points Balance,Birthdate,VIP Tier,Activation Date,Credits Balance", ["rivo", "rivo", "rivo"]),
        ("Email,Points Balance", ["rivo", "rivo", "rivo"]),
        ("Email,Points Balance,Birthdate,Points Expiry,Created At", ["rivyo", "rivyo", "rivyo"]),
        ("Full Name,First Name,Last Name,Email,Points Balance,Points Spent,Birthday", ["yotpo", "yotpo", "yotpo"]),
        ("Emails,Points", ["yotpo-points", NONE, "yotpo-points"]),
        ("Customer ID,Email,Points", ["growave", "growave", "growave"]),
        ("Customer ID,Email,Points,First Name,Last Name,Birthdate", ["growave", "growave", "growave"]),
        ("first_name,last_name,email,points,add_points,birthday,vip_tier", ["stamped", "stamped", "stamped"]),
        (
            "first_name,last_name,email,points,add_points,birthday,vip_tier,vip_tier_end_date",
            ["stamped", "stamped", "stamped"],
        ),
        ("Firstname,Lastname,Email,Points", ["marsello", "marsello", "marsello"]),
        ("customerprofileid,amount,startdate,expirydate,subledgerid,reason", ["talon-one", NONE, "talon-one"]),
        ("identifier,amount,startdate,expirydate,subledgerid,reason", ["talon-one", NONE, "talon-one"]),
        ("email,identifier,points,explanation", ["fanmaker", "tidemill-customers", "fanmaker"]),
        ("Customer Reference,Customer Email,Action (Earn/Use),Points,Comment,Expiry Days", ["kaddra", NONE, "kaddra"]),
        ("Customer Reference, Customer Email, Action, Points, Comment, Expiry Days", ["kaddra", NONE, "kaddra"]),
        ("phone,points", ["loloyal", "incust", "loloyal"]),
        (
            "Phone number,Customer email address,Consent,Customer Name,Birthday,Gender,Plastic Card Numbers,Sum of credited \
             bonus points,Bonus currency,Bonus points expiration date,Customer account",
            [NONE, "incust", "incust"],
        ),
        ("phone;email;card;name".replace(';', ",").as_str(), [NONE, "incust", "incust"]),
        ("mobile,name", [NONE, "tidemill-customers", "tidemill-customers"]),
        // What could be somebody else's: asked for, as one would drop what the other reads.
        ("email,phone,points", ["smile or loloyal", "incust", "smile or loloyal"]),
        ("email,identifier,points,expires_on", ["fanmaker or tidemill", "tidemill-customers", "fanmaker or tidemill"]),
        ("Customer ID,Email,Points,expires_on", ["growave or tidemill", "growave", "growave or tidemill"]),
        ("first_name,last_name,email,points,birthday", ["marsello", "marsello or tidemill-customers", "marsello"]),
        ("Email,Points Balance,birthday", ["rivo", "rivo or tidemill-customers", "rivo"]),
        // Another vendor's, of which no format is here.
        ("Email,Points,Action", ["smile", "tidemill-customers", "smile"]),
    ] {
        let found =
            [Some(Kind::Points), Some(Kind::Customers), None].map(|kind| match recognize(kind, &cells(header)) {
                Ok(format) => format.name.clone(),
                Err(RecognizeError::Several { names }) => names.join(" or "),
                Err(RecognizeError::None { .. }) => NONE.to_owned(),
            });
        assert_eq!(found, expected.map(str::to_owned), "{header}");
    }
}

#[test]
fn a_format_is_found_for_its_kind_and_its_mode_is_the_only_one() {
    let named = |kind, name| Format::builtin(kind, name).map(|format| (format.kind, format.name.as_str()));
    assert_eq!(named(Some(Kind::Customers), "smile-export"), Some((Kind::Customers, "smile-export")));
    assert_eq!(named(Some(Kind::Points), "smile-export"), Some((Kind::Points, "smile-export")));
    assert_eq!(named(None, "smile-export"), Some((Kind::Points, "smile-export")));
    assert_eq!(named(None, "shopify-customers"), Some((Kind::Customers, "shopify-customers")));
    assert_eq!(named(Some(Kind::Points), "shopify-customers"), None);
    assert_eq!(named(Some(Kind::Expiry), "smile-export"), None);
    for (name, asked, expected) in [
        ("fanmaker", None, Ok(Some(Mode::Add))),
        ("fanmaker", Some(Mode::Add), Ok(Some(Mode::Add))),
        ("fanmaker", Some(Mode::Reset), Err("a file of the format `fanmaker` adds its amounts: leave `--mode` out")),
        ("smile", None, Ok(None)),
        ("smile", Some(Mode::Reset), Ok(Some(Mode::Reset))),
    ] {
        let found = builtin(name).mode_of(asked).map_err(|error| error.to_string());
        assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|error| *error), "{name}");
    }
}

#[test]
fn of_two_columns_for_one_amount_the_job_must_choose() {
    const HEADER: &str = "first_name,last_name,email,points,add_points,birthday,vip_tier";
    let error = resolved("stamped", HEADER, &[]);
    assert!(error.contains("`points` (column 4) and `add_points` (column 5) both hold `amount`"), "{error}");
    assert!(resolved("stamped", HEADER, &["add_points=amount"]).starts_with("email=2 amount=4 | "));
    assert!(resolved("stamped", HEADER, &["points=amount"]).starts_with("email=2 amount=3 | "));
}

#[test]
fn a_format_wins_over_another_only_where_its_file_says_so() {
    let narrow = Format { name: "narrow".into(), ..builtin("nector").clone() };
    let wide = Format { name: "wide".into(), wins_over: vec!["narrow".into()], ..narrow.clone() };
    let header = cells("email,amount");
    assert_eq!(recognize_among([&narrow, &wide].into_iter(), &header), Ok(&wide));
    let each = Format { wins_over: vec!["wide".into()], ..narrow.clone() };
    assert!(matches!(recognize_among([&each, &wide].into_iter(), &header), Err(RecognizeError::Several { .. })));
}

#[test]
fn operations_are_read_in_any_case() {
    let nector = builtin("nector");
    for (cell, expected) in [
        ("CR", Some(OperationWord::Credit)),
        (" cr ", Some(OperationWord::Credit)),
        ("Credit", Some(OperationWord::Credit)),
        ("dR", Some(OperationWord::Debit)),
        ("DEBIT", Some(OperationWord::Debit)),
        ("", Some(OperationWord::Credit)),
        ("  ", Some(OperationWord::Credit)),
        ("set", None),
        ("C R", None),
    ] {
        assert_eq!(nector.operation(cell), expected, "{cell:?}");
    }
}

#[test]
fn a_format_that_cannot_be_used_is_refused() {
    let right = "name = \"x\"\nkind = \"points\"\ntitle = \"X\"\nmandatory = [[\"email\"]]\n";
    let column = "[[columns]]\nfield = \"email\"\nheaders = [\"email\"]\n";
    assert!(Format::parse(&format!("{right}{column}")).is_ok());
    for (text, expected) in [
        (format!("{right}colour = 1\n{column}"), "unknown field `colour`"),
        (format!("{right}{column}").replace("\"x\"", "\"X y\""), "`name` takes"),
        (format!("{right}{column}").replace("\"email\"\n", "\"e_mail\"\n"), "unknown variant `e_mail`"),
        (format!("{right}{column}").replace("field = \"email\"", "field = \"ltv\""), "does not read the field `ltv`"),
        (format!("{right}{column}{column}"), "has two columns"),
        (format!("{right}{column}").replace("= [\"email\"]", "= []"), "has no headers"),
        (format!("{right}{column}").replace("= [\"email\"]", "= [\"-\"]"), "no letter or digit"),
        (
            format!("{right}{column}").replace("[[\"email\"]]", "[[\"card\"]]"),
            "the mandatory field `card` has no column",
        ),
        (format!("{right}{column}").replace("[[\"email\"]]", "[[]]"), "is empty"),
        (
            format!("{right}{column}{}", column.replace("field = \"email\"", "field = \"card\"")),
            "stands for `email` and for `card`",
        ),
        (format!("{right}{column}[operations]\nCR = \"credit\"\n"), "must be written in lower case"),
        (format!("{right}{column}[sample]\nrows = [[\"a\", \"b\"]]\n"), "a sample row needs 1 cells"),
        (
            format!("{right}{column}in_template = false\n[sample]\nrows = [[\"a\"]]\n"),
            "a sample row needs 0 cells, one for each column of the template",
        ),
        (format!("{right}{column}blanks = [\"None\"]\n"), "the blank `None` must be written in lower case"),
        (format!("{right}{column}country_code = true\n"), "`country_code` says something of `mobile`, and nothing of"),
        (format!("{right}mode = \"add\"\nmode_required = true\n{column}"), "`mode` contradicts `mode_required`"),
        (
            format!("{right}mode = \"add\"\n{column}{}", column.replace("email", "operation")),
            "`mode` contradicts `mode_required` and a column of `operation`",
        ),
        (format!("{right}mode = \"set\"\n{column}"), "unknown variant `set`, expected `add` or `reset`"),
        (format!("{right}amount_min = 5\namount_max = 4\n{column}"), "`amount_min` is more than `amount_max`"),
        (
            format!("{right}date_style = \"ydm\"\n{column}"),
            "unknown variant `ydm`, expected one of `iso`, `dmy`, `mdy`, `ymd`",
        ),
        (
            format!("{right}recognized_by = [\"x\"]\n{column}"),
            "`recognized_by` names `x`, which is the header of no column",
        ),
        (format!("{right}{column}[[columns]]\nheaders = [\"E-Mail\"]\n"), "stands for `email` and for nothing"),
        (
            format!("{right}mode_required = true\n{column}{}", column.replace("email", "operation")),
            "`mode_required` contradicts the column of `operation`",
        ),
        ("name =".to_owned(), "TOML parse error"),
    ] {
        let error = Format::parse(&text).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn fields_are_named_as_in_the_contract() {
    for &field in ColumnField::ALL {
        assert_eq!(field.name().parse(), Ok(field));
        assert_eq!(serde_json::to_value(field).expect("a unit variant"), field.name());
    }
    assert_eq!("Expires On".parse(), Ok(ColumnField::ExpiresOn));
    assert_eq!("points".parse::<ColumnField>(), Err(()));
}
