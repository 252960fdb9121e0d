//! What a column of an unknown file may hold: guesses from its header and its values, each with its reason.
//!
//! A guess is a suggestion to a person and never applied by itself, since a wrong one credits wrong points. So it need not
//! be cautious, but it must be honest: two columns that may both be the amount, or a word that is a reason with one vendor
//! and an operation with another, stay two guesses.
//!
//! A header counts most: it is one of a field's usual names, has one in it, or is nearly one. Values support or contradict
//! it, and speak for themselves where their shape does: e-mail addresses, phone numbers with `+`, `CR` and `DR`.

use std::{cmp::Reverse, collections::BTreeMap, sync::LazyLock};

use crate::{
    domain::{
        currency::currency_code,
        customer::Gender,
        expiry::ExpiryDirection,
        expiry_terms::{ExpiryType, ExpiryUnit},
        identifier::{IdentifierKind, normalize},
        points::{NumberStyle, parse_amount},
        time::DateStyle,
    },
    import::{
        format::{ColumnField, Kind, OperationWord, header_key},
        rows::is_blank,
    },
};

/// What a column may hold, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The field.
    pub field: ColumnField,
    /// How much speaks for it; to be compared only.
    pub score: u8,
    /// Why, in words that repeat nothing of the file's values.
    pub reason: String,
}

/// Least score of a guess that may be suggested as the column's field; below are mere possibilities.
pub const LIKELY: u8 = 30;

