//! E-mail addresses against published lists: what RFC 5321 and 5322 allow, and where our rule differs on purpose.
//!
//! A customer file's address must be one that a shop's mail can be sent to; a points file only has to name a customer, so
//! that there only the shape is checked. Both refuse what no shop has collected in earnest and what a typing slip makes.

use email_address::{EmailAddress, Options};
use tidemill::domain::identifier::{IdentifierKind, normalize};

/// An address of a list.
struct Case {
    address: String,
    /// Whether the list calls it valid.
    is_published: bool,
    /// Why our rule for customers differs, if it does.
    ours: Option<Difference>,
}

/// Where we refuse what the lists allow, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// `"a b"@c.example`: allowed, unknown to nearly every mail provider, and as a rule a cell with stray quotes.
    Quoted,
    /// `a@[192.0.2.1]`: a machine without a name is no customer's mailbox.
    Literal,
    /// `(work)a@b.example`: what stands in brackets is a remark, which would make two customers of one.
    Comment,
    /// `a@localhost`: a name without a dot is known inside one network only.
    NoDot,
    /// `a@192.0.2.1`: no top-level domain is a number.
    Numeric,
    /// White space around a cell is none of the address's.
    Trimmed,
}

use Difference::{Comment, Literal, NoDot, Numeric, Quoted, Trimmed};

fn case(address: impl Into<String>, is_published: bool, ours: Option<Difference>) -> Case {
    Case { address: address.into(), is_published, ours }
}

