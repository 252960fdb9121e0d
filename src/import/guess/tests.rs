use super::*;

/// The fields with the highest score, if it is one to suggest; `?` before a mere possibility.
fn best(kind: Kind, header: &str, values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
    let found = guesses(kind, header, &values);
    let Some(first) = found.first() else { return String::new() };
    let names = found.iter().take_while(|guess| guess.score == first.score).map(|guess| guess.field.name());
    let mark = if first.score < LIKELY { "?" } else { "" };
    names.map(|name| format!("{mark}{name}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn documented_headers_are_guessed() {
    const MAILS: &[&str] = &["ana@example.com", "ben@example.com"];
    #[rustfmt::skip]
    let cases: &[(Kind, &str, &[&str], &str)] = &[
        // E-mail.
        (Kind::Points, "Emails", MAILS, "email"), (Kind::Points, "customer_email", MAILS, "email"),
        (Kind::Points, "Customer Email", MAILS, "email"), (Kind::Points, "Shopify Customer Email", MAILS, "email"),
        (Kind::Points, "email_address", MAILS, "email"), (Kind::Points, "user_email", MAILS, "email"), (Kind::Points, "mail", &[], "email"),
        (Kind::Points, "EMail of the member", MAILS, "email"), (Kind::Points, "emial", &[], "email"), (Kind::Points, "kontakt", MAILS, "email"),
        (Kind::Points, "El. paštas", MAILS, "email"), (Kind::Points, "Correo electrónico", MAILS, "email"),
        // Points: of a points file the amount, of a customer file the opening balance.
        (Kind::Points, "Points", &["250", "-40"], "amount"), (Kind::Points, "Points balance", &["89,085", "0"], "amount"),
        (Kind::Points, "points_balance", &[], "amount"), (Kind::Points, "Current Balance", &["12.50"], "amount"),
        (Kind::Points, "Quantity", &["5"], "amount"), (Kind::Points, "points_adjustment", &["-5"], "amount"),
        (Kind::Points, "loyalty_adjustment", &["-5"], "amount"), (Kind::Points, "original_points", &["5"], "amount"),
        (Kind::Points, "POINTS", &["5"], "amount"), (Kind::Points, "currentBalance", &["5"], "amount"), (Kind::Points, "Points Difference", &["-5"], "amount"),
        (Kind::Points, "PointsRemaining", &["5"], "amount"), (Kind::Points, "Taškai", &["5"], "amount"), (Kind::Points, "баллы", &["5"], "amount"),
        (Kind::Customers, "Points Balance", &["250"], "balance"), (Kind::Customers, "Points", &["250"], "balance"),
        (Kind::Points, "points", &["gold", "silver"], "?amount"), (Kind::Points, "Amnt of points", &["5"], "amount"),
        // What was spent is no balance, whatever its values.
        (Kind::Points, "Points Spent", &["5"], ""), (Kind::Points, "spentBalance", &["5"], ""), (Kind::Points, "pendingBalance", &["5"], ""),
        (Kind::Points, "website_id", &["1"], ""), (Kind::Points, "First name", &["Ana"], ""), (Kind::Points, "Referral url", &["https://example.com"], ""),
        (Kind::Points, "Zip", &["84403"], ""), (Kind::Points, "plz", &["01067", "10115"], "?user_id ?card"),
        // Phones.
        (Kind::Points, "phone", &["+37061234567"], "mobile"), (Kind::Points, "Phone Number", &["(801) 555-0188"], "mobile"),
        (Kind::Points, "Default Address Phone", &["'+18015550188"], "mobile"), (Kind::Points, "kontakt", &["+37061234567", "+37061234568"], "mobile"),
        (Kind::Points, "kontakt", &["37061234567", "37061234568"], "?mobile"), (Kind::Points, "phone", &["Ana", "Ben"], "?mobile"),
        // Ids: `customer_id` alone does not say whose number it is.
        (Kind::Points, "user_id", &["U-17"], "user_id"), (Kind::Points, "User Id", &["235233"], "user_id"), (Kind::Points, "userId", &[], "user_id"),
        (Kind::Points, "customer_id", &["7210448301123"], "user_id external_id"), (Kind::Points, "CustomerID", &[], "user_id external_id"),
        (Kind::Points, "Shopify Customer ID", &["7210448301123"], "external_id"), (Kind::Points, "Smile Customer ID", &["1201345"], "external_id"),
        (Kind::Points, "merchant_id", &["1"], "external_id"), (Kind::Points, "lead_id", &["a1"], "external_id"),
        (Kind::Points, "customerprofileid", &["URNGV8294NV"], "user_id"), (Kind::Points, "customer_code", &["C1"], "user_id"),
        (Kind::Points, "cardIdentifier", &["A1B2"], "card"), (Kind::Points, "original_membership_no", &["1001"], "card"), (Kind::Points, "Card Number", &["2000 0001"], "card"),
        // Values decide between an operation and a reason.
        (Kind::Points, "Action", &["Earn", "Use", "Earn"], "operation"), (Kind::Points, "Action", &["CR", "DR"], "operation"),
        (Kind::Points, "Action", &["Birthday bonus", "late parcel"], "reason"), (Kind::Points, "Action", &[], "operation reason"),
        (Kind::Points, "operation", &["CR", "DR"], "operation"), (Kind::Points, "Transaction Type", &["credit", "debit"], "operation"), (Kind::Points, "soort", &["CR", "DR"], "operation"),
        (Kind::Points, "Operation", &["plus", "minus"], "?operation"),
        // And between a last day and days of validity.
        (Kind::Points, "Expiry", &["30", "90"], "expires_in_days"), (Kind::Points, "Expiry", &["2029-12-31"], "expires_on"),
        (Kind::Points, "Points Expiry", &["31-12-2029"], "expires_on"), (Kind::Points, "Points Expiry", &["14"], "expires_in_days"), (Kind::Points, "Expiry", &[], "expires_on expires_in_days"),
        (Kind::Points, "expire_in_days", &["7"], "expires_in_days"), (Kind::Points, "Expiry Days", &["7"], "expires_in_days"), (Kind::Points, "expires_at", &["2029-12-31T00:00:00Z"], "expires_on"),
        (Kind::Points, "expirydate", &["2029-12-31"], "expires_on"), (Kind::Points, "ExpiredOn", &["12/31/2029"], "expires_on"),
        // The other columns of points.
        (Kind::Points, "COMMENT", &["thank you"], "comment"), (Kind::Points, "explanation", &["late parcel"], "reason"),
        (Kind::Points, "internal_note", &["late parcel"], "reason"), (Kind::Points, "external_note", &["thank you"], "comment"),
        (Kind::Points, "applied_at", &["2021-03-05T10:00:00Z"], "credited_on"), (Kind::Points, "startdate", &["2020-11-10"], "credited_on"),
        (Kind::Points, "identifier", &["2021-1"], "row_id"), (Kind::Points, "Import ID", &["17"], "row_id"), (Kind::Points, "order_id", &["10045"], "ref_id"),
        (Kind::Points, "subledgerid", &["eu"], "program"), (Kind::Points, "Point Awarded Ref Type", &["POINTS_AWARDED"], "ref_type"), (Kind::Points, "loyaltySubledger", &[], "program"),
        // Customers.
        (Kind::Customers, "Vip tier name", &["Gold"], "tier"), (Kind::Customers, "VIP Tier", &["Gold"], "tier"), (Kind::Customers, "Membership Type", &["Gold"], "tier"),
        (Kind::Customers, "tierName", &[], "tier"), (Kind::Customers, "slab_name", &["Gold"], "tier"),
        (Kind::Customers, "Birthday(MM/DD)", &["03/03"], "?birthday"), (Kind::Customers, "Date of birth", &["1990-04-30"], "birthday"), (Kind::Customers, "Birthdate", &["30-04-1990"], "birthday"),
        (Kind::Customers, "Full Name", &["Ana P."], "name"), (Kind::Customers, "Customer Name", &["Ana P."], "name"),
        (Kind::Customers, "Accepts Email Marketing", &["yes", "no"], "consent"), (Kind::Customers, "Total Spent", &["154.29"], "ltv"), (Kind::Customers, "LTV", &["154.29"], "ltv"),
        (Kind::Customers, "Total Orders", &["2"], "orders"), (Kind::Customers, "Created Date", &["2024-01-15"], "created_at"), (Kind::Customers, "became member at", &["2024-01-15"], "created_at"),
        (Kind::Customers, "Lytis", &["Moteris", "Vyras"], "gender"), (Kind::Customers, "m/w", &["Frau", "Herr", "Frau"], "gender"), (Kind::Customers, "Last Name", &["Petrauskienė"], "last_name"),
        // What a customer file credits, beside what it opens an account with.
        (Kind::Customers, "Sum of credited bonus points", &["10.50"], "amount"), (Kind::Customers, "Bonus currency", &["EUR"], "currency"),
        (Kind::Customers, "valiuta", &["EUR", "usd"], "currency"), (Kind::Customers, "Customer account", &["eur"], "account"),
    ];
    for &(kind, header, values, expected) in cases {
        assert_eq!(best(kind, header, values), expected, "{kind} `{header}` {values:?}: {:?}", {
            guesses(kind, header, &values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>())
        });
    }
}

#[test]
fn without_a_header_only_telling_values_are_guessed() {
    for (values, expected) in [
        (&["ana@example.com", "ben@example.com", "", "carl", "dora@example.com", "e@example.com"][..], "email"),
        (&["ana@example.com", "ben", "carl"], ""),
        (&["+37061234567"], "mobile"),
        (&["CR", "DR", "cr"], "operation"),
        (&["5", "-7.50", "1,200"], "amount"),
        (&["250000000000"], "?mobile"),
        (&["2029-12-31"], ""),
        (&["Ana"], ""),
        (&[], ""),
    ] {
        assert_eq!(best(Kind::Points, "", values), expected, "{values:?}");
    }
}

#[test]
fn a_reason_never_repeats_a_value() {
    for values in [["ana@example.com"], ["+37061234567"], ["Moteris"], ["89,085"], ["CR"]] {
        for kind in [Kind::Points, Kind::Customers] {
            for guess in guesses(kind, "Customer Email", &values.map(str::to_owned)) {
                assert!(!guess.reason.contains(values[0]), "{guess:?}");
            }
        }
    }
}

#[test]
fn numbers_are_asked_for_in_the_styles_that_read_them() {
    let styles = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        let readings = number_styles(&values);
        readings.iter().map(|one| format!("{} {}={}", one.style, one.value, one.reading)).collect::<Vec<_>>().join(" ")
    };
    for (values, expected) in [
        (&["1", "-2.5"][..], "plain 1=1 en 1=1 ch 1=1"),
        (&["0", "52,620"], "en 52,620=52620 de 52,620=52.62 fr 52,620=52.62"),
        (&["52,620", "1,052,620"], "en 52,620=52620"),
        (&["52.620,50"], "de 52.620,50=52620.5"),
        (&["89 085"], "fr 89 085=89085"),
        (&["1'200"], "ch 1'200=1200"),
        (&["52,620", "n/a"], "en 52,620=52620 de 52,620=52.62 fr 52,620=52.62"),
        (&["n/a"], ""),
        (&[], ""),
    ] {
        assert_eq!(styles(values), expected, "{values:?}");
    }
}

#[test]
fn dates_are_asked_for_in_the_orders_that_read_them() {
    use DateStyle::{Dmy, Iso, Mdy, Ymd};
    for (values, expected) in [
        (&["2029-12-31", "2029-12-31T10:00:00Z"][..], &[Iso, Dmy, Mdy, Ymd][..]),
        (&["30.06.2029"], &[Dmy]),
        (&["06/30/2029"], &[Mdy]),
        (&["06/07/2029"], &[Dmy, Mdy]),
        (&["06/07/2029", "06/30/2029", "soon"], &[Mdy]),
        (&["06/30/2029", "30/06/2029"], &[]),
        (&["soon"], &[]),
    ] {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        assert_eq!(date_styles(&values), expected, "{values:?}");
    }
}

#[test]
fn slips_of_the_keyboard_are_counted() {
    for (one, other, slips) in [
        ("", "", 0),
        ("", "ab", 2),
        ("email", "email", 0),
        ("emial", "email", 1),
        ("amuont", "amount", 1),
        ("emal", "email", 1),
        ("phone", "zone", 2),
    ] {
        assert_eq!((slips_between(one, other), slips_between(other, one)), (slips, slips), "{one} {other}");
    }
}