/// Names of fields as people and vendors write them, besides the field's own; compared by [`key`], so that case, blanks and
/// signs do not matter. A name that several fields have is ambiguous on purpose.
#[rustfmt::skip]
const NAMES: &[(ColumnField, &[&str])] = {
    use ColumnField::*;
    &[
        (UserId, &["user", "customer id", "client id", "member id", "customer number", "customer no", "customer code",
            "customer reference", "customer profile id", "profile integration id", "kliento id", "kundennummer"]),
        (ExternalId, &["external", "customer id", "shopify customer id", "smile customer id", "vend customer id", "merchant id",
            "lead id", "shopify id", "reference id", "third party id"]),
        (Email, &["e-mail", "emails", "mail", "email address", "e-mail address", "customer email", "customer mail",
            "customer email address", "shopify customer email", "user email", "el. paštas", "el. pašto adresas", "paštas",
            "эл. почта", "электронная почта", "почта", "пошта", "електронна пошта", "e-mail-adresse", "correo",
            "correo electrónico", "courriel", "adresse e-mail", "adres e-mail"]),
        (Mobile, &["phone", "telephone", "tel", "mobile number", "mobile phone", "phone number", "cell", "cell phone", "msisdn",
            "customer phone", "default address phone", "telefonas", "tel. nr.", "телефон", "номер телефона",
            "номер телефону", "telefon", "telefonnummer", "handy", "mobil", "teléfono", "móvil", "téléphone",
            "numéro de téléphone", "numer telefonu"]),
        (Card, &["cards", "card number", "card no", "card code", "card identifier", "loyalty card", "membership number",
            "membership no", "member no", "original membership no", "code", "kortelė", "kortelės numeris", "карта",
            "номер карты", "картка", "номер картки", "karte", "kartennummer", "tarjeta", "carte", "karta", "numer karty"]),
        (Amount, AMOUNTS),
        (Operation, &["action", "transaction type", "type", "entry type", "direction", "debit credit", "cr dr", "dr cr",
            "operacija", "операция", "операція", "vorgang", "operación", "opération", "operacja"]),
        (ExpiresOn, EXPIRIES),
        (ExpiresInDays, &["expire in days", "expiry", "expiry days", "points expiry", "days", "valid days", "validity days",
            "validity", "expires in", "expire in"]),
        (CreditedOn, &["credited at", "applied at", "earned at", "earned on", "start date", "active on", "transaction date",
            "date of transaction", "date", "data", "дата", "datum", "fecha"]),
        (Program, &["points program", "loyalty program", "loyalty program id", "subledger", "subledger id", "loyalty subledger",
            "bucket code", "wallet"]),
        (RefType, &["reference type", "point awarded ref type"]),
        (RefId, &["reference", "order id", "order number", "order no", "transaction number", "point awarded ref id"]),
        (PromotionId, &["promotion", "promo", "promo id", "campaign", "campaign id"]),
        (Promised, &["state", "pending", "is pending"]),
        (Reason, &["reasons", "internal note", "note", "notes", "explanation", "action", "source", "description", "priežastis",
            "причина", "grund", "motivo", "raison", "powód"]),
        (Comment, &["comments", "external note", "customer note", "public note", "message", "komentaras", "комментарий",
            "коментар", "kommentar", "comentario", "commentaire", "komentarz"]),
        (RowId, &["row", "identifier", "import id", "transaction id", "line id", "entry id", "idempotency key"]),
        (Name, &["full name", "customer name", "customer full name", "client name", "member name", "vardas", "vardas pavardė",
            "имя", "фио", "ім'я", "піб", "nombre", "nom", "imię", "imię i nazwisko"]),
        (FirstName, &["first name", "firstname", "given name", "forename", "vorname", "prénom", "imię", "nombre", "vardas"]),
        (LastName, &["last name", "lastname", "surname", "family name", "nachname", "nom", "nazwisko", "apellido", "apellidos",
            "pavardė", "фамилия", "прізвище"]),
        (Birthday, &["birth date", "birth day", "date of birth", "dob", "gimimo data", "gimtadienis", "дата рождения",
            "день рождения", "дата народження", "geburtstag", "geburtsdatum", "fecha de nacimiento", "cumpleaños",
            "date de naissance", "anniversaire", "data urodzenia"]),
        (Gender, &["sex", "lytis", "пол", "стать", "geschlecht", "género", "sexo", "genre", "sexe", "płeć"]),
        (Consent, &["accepts email marketing", "accepts marketing", "marketing consent", "opt in", "subscribed",
            "accepts sms marketing", "sutikimas", "согласие", "згода", "einwilligung", "consentimiento", "consentement",
            "zgoda"]),
        (Tier, &["vip tier", "vip tier name", "tier name", "loyalty tier", "membership type", "current tier", "slab",
            "slab name", "level", "customer group name", "lygis", "уровень", "рівень", "stufe", "nivel", "niveau", "poziom"]),
        (Ltv, &["lifetime value", "customer lifetime value", "total spent", "total spend", "amount spent", "lifetime spend"]),
        (Orders, &["total orders", "order count", "orders count", "number of orders", "total visits"]),
        (CreatedAt, &["created", "created date", "date created", "creation date", "customer since", "member since", "join date",
            "joined at", "became member at", "registration date", "registered at", "activation date"]),
        (Balance, AMOUNTS),
        (Currency, &["bonus currency", "currency code", "valiuta", "валюта", "währung", "moneda", "devise", "waluta"]),
        (Account, &["customer account", "account id", "account code"]),
        (ExpiryType, &["expiry update type"]),
        (ExpiryUnit, &["expiry period unit"]),
        (ExpiryValue, &["new expiry value", "new expiry", "new expiry date"]),
        (ExpiryChange, &["expiry update reason type", "reason type", "expiry update", "change"]),
    ]
};

/// Of what a points file credits, and of what a customer file opens an account with.
#[rustfmt::skip]
const AMOUNTS: &[&str] = &[
    "amount", "points", "balance", "points balance", "point balance", "current balance", "points amount", "amount of points",
    "coins", "coin amount", "amount of coins", "credits", "credits amount", "quantity", "points adjustment",
    "loyalty adjustment", "original points", "points change", "points difference", "loyalty points", "remaining",
    "points remaining", "points available", "points approved", "add points", "points tally", "taškai", "taškų likutis", "likutis",
    "баллы", "баланс", "бали", "бонусы", "бонуси", "punkte", "punktestand", "guthaben", "puntos", "saldo", "solde",
    "punkty", "saldo punktów",
];

/// Of what a customer file credits each time.
const CREDITS: &[&str] =
    &["bonus", "bonus points", "bonus amount", "sum of credited bonus points", "amount of credited bonus points"];

/// Of the last day of points.
#[rustfmt::skip]
const EXPIRIES: &[&str] = &[
    "expiry", "expiry date", "expires", "expires at", "expire date", "expiration", "expiration date", "expired on",
    "points expiry", "points expire at", "valid until", "valid to", "end date", "galioja iki", "срок действия", "термін дії",
    "gültig bis", "vencimiento", "expiration le", "ważne do",
];