/// Wikipedia, "Email address", sections "Examples" and "Internationalization", read in 2026.
fn wikipedia() -> Vec<Case> {
    let same = |address: &str, is_valid| case(address, is_valid, None);
    vec![
        same("simple@example.com", true),
        same("very.common@example.com", true),
        same("FirstName.LastName@EasierReading.org", true),
        same("x@example.com", true),
        same("long.email-address-with-hyphens@and.subdomains.example.com", true),
        same("user.name+tag+sorting@example.com", true),
        same("name/surname@example.com", true),
        case("admin@example", true, Some(NoDot)),
        same("example@s.example", true),
        case("\" \"@example.org", true, Some(Quoted)),
        case("\"john..doe\"@example.org", true, Some(Quoted)),
        same("mailhost!username@example.org", true),
        case(r#""very.(),:;<>[]\".VERY.\"very@\\ \"very\".unusual"@strange.example.com"#, true, Some(Quoted)),
        same("user%example.com@example.org", true),
        same("user-@example.org", true),
        case("postmaster@[123.123.123.123]", true, Some(Literal)),
        case("postmaster@[IPv6:2001:0db8:85a3:0000:0000:8a2e:0370:7334]", true, Some(Literal)),
        case("_test@[IPv6:2001:0db8:85a3:0000:0000:8a2e:0370:7334]", true, Some(Literal)),
        same("I❤️CHOCOLATE@example.com", true),
        same("Pelé@example.com", true),
        same("δοκιμή@παράδειγμα.δοκιμή", true),
        same("我買@屋企.香港", true),
        same("二ノ宮@黒川.日本", true),
        same("медведь@с-балалайкой.рф", true),
        same("संपर्क@डाटामेल.भारत", true),
        same("abc.example.com", false),
        same("a@b@c@example.com", false),
        same(r#"a"b(c)d,e:f;g<h>i[j\k]l@example.com"#, false),
        same("just\"not\"right@example.com", false),
        same(r#"this is"not\allowed@example.com"#, false),
        same(r#"this\ still\"not\\allowed@example.com"#, false),
        same("1234567890123456789012345678901234567890123456789012345678901234+x@example.com", false),
        same("i.like.underscores@but_they_are_not_allowed_in_this_part", false),
    ]
}

/// A selection of Dominic Sayers' tests of `is_email` (isemail.info, version 3.05, tests 1 to 108), with the addresses that
/// only differ in length written as such. Valid is there what may be sent by SMTP (its categories up to `RFC5321`).
fn is_email() -> Vec<Case> {
    let same = |address: &str, is_valid| case(address, is_valid, None);
    let letters = |count: usize| "abcdefghijklmnopqrstuvwxyz".chars().cycle().take(count).collect::<String>();
    let long = |labels: &[usize]| labels.iter().map(|&count| letters(count)).collect::<Vec<_>>().join(".");
    let literal = |inside: &str| case(format!("test@[{inside}]"), true, Some(Literal));
    let broken_literal = |inside: &str| case(format!("test@[{inside}]"), false, None);
    let mut cases = vec![
        same("", false),
        same("test", false),
        same("@", false),
        same("test@", false),
        case("test@io", true, Some(NoDot)),
        same("@io", false),
        same("@iana.org", false),
        same("test@iana.org", true),
        same("test@nominet.org.uk", true),
        same("test@about.museum", true),
        same("a@iana.org", true),
        same("test@e.com", true),
        same("test@iana.a", true),
        same("test.test@iana.org", true),
        same(".test@iana.org", false),
        same("test.@iana.org", false),
        same("test..iana.org", false),
        same("test_exa-mple.com", false),
        same("!#$%&`*+/=?^`{|}~@iana.org", true),
        same(r"test\@test@iana.org", false),
        same("123@iana.org", true),
        same("test@123.com", true),
        case("test@iana.123", true, Some(Numeric)),
        case("test@255.255.255.255", true, Some(Numeric)),
        case(format!("{}@iana.org", letters(64)), true, None),
        case(format!("{}@iana.org", letters(65)), false, None),
        case(format!("test@{}.com", letters(63)), true, None),
        case(format!("test@{}.com", letters(64)), false, None),
        same("test@mason-dixon.com", true),
        same("test@-iana.org", false),
        same("test@iana-.com", false),
        same("test@c--n.com", true),
        same("test@iana.co-uk", true),
        same("test@.iana.org", false),
        same("test@iana.org.", false),
        same("test@iana..com", false),
        case(format!("a@{}", vec!["a"; 126].join(".")), true, None),
        case(format!("{}@{}", letters(64), long(&[63, 63, 61])), true, None),
        case(format!("{}@{}", letters(64), long(&[63, 63, 62])), false, None),
        case(format!("a@{}.hij", long(&[63, 63, 63, 59])), false, None),
        case("\"test\"@iana.org", true, Some(Quoted)),
        case("\"\"@iana.org", true, Some(Quoted)),
        same("\"\"\"@iana.org", false),
        case(r#""\a"@iana.org"#, true, Some(Quoted)),
        case(r#""\""@iana.org"#, true, Some(Quoted)),
        same(r#""\"@iana.org"#, false),
        case(r#""\\"@iana.org"#, true, Some(Quoted)),
        same("test\"@iana.org", false),
        same("\"test@iana.org", false),
        same("\"test\"test@iana.org", false),
        same("test\"text\"@iana.org", false),
        same("\"test\"\"test\"@iana.org", false),
        // Deprecated, and not to be sent.
        same("\"test\".\"test\"@iana.org", false),
        case(r#""test\ test"@iana.org"#, true, Some(Quoted)),
        same("\"test\".test@iana.org", false),
        same("\"test\0\"@iana.org", false),
        same("test@a[255.255.255.255]", false),
        case(" test@iana.org ", false, Some(Trimmed)),
        same(" test @iana.org", false),
        same("test@ iana .com", false),
        same("test . test@iana.org", false),
        case("\r\n test@iana.org", false, Some(Trimmed)),
        case("test@iana.org\n", false, Some(Trimmed)),
        case("(comment)test@iana.org", true, Some(Comment)),
        same("((comment)test@iana.org", false),
        case("(comment(comment))test@iana.org", true, Some(Comment)),
        same("test@(comment)iana.org", false),
        same("test(comment)test@iana.org", false),
        same("test@(comment)[255.255.255.255]", false),
        same("test@xn--hxajbheg2az3al.xn--jxalpdlp", true),
        same("xn--test@iana.org", true),
        same("test@iana.org-", false),
        same("(test@iana.org", false),
        same("test@(iana.org", false),
        same("test@[1.2.3.4", false),
        same(r#""test\"@iana.org"#, false),
        same(r"(comment\)test@iana.org", false),
    ];
    cases.extend(
        [
            "255.255.255.255",
            "IPv6:1111:2222:3333:4444:5555:6666:7777:8888",
            "IPv6:1111:2222:3333:4444:5555::8888",
            "IPv6:::",
        ]
        .map(literal),
    );
    cases.extend(
        [
            "255.255.255",
            "255.255.255.255.255",
            "255.255.255.256",
            "IPv6:1111::4444:5555::8888",
            "IPv6::255.255.255.255",
        ]
        .map(broken_literal),
    );
    cases
}

fn reads(address: &str, is_customer: bool) -> bool {
    normalize(IdentifierKind::Email, address, None, is_customer, &mut Vec::new()).is_ok()
}

#[test]
fn a_customers_address_is_valid_as_the_lists_say_but_for_what_we_leave_out() {
    for Case { address, is_published, ours } in wikipedia().into_iter().chain(is_email()) {
        let expected = is_published != ours.is_some();
        assert_eq!(reads(&address, true), expected, "{address:?}, published as {is_published}, {ours:?}");
    }
}

#[test]
fn a_points_file_refuses_only_what_has_not_the_shape_of_an_address() {
    // What customers cannot be created with, but can be found by.
    let lax = [
        "\"john..doe\"@example.org",
        "postmaster@[123.123.123.123]",
        "a\"b(c)d,e:f;g<h>i[j\\k]l@example.com",
        "just\"not\"right@example.com",
        "1234567890123456789012345678901234567890123456789012345678901234+x@example.com",
        ".test@iana.org",
        "test.@iana.org",
        "test@iana.123",
        "test@255.255.255.255",
        "test@-iana.org",
        "test@iana-.com",
        "test@iana.org-",
        "\"test\"@iana.org",
        "\"\"@iana.org",
        "\"\"\"@iana.org",
        r#""\a"@iana.org"#,
        r#""\""@iana.org"#,
        r#""\"@iana.org"#,
        r#""\\"@iana.org"#,
        "test\"@iana.org",
        "\"test@iana.org",
        "\"test\"test@iana.org",
        "test\"text\"@iana.org",
        "\"test\"\"test\"@iana.org",
        "\"test\".\"test\"@iana.org",
        "\"test\".test@iana.org",
        "test@a[255.255.255.255]",
        "test@[255.255.255.255]",
        "test@[255.255.255]",
        "test@[255.255.255.255.255]",
        "test@[255.255.255.256]",
        "test@[IPv6::255.255.255.255]",
        "test@[1.2.3.4",
        "(comment)test@iana.org",
        "((comment)test@iana.org",
        "(comment(comment))test@iana.org",
        "test@(comment)iana.org",
        "test(comment)test@iana.org",
        "test@(comment)[255.255.255.255]",
        "(test@iana.org",
        "test@(iana.org",
        r#""test\"@iana.org"#,
        r"(comment\)test@iana.org",
    ];
    for Case { address, .. } in wikipedia().into_iter().chain(is_email()) {
        // Parts that are too long, in an address that is not.
        let is_long = address.len() > 60 && address.len() <= 254 && address.contains("abcdefgh");
        let expected = reads(&address, true) || lax.contains(&address.as_str()) || is_long;
        assert_eq!(reads(&address, false), expected, "{address:?}");
    }
}

#[test]
fn another_library_agrees_but_for_what_the_lists_and_it_see_differently() {
    let options = Options::default().without_display_text();
    // It takes the inside of brackets for a domain, whatever it is, and knows no comments.
    let is_known = |case: &Case| {
        let at = case.address.as_str();
        at.contains(['[', '(', '\0']) || case.ours == Some(Trimmed)
    };
    let cases = wikipedia().into_iter().chain(is_email()).filter(|case| !is_known(case));
    let differing =
        cases.filter(|case| EmailAddress::parse_with_options(&case.address, options).is_ok() != case.is_published);
    let differing: Vec<String> = differing.map(|case| case.address.chars().take(60).collect()).collect();
    let expected = [
        // Characters that join the one before, which Indic words and emoji need.
        "I❤\u{fe0f}CHOCOLATE@example.com",
        "संपर्क@डाटामेल.भारत",
        // It lets an underscore into a domain.
        "i.like.underscores@but_they_are_not_allowed_in_this_part",
        // It refuses this one of 254 bytes, as long as an address may be; an empty quoted part, and a quoted blank.
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh",
        "\"\"@iana.org",
        "\"test\\ test\"@iana.org",
    ];
    assert_eq!(differing, expected);
}