/// Names that hold a field's word and are something else: what was spent is no balance.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "membership status", "member status", "customer status", "referral url", "referral count",
    "points spent", "points earned", "points redeemed", "last earned", "last redeemed", "spent balance", "pending balance",
    "expired balance", "new balance", "amount used", "website id", "program id", "card status", "card status label",
    "card state", "card series code", "till iun", "store code", "expiry type", "expiry unit", "is expired", "tax exempt",
    "approved at", "revoked at", "updated at", "last order placed at", "import name", "email status", "anniversary",
    "custom action name", "earning rule id", "expiration extension", "zip", "postal code", "company",
];

/// What the values of a column have in common. Where less than four of five do, a file's few bad rows aside, it is nothing.
struct Values<'a>(&'a [String]);

/// Whether a column's values are what a field takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Nothing can be said, or there are none.
    Unknown,
    /// They are.
    Fits,
    /// They are, and few other columns' would be.
    Speaks,
    /// They are not.
    Differs,
}

impl Values<'_> {
    fn most(&self, is_so: impl Fn(&str) -> bool) -> bool {
        let so = self.0.iter().filter(|value| is_so(value)).count();
        so > 0 && so * 5 >= self.0.len() * 4
    }

    fn fit(&self, field: ColumnField) -> Fit {
        let fits = |is_so: bool| if is_so { Fit::Fits } else { Fit::Differs };
        let speaks = |is_so: bool| if is_so { Fit::Speaks } else { Fit::Differs };
        if self.0.is_empty() {
            return Fit::Unknown;
        }
        match field {
            ColumnField::Email => speaks(self.most(is_email)),
            ColumnField::Mobile if self.most(|value| value.starts_with('+') && is_phone(value)) => Fit::Speaks,
            ColumnField::Mobile => fits(self.most(is_phone)),
            ColumnField::UserId | ColumnField::ExternalId | ColumnField::RefId | ColumnField::RowId => {
                fits(!self.most(is_email))
            }
            ColumnField::Card => fits(self.most(is_card)),
            ColumnField::Amount | ColumnField::Balance | ColumnField::Ltv => fits(self.most(is_number)),
            ColumnField::Orders => fits(self.most(|value| whole(value).is_some())),
            ColumnField::ExpiresInDays => fits(self.most(|value| whole(value).is_some_and(|days| days <= 36_600))),
            ColumnField::Operation => speaks(self.most(|value| operation_word(value).is_some())),
            ColumnField::ExpiresOn | ColumnField::CreditedOn | ColumnField::Birthday | ColumnField::CreatedAt => {
                fits(self.most(is_date))
            }
            ColumnField::ExpiryType => speaks(self.most(|value| ExpiryType::parse(value).is_some())),
            ColumnField::ExpiryUnit => speaks(self.most(|value| ExpiryUnit::parse(value).is_some())),
            ColumnField::ExpiryValue => fits(self.most(|value| whole(value).is_some() || is_date(value))),
            ColumnField::ExpiryChange => speaks(self.most(|value| ExpiryDirection::parse(value).is_some())),
            ColumnField::Promised => {
                fits(self.most(|value| is_flag(value) || is_one_of(value, &["available", "promised"])))
            }
            ColumnField::Gender if self.most(|value| value.len() > 2 && Gender::parse(value).is_some()) => Fit::Speaks,
            ColumnField::Gender => {
                fits(self.most(|value| Gender::parse(value).is_some() || Gender::is_ambiguous(value)))
            }
            // Words in these are free; numbers and addresses are no words.
            ColumnField::Currency => speaks(self.most(|value| currency_code(value).is_some())),
            ColumnField::Reason
            | ColumnField::Comment
            | ColumnField::Name
            | ColumnField::FirstName
            | ColumnField::LastName
            | ColumnField::Tier => fits(!self.most(is_number) && !self.most(is_email) && !self.most(is_date)),
            ColumnField::Program
            | ColumnField::RefType
            | ColumnField::PromotionId
            | ColumnField::Consent
            | ColumnField::Account => Fit::Unknown,
        }
    }
}

fn is_email(value: &str) -> bool {
    normalize(IdentifierKind::Email, value, None, false, &mut Vec::new()).is_ok()
}

fn is_phone(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let is_sign =
        |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '(' | ')' | '/' | '\'') || c.is_whitespace();
    (7..=15).contains(&digits) && value.chars().all(is_sign) && !is_date(value)
}

fn is_card(value: &str) -> bool {
    value.split([',', '|']).all(|card| normalize(IdentifierKind::Card, card, None, false, &mut Vec::new()).is_ok())
        && value.chars().any(|c| c.is_ascii_digit())
        && !is_date(value)
}

/// Whether a value is a number in any of the styles that a format can have.
fn is_number(value: &str) -> bool {
    NUMBER_STYLES.iter().any(|style| read_number(value, style).is_some())
}

/// The styles of numbers that formats can have, the plain one first.
const NUMBER_STYLES: [&str; 5] = ["plain", "en", "de", "fr", "ch"];

/// Decimals that a number is read with: of programs, and more where an export writes them out.
const NUMBER_DECIMALS: u8 = 9;

/// A number in units of 10^-9, as this style reads it.
fn read_number(value: &str, style: &str) -> Option<i64> {
    parse_amount(value, NUMBER_DECIMALS, NumberStyle::named(style)?).ok()
}

fn whole(value: &str) -> Option<u32> {
    value.trim().parse().ok()
}

fn is_date(value: &str) -> bool {
    DateStyle::ALL.iter().any(|style| style.parse(day_of(value)).is_some())
}

/// A date or moment without its time of day.
fn day_of(value: &str) -> &str {
    value.trim().split(['T', ' ']).next().unwrap_or_default()
}

fn is_one_of(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

fn is_flag(value: &str) -> bool {
    is_one_of(value, &["yes", "no", "true", "false", "1", "0"])
}

/// What a word in a column of operations means in the formats of most vendors.
pub fn operation_word(word: &str) -> Option<OperationWord> {
    const CREDIT: &[&str] = &["cr", "credit", "earn", "earned", "add", "award", "accrual", "increase"];
    const DEBIT: &[&str] =
        &["dr", "debit", "use", "used", "redeem", "redeemed", "spend", "deduct", "redemption", "decrease"];
    match word {
        _ if is_one_of(word, CREDIT) => Some(OperationWord::Credit),
        _ if is_one_of(word, DEBIT) => Some(OperationWord::Debit),
        _ if is_one_of(word, &["set", "reset"]) => Some(OperationWord::Set),
        _ => None,
    }
}

/// A header or name without what people write differently, and without remarks in brackets such as `(MM/DD)`.
fn key(header: &str) -> String {
    let bare = header.split_once('(').map_or(header, |(before, _)| before);
    let bare = if header_key(bare).is_empty() { header } else { bare };
    header_key(bare).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// A name of a field, with what headers are held against.
struct Name {
    name: &'static str,
    key: String,
    letters: usize,
    words: Vec<String>,
}

impl Name {
    fn of(name: &'static str) -> Name {
        let key = key(name);
        Name { name, letters: key.chars().count(), key, words: words_of(name) }
    }
}

/// The names of each field. Made once: hundreds are held against each of up to hundreds of columns.
static NAMES_OF: LazyLock<BTreeMap<ColumnField, Vec<Name>>> = LazyLock::new(|| {
    let all = |field: ColumnField| {
        let names = NAMES.iter().filter(move |(named, _)| *named == field).flat_map(|(_, names)| names.iter().copied());
        std::iter::once(field.name()).chain(names).map(Name::of).collect()
    };
    ColumnField::ALL.iter().map(|&field| (field, all(field))).collect()
});

/// Those of the amount of a customer file: points of one are as a rule the balances that accounts are opened with.
static CREDIT_NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
    std::iter::once(ColumnField::Amount.name()).chain(CREDITS.iter().copied()).map(Name::of).collect()
});

static OTHER_KEYS: LazyLock<Vec<String>> = LazyLock::new(|| OTHERS.iter().map(|other| key(other)).collect());

/// The words of a header or name, in lower case.
fn words_of(header: &str) -> Vec<String> {
    header.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect()
}

/// Bytes of a header that is looked at: a longer one is a text, and each name would be looked for in all of it.
const HEADER_BYTES_MAX: usize = 256;

/// What a header says of a field: its weight, and why.
fn of_header(kind: Kind, field: ColumnField, header: &str) -> Option<(u8, String)> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let key_of_header = key(header);
    let names = match (kind, field) {
        (Kind::Customers, ColumnField::Amount) => CREDIT_NAMES.as_slice(),
        _ => NAMES_OF.get(&field).map_or(&[][..], Vec::as_slice),
    };
    if names.iter().any(|name| name.key == key_of_header) {
        return Some((60, "its header is a usual one".to_owned()));
    }
    if OTHER_KEYS.contains(&key_of_header) {
        return None;
    }
    let letters = key_of_header.chars().count();
    // Short names stand in too many words to be looked for in them, and to be mistyped into them.
    let near = |name: &&Name| {
        let slips = if name.letters >= 8 { 2 } else { usize::from(name.letters >= 5) };
        slips > 0 && name.letters.abs_diff(letters) <= slips && slips_between(&name.key, &key_of_header) <= slips
    };
    if let Some(Name { name, .. }) = names.iter().find(near) {
        return Some((40, format!("its header is nearly `{name}`")));
    }
    let words = words_of(header);
    let within = |name: &&Name| name.letters >= 4 && words.windows(name.words.len()).any(|part| part == name.words);
    let longest = names.iter().filter(within).max_by_key(|name| name.key.len());
    longest.map(|Name { name, .. }| (35, format!("its header has `{name}` in it")))
}

/// Whether a header is a usual name of a field of this kind, or nearly one: then it is no data.
pub fn is_usual(kind: Kind, header: &str) -> bool {
    let fields = ColumnField::ALL.iter().filter(|field| field.is_read_by(kind));
    fields.filter_map(|&field| of_header(kind, field, header)).any(|(weight, _)| weight >= 40)
}

/// How many characters must be typed, left out, replaced or exchanged with their neighbour to make one of the other.
fn slips_between(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (at, &c) in one.iter().enumerate() {
        let mut row = vec![at + 1];
        for (to, &d) in other.iter().enumerate() {
            let mut best = (last[to + 1] + 1).min(row[to] + 1).min(last[to] + usize::from(c != d));
            if at > 0 && to > 0 && c == other[to - 1] && one[at - 1] == d {
                best = best.min(before[to - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// What a column may hold for an import of this kind, the likeliest first. `header` is empty where the file has none.
///
/// Cost: some hundred short comparisons; meant for a person who waits, not for rows.
pub fn guesses(kind: Kind, header: &str, values: &[String]) -> Vec<Guess> {
    let filled: Vec<String> = values.iter().filter(|value| !is_blank(value.as_bytes())).cloned().collect();
    let values = Values(&filled);
    let mut found: Vec<Guess> = Vec::new();
    for &field in ColumnField::ALL.iter().filter(|field| field.is_read_by(kind)) {
        let fit = values.fit(field);
        let (score, reason) = match (of_header(kind, field, header), fit) {
            (Some((weight, why)), Fit::Unknown) => (weight, why),
            (Some((weight, why)), Fit::Fits | Fit::Speaks) => {
                let more = if fit == Fit::Speaks { 40 } else { 20 };
                (weight + more, format!("{why}, and its values are {}", kind_of_values(field)))
            }
            (Some((weight, why)), Fit::Differs) => {
                (weight / 5, format!("{why}, but its values are not {}", kind_of_values(field)))
            }
            (None, Fit::Speaks) => (50, format!("its values are {}", kind_of_values(field))),
            (None, Fit::Fits) => match weak(kind, field, header, &values) {
                Some(score) => (score, format!("its values look like {}", kind_of_values(field))),
                None => continue,
            },
            (None, Fit::Unknown | Fit::Differs) => continue,
        };
        found.push(Guess { field, score, reason });
    }
    // Stable, so that equal ones come in the order of the fields.
    found.sort_by_key(|guess| Reverse(guess.score));
    found
}

/// What values alone weigh that many columns could have. Not where the header says that they are something else.
fn weak(kind: Kind, field: ColumnField, header: &str, values: &Values) -> Option<u8> {
    if OTHER_KEYS.contains(&key(header)) {
        return None;
    }
    let is_long = |value: &str| value.chars().filter(char::is_ascii_digit).count() >= 9;
    let is_code = |value: &str| value.starts_with('0') && value.len() > 1 && !value.contains(['.', ',']);
    match field {
        ColumnField::Amount if kind == Kind::Customers => None,
        ColumnField::Amount if !values.most(is_long) && !values.0.iter().any(|value| is_code(value)) => Some(LIKELY),
        ColumnField::Mobile if values.most(is_long) => Some(20),
        ColumnField::Card | ColumnField::UserId if values.most(is_card) && values.most(|value| value.len() >= 5) => {
            Some(15)
        }
        ColumnField::Gender => Some(20),
        _ => None,
    }
}

/// What the values of a field are, for a reason.
fn kind_of_values(field: ColumnField) -> &'static str {
    match field {
        ColumnField::Email => "e-mail addresses",
        ColumnField::Mobile => "phone numbers",
        ColumnField::Card => "card numbers",
        ColumnField::UserId | ColumnField::ExternalId | ColumnField::RefId | ColumnField::RowId => "ids",
        ColumnField::Amount | ColumnField::Balance | ColumnField::Ltv => "numbers",
        ColumnField::Orders => "whole numbers",
        ColumnField::ExpiresInDays => "numbers of days",
        ColumnField::Operation => "words for credit and debit",
        ColumnField::ExpiresOn | ColumnField::CreditedOn | ColumnField::Birthday | ColumnField::CreatedAt => "dates",
        ColumnField::Gender => "words for genders",
        ColumnField::ExpiryType => "words for kinds of expiry",
        ColumnField::ExpiryUnit => "days and months",
        ColumnField::ExpiryValue => "numbers of days or months, or dates",
        ColumnField::ExpiryChange => "words for earlier and later",
        ColumnField::Promised | ColumnField::Consent => "yes and no",
        ColumnField::Currency => "currencies",
        ColumnField::Reason
        | ColumnField::Comment
        | ColumnField::Name
        | ColumnField::FirstName
        | ColumnField::LastName
        | ColumnField::Account
        | ColumnField::Tier
        | ColumnField::Program
        | ColumnField::RefType
        | ColumnField::PromotionId => "words",
    }
}

/// A way to read numbers, and what it makes of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberReading {
    /// The style's name, as `--number-format` takes it.
    pub style: &'static str,
    /// A number of the file that other styles read otherwise, if there is one.
    pub value: String,
    /// What this style makes of it.
    pub reading: String,
}

/// The styles that read all of these numbers; cells that no style reads are left to the job to reject.
pub fn number_styles(values: &[String]) -> Vec<NumberReading> {
    let numbers: Vec<&String> = values.iter().filter(|value| is_number(value)).collect();
    let reads_all = |style: &&str| numbers.iter().all(|value| read_number(value, style).is_some());
    let fitting: Vec<&'static str> = NUMBER_STYLES.into_iter().filter(reads_all).collect();
    let differs = |value: &&&String| {
        fitting.iter().any(|style| read_number(value, style) != fitting.first().and_then(|one| read_number(value, one)))
    };
    let Some(telling) = numbers.iter().find(differs).or(numbers.first()) else { return Vec::new() };
    let shown = |units: i64| {
        let text = crate::report::amount::amount_text(i128::from(units), NUMBER_DECIMALS);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let reading = |style: &'static str| {
        let reading = read_number(telling, style).map(shown)?;
        Some(NumberReading { style, value: telling.trim().to_owned(), reading })
    };
    fitting.iter().filter_map(|style| reading(style)).collect()
}

/// The styles that read all of these dates; cells that no style reads are left to the job to reject.
pub fn date_styles(values: &[String]) -> Vec<DateStyle> {
    let dates: Vec<&str> = values.iter().filter(|value| is_date(value)).map(|value| day_of(value)).collect();
    let reads_all = |style: &DateStyle| !dates.is_empty() && dates.iter().all(|date| style.parse(date).is_some());
    DateStyle::ALL.into_iter().filter(reads_all).collect()
}

#[cfg(test)]
mod tests;
