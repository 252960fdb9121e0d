//! The one seeded generator of large input, for the criterion benches and for `tidemill bench`.
//!
//! **Its output is part of the definition of W0 and W1**: a number measured last year can be compared with today's only
//! while the same [`Workload`] gives the same bytes, on every machine. The tests below pin them. Whoever has to change
//! a byte says so in the changelog, writes `datasets/small` anew, and measures the old release again.
//!
//! It uses nothing but `std`, so every bench can take it in with `#[path]`, and it formats by hand into one buffer:
//! through `write!` it would be slower than the engine that it feeds.
//!
//! Identifiers are pure functions of a customer's number (`email_of(n)`, …), so the two files agree without either
//! keeping a list. No e-mail can reach a person: all domains are reserved for examples (RFC 2606).
#![allow(dead_code, reason = "compiled into several targets, and no bench uses all of it")]

use std::collections::BTreeMap;
use std::io::{self, Write};

/// The header of the customers file, format `tidemill-customers`.
pub const CUSTOMERS_HEADER: &str =
    "user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at,balance\n";

/// The header of the points file, format `nector`.
pub const POINTS_HEADER: &str = "email,mobile,amount,operation\n";

/// A column that every row of a points file has beside those of W1, whose rows it leaves as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every program that shares this file generates all of them")]
pub enum Extra {
    /// None: W1.
    None,
    /// `expiry`: 1 to 365 days of validity. W1x.
    Expiry,
    /// `row_id`: a number of the row's own. W1r.
    RowId,
}

/// Most customers whose identifiers are still distinct and of the documented shape.
pub const CUSTOMERS_MAX: u64 = 100_000_000;

/// Size of a generated load, and the seed that chooses everything random in it.
///
/// The identifiers do not depend on the seed, so files of different seeds name the same customers.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Rows of the customers file, and the range from which the points file draws; at most [`CUSTOMERS_MAX`].
    pub customers: u64,
    /// Rows of the points file, good and bad.
    pub rows: u64,
    /// Chooses everything random.
    pub seed: u64,
}

/// What was written, and so what an import has to account for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows, without the header.
    pub rows: u64,
    /// Rows that parse and name a customer. Of a points file, debits among them may still be rejected as
    /// `insufficient_balance`: that depends on the balances, which the generator does not know.
    pub good: u64,
    /// Bad rows by the code they must get; empty for a customers file.
    pub bad: BTreeMap<&'static str, u64>,
    /// Points credited by good rows; of a customers file, the sum of the opening balances.
    pub credits: u64,
    /// Points debited by good rows, before overdraft.
    pub debits: u64,
    /// Bytes, with the header.
    pub bytes: u64,
}

/// Writes a dated credit for each customer, given for an order of its own: of every tenth customer valid for five days, of the
/// others for one to three years.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_dated(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    let mut random = Random::new(workload.seed ^ DAYS_STREAM);
    good_rows(b"email,amount,operation,expires_in_days,ref_type,ref_id\n", workload.customers, out, |n, buffer| {
        let amount = 1 + random.below(500);
        push_email(buffer, n);
        buffer.push(b',');
        push_number(buffer, amount);
        buffer.extend_from_slice(b",CR,");
        push_number(buffer, if n % 10 == 0 { 5 } else { 365 + random.below(730) });
        buffer.extend_from_slice(b",order,");
        push_number(buffer, n);
        buffer.push(b'\n');
        amount
    })
}

/// Writes a file that names each customer by e-mail.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_names(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    good_rows(b"email\n", workload.customers, out, |n, buffer| {
        push_email(buffer, n);
        buffer.push(b'\n');
        0
    })
}

/// Writes a file that extends the credit of [`write_dated`] of a tenth of the customers at random, by its reference.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_references(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    let mut random = Random::new(workload.seed ^ UPDATES_STREAM);
    good_rows(
        b"Email,Point Awarded Ref Type,Point Awarded Ref Id,Expiry Type,Expiry Unit,New Expiry Value,\
          Expiry Update Reason Type,Expiry Update Reason Note\n",
        workload.customers.div_ceil(10),
        out,
        |_, buffer| {
            let n = random.below(workload.customers);
            push_email(buffer, n);
            buffer.extend_from_slice(b",order,");
            push_number(buffer, n);
            buffer.extend_from_slice(b",relative,months,12,Extend_Expiry,Covid\n");
            0
        },
    )
}

/// Writes a balance for each customer, as Smile's file has it: some 5.6 % of them have 300 to 500.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_balances(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    let mut random = Random::new(workload.seed ^ BALANCES_STREAM);
    good_rows(b"email,points\n", workload.customers, out, |n, buffer| {
        push_email(buffer, n);
        let balance = random.below(3600);
        buffer.push(b',');
        push_number(buffer, balance);
        buffer.push(b'\n');
        balance
    })
}

/// Writes the customers of W0: all five identifiers on each row, profile cells partly empty, an opening balance on half.
///
/// # Errors
///
/// Only those of `out`.
///
/// # Panics
///
/// If more than [`CUSTOMERS_MAX`] customers are asked for.
pub fn write_customers(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    assert!(workload.customers <= CUSTOMERS_MAX, "identifiers are distinct up to {CUSTOMERS_MAX} customers");
    let mut random = Random::new(workload.seed ^ CUSTOMERS_STREAM);
    good_rows(CUSTOMERS_HEADER.as_bytes(), workload.customers, out, |n, buffer| {
        push_user_id(buffer, n);
        buffer.push(b',');
        push_external_id(buffer, n);
        buffer.push(b',');
        push_email(buffer, n);
        buffer.push(b',');
        push_mobile(buffer, n);
        buffer.push(b',');
        push_card(buffer, n);
        buffer.push(b',');
        push_profile(buffer, n, &mut random)
    })
}

/// Writes a file that changes the LTV of each customer of [`write_customers`], by user id, in another order than that in which
/// they were created.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_updates(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    let mut random = Random::new(workload.seed ^ UPDATES_STREAM);
    // Steps that are prime to the number of customers meet each once.
    let step = STEPS.into_iter().find(|step| !workload.customers.is_multiple_of(*step)).unwrap_or(1);
    let mut n = 0;
    good_rows(b"user_id,ltv\n", workload.customers, out, |_, buffer| {
        n = (n + step) % workload.customers;
        push_user_id(buffer, n);
        buffer.push(b',');
        push_number(buffer, 10_000 + random.below(90_000));
        buffer.push(b'.');
        push_padded(buffer, random.below(100), 2);
        buffer.push(b'\n');
        0
    })
}

/// Writes a file of inCust's, with phone, e-mail, name and a card on each row, a credit in euro on every second one and a last
/// day on every fourth.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_incust(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    good_rows(INCUST_HEADER.as_bytes(), workload.customers, out, |n, buffer| {
        push_mobile(buffer, n);
        buffer.push(b';');
        push_email(buffer, n);
        buffer.extend_from_slice(b";2026-01-15, Shop 3;");
        buffer.extend_from_slice(first_name(n).as_bytes());
        buffer.extend_from_slice(if n.is_multiple_of(2) { b";1987-10-27;female;" } else { b";;male;" });
        push_card(buffer, n);
        buffer.push(b';');
        let credited = if n.is_multiple_of(2) {
            let points = 1 + n % 5000;
            push_number(buffer, points);
            buffer.extend_from_slice(b".50;EUR;");
            buffer.extend_from_slice(if n.is_multiple_of(4) { b"2090-12-31" } else { b"" });
            points * 100 + 50
        } else {
            buffer.extend_from_slice(b";;");
            0
        };
        buffer.extend_from_slice(b";\n");
        credited
    })
}

/// Writes the points of W1: 80 % by e-mail, 20 % by mobile; 60 % blank operation, 30 % `CR`, 10 % `DR`; amounts from
/// 1 to 5000; customers at random; and 0.5 % bad rows of the five common sorts, each with one fault.
///
/// # Errors
///
/// Only those of `out`.
///
/// # Panics
///
/// If there is no customer to draw from, or more than [`CUSTOMERS_MAX`].
pub fn write_points(workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    write_points_with(Extra::None, workload, out)
}

/// The same with one column more.
///
/// # Errors
///
/// Only those of `out`.
///
/// # Panics
///
/// As `write_points`.
pub fn write_points_with(extra: Extra, workload: &Workload, out: &mut impl Write) -> io::Result<Totals> {
    assert!((1..=CUSTOMERS_MAX).contains(&workload.customers), "1 to {CUSTOMERS_MAX} customers");
    let mut random = Random::new(workload.seed ^ POINTS_STREAM);
    let mut totals = Totals::default();
    let mut bad = [0; Fault::ALL.len()];
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + ROW_BYTES_MAX);
    buffer.extend_from_slice(POINTS_HEADER.as_bytes());
    push_extra(
        &mut buffer,
        match extra {
            Extra::None => None,
            Extra::Expiry => Some("expiry"),
            Extra::RowId => Some("row_id"),
        },
    );
    // From a stream of its own, so that the rows are W1's.
    let mut days = Random::new(workload.seed ^ DAYS_STREAM);
    for row in 0..workload.rows {
        let customer = random.below(workload.customers);
        let dice = random.next();
        let by_email = dice & 0xffff < share(80);
        let operation = match dice >> 16 & 0xffff {
            d if d < share(60) => "",
            d if d < share(90) => "CR",
            _ => "DR",
        };
        let amount = 1 + (dice >> 32 & 0xffff_ffff) * 5000 / (1 << 32);
        // One row in 200 draws a number that is a fault, each fault as often as the others.
        let draw = random.below(BAD_ONE_IN * Fault::ALL.len() as u64);
        let fault = Fault::ALL.get(usize::try_from(draw).expect("below 1000")).copied();
        match fault {
            None => {
                push_points(&mut buffer, by_email, customer, amount, operation);
                totals.good += 1;
                if operation == "DR" { totals.debits += amount } else { totals.credits += amount }
            }
            Some(fault) => {
                push_bad_points(&mut buffer, fault, by_email, customer, workload.customers, amount, operation);
                bad[draw as usize] += 1;
            }
        }
        match extra {
            Extra::None => {}
            Extra::Expiry => push_extra(&mut buffer, Some(&(1 + days.below(365)).to_string())),
            Extra::RowId => push_extra(&mut buffer, Some(&format!("r{row:09}"))),
        }
        totals.rows += 1;
        drain(&mut buffer, BUFFER_BYTES, &mut totals.bytes, out)?;
    }
    drain(&mut buffer, 0, &mut totals.bytes, out)?;
    totals.bad = Fault::ALL.iter().zip(bad).map(|(fault, count)| (fault.code(), count)).collect();
    Ok(totals)
}

/// Returns the user id of customer `n`: `u` and eight digits.
pub fn user_id_of(n: u64) -> String {
    text(|buffer| push_user_id(buffer, n))
}

/// Returns the external id of customer `n`: 13 digits, as a shop system gives.
pub fn external_id_of(n: u64) -> String {
    text(|buffer| push_external_id(buffer, n))
}

/// Returns the e-mail of customer `n`: two names and a number at a reserved domain, about 26 bytes.
pub fn email_of(n: u64) -> String {
    text(|buffer| push_email(buffer, n))
}

/// Returns the mobile number of customer `n` in E.164: `+91` and ten digits of which the first is 6 to 9.
pub fn mobile_of(n: u64) -> String {
    text(|buffer| push_mobile(buffer, n))
}

/// Returns the card number of customer `n`: 16 digits, the first a 9, which no payment card has.
pub fn card_of(n: u64) -> String {
    text(|buffer| push_card(buffer, n))
}

/// Bytes gathered before a write: one system call every 30 000 rows.
const BUFFER_BYTES: usize = 1 << 20;

/// No row is longer; the buffer never grows.
const ROW_BYTES_MAX: usize = 512;

/// One row in so many is bad: 0.5 %.
const BAD_ONE_IN: u64 = 200;

/// Keep the random numbers of the two files apart, so that a balance says nothing about a debit.
const CUSTOMERS_STREAM: u64 = 0x6375_7374_6f6d_6572;
const DAYS_STREAM: u64 = 0x6461_7973_2e2e_2e2e;
const POINTS_STREAM: u64 = 0x706f_696e_7473_2e2e;
const BALANCES_STREAM: u64 = 0x6261_6c61_6e63_6573;
const UPDATES_STREAM: u64 = 0x7570_6461_7465_732e;

/// What can be wrong with a generated row: one code each.
#[derive(Clone, Copy)]
enum Fault {
    Unknown,
    Amount,
    Operation,
    NoIdentifier,
    Ragged,
}

impl Fault {
    const ALL: [Fault; 5] = [Fault::Unknown, Fault::Amount, Fault::Operation, Fault::NoIdentifier, Fault::Ragged];

    fn code(self) -> &'static str {
        match self {
            Fault::Unknown => "identifier_unknown",
            Fault::Amount => "amount_invalid",
            Fault::Operation => "operation_invalid",
            Fault::NoIdentifier => "identifier_missing",
            Fault::Ragged => "row_malformed",
        }
    }
}

fn push_points(buffer: &mut Vec<u8>, by_email: bool, customer: u64, amount: u64, operation: &str) {
    push_points_identifier(buffer, by_email, customer);
    push_number(buffer, amount);
    buffer.push(b',');
    buffer.extend_from_slice(operation.as_bytes());
    buffer.push(b'\n');
}

/// Adds a cell to the row that was just written.
fn push_extra(buffer: &mut Vec<u8>, cell: Option<&str>) {
    let Some(cell) = cell else { return };
    buffer.pop();
    buffer.push(b',');
    buffer.extend_from_slice(cell.as_bytes());
    buffer.push(b'\n');
}

/// Writes the cells `email,mobile,` with one of them filled.
fn push_points_identifier(buffer: &mut Vec<u8>, by_email: bool, customer: u64) {
    if by_email {
        push_email(buffer, customer);
        buffer.extend_from_slice(b",,");
    } else {
        buffer.push(b',');
        push_mobile(buffer, customer);
        buffer.push(b',');
    }
}

/// Writes a row with exactly one fault, so that its code does not depend on the order of checks.
fn push_bad_points(
    buffer: &mut Vec<u8>,
    fault: Fault,
    by_email: bool,
    customer: u64,
    customers: u64,
    amount: u64,
    operation: &str,
) {
    match fault {
        // The next numbers after the last customer have the shape of good ones.
        Fault::Unknown => push_points(buffer, by_email, customers + customer, amount, operation),
        // As a spreadsheet writes it: quoted, so benchmarks meet a quote every 30 KB.
        Fault::Amount => {
            push_points_identifier(buffer, by_email, customer);
            buffer.extend_from_slice(b"\"52,620\",");
            buffer.extend_from_slice(operation.as_bytes());
            buffer.push(b'\n');
        }
        Fault::Operation => push_points(buffer, by_email, customer, amount, "XX"),
        Fault::NoIdentifier => {
            buffer.extend_from_slice(b",,");
            push_number(buffer, amount);
            buffer.push(b',');
            buffer.extend_from_slice(operation.as_bytes());
            buffer.push(b'\n');
        }
        // A cell too few, or one too many.
        Fault::Ragged => {
            push_points_identifier(buffer, by_email, customer);
            push_number(buffer, amount);
            buffer.extend_from_slice(if amount.is_multiple_of(2) { b"\n" } else { b",,\n" });
        }
    }
}

/// Writes the cells from `name` to `balance` and the line's end; returns the opening balance.
fn push_profile(buffer: &mut Vec<u8>, n: u64, random: &mut Random) -> u64 {
    let dice = random.next();
    let (empty, choice) = (dice & 0xffff_ffff, dice >> 32);
    if empty & 0xff >= 13 {
        buffer.extend_from_slice(first_name(n).as_bytes());
        buffer.push(b' ');
        buffer.extend_from_slice(last_name(n).as_bytes());
    }
    buffer.push(b',');
    if empty >> 8 & 0xff >= 77 {
        push_date(buffer, 1945 + random.below(62), random);
    }
    buffer.push(b',');
    if empty >> 16 & 0xff >= 51 {
        buffer.extend_from_slice(match choice & 0xff {
            0..125 => b"female".as_slice(),
            125..250 => b"male",
            _ => b"other",
        });
    }
    buffer.push(b',');
    if empty >> 24 & 0xff >= 26 {
        // Consent is free text: where it was given, and the number of the paper.
        buffer.extend_from_slice(if choice >> 8 & 0xff < 180 { b"web form".as_slice() } else { b"paper " });
        if choice >> 8 & 0xff >= 180 {
            push_padded(buffer, n % 100_000, 5);
        }
    }
    buffer.push(b',');
    buffer.extend_from_slice(match choice >> 16 & 0xffff {
        d if d < share(60) => b"bronze".as_slice(),
        d if d < share(85) => b"silver",
        d if d < share(97) => b"gold",
        _ => b"platinum",
    });
    buffer.push(b',');
    // Most customers order little: the square of an even choice is skewed to small numbers.
    let orders = random.below(12) * random.below(12);
    let cents = orders * (500 + random.below(9_500));
    push_number(buffer, cents / 100);
    buffer.push(b'.');
    push_padded(buffer, cents % 100, 2);
    buffer.push(b',');
    push_number(buffer, orders);
    buffer.push(b',');
    push_date(buffer, 2015 + random.below(11), random);
    buffer.push(b',');
    let balance = if random.below(2) == 0 { 1 + random.below(20_000) } else { 0 };
    if balance > 0 {
        push_number(buffer, balance);
    }
    buffer.push(b'\n');
    balance
}

fn push_date(buffer: &mut Vec<u8>, year: u64, random: &mut Random) {
    push_padded(buffer, year, 4);
    buffer.push(b'-');
    push_padded(buffer, 1 + random.below(12), 2);
    buffer.push(b'-');
    // Every month has 28 days.
    push_padded(buffer, 1 + random.below(28), 2);
}

fn push_user_id(buffer: &mut Vec<u8>, n: u64) {
    buffer.push(b'u');
    push_padded(buffer, n, 8);
}

fn push_external_id(buffer: &mut Vec<u8>, n: u64) {
    push_padded(buffer, 7_000_000_000_000 + scatter(n, 1_000_000_000_000), 13);
}

/// Names and number together are the customer's number, written to the base 64, 64, ∞: so e-mails never collide.
fn push_email(buffer: &mut Vec<u8>, n: u64) {
    buffer.extend(first_name(n).bytes().map(|byte| byte.to_ascii_lowercase()));
    buffer.push(b'.');
    buffer.extend(last_name(n).bytes().map(|byte| byte.to_ascii_lowercase()));
    if n >= 64 * 64 {
        push_number(buffer, n / (64 * 64));
    }
    buffer.push(b'@');
    let domain = mix(n) % DOMAINS.len() as u64;
    buffer.extend_from_slice(DOMAINS[usize::try_from(domain).expect("below 8")].as_bytes());
}

fn push_mobile(buffer: &mut Vec<u8>, n: u64) {
    buffer.extend_from_slice(b"+91");
    push_padded(buffer, 6_000_000_000 + scatter(n, 4_000_000_000), 10);
}

fn push_card(buffer: &mut Vec<u8>, n: u64) {
    push_padded(buffer, 9_036_000_000_000_000 + scatter(n, 1_000_000_000_000), 16);
}

fn first_name(n: u64) -> &'static str {
    FIRST_NAMES[(n % 64) as usize]
}

fn last_name(n: u64) -> &'static str {
    LAST_NAMES[(n / 64 % 64) as usize]
}

/// Spreads numbers below `range`, which must be a product of twos and fives: the multiplier is prime to both, so
/// distinct numbers stay distinct, and it is small enough for twice [`CUSTOMERS_MAX`] not to overflow.
fn scatter(n: u64, range: u64) -> u64 {
    n * 68_718_952_451 % range
}

fn push_number(buffer: &mut Vec<u8>, number: u64) {
    let digits = if number == 0 { 1 } else { number.ilog10() as usize + 1 };
    push_padded(buffer, number, digits);
}

fn push_padded(buffer: &mut Vec<u8>, mut number: u64, digits: usize) {
    let start = buffer.len();
    buffer.resize(start + digits, b'0');
    for digit in buffer[start..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut buffer = Vec::new();
    push(&mut buffer);
    String::from_utf8(buffer).expect("identifiers are ASCII")
}

/// Writes a header and so many rows, all of them good, each pushed by its number; `push` returns the points that it credits.
fn good_rows(
    header: &[u8],
    rows: u64,
    out: &mut impl Write,
    mut push: impl FnMut(u64, &mut Vec<u8>) -> u64,
) -> io::Result<Totals> {
    let mut totals = Totals { rows, good: rows, ..Totals::default() };
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + ROW_BYTES_MAX);
    buffer.extend_from_slice(header);
    for n in 0..rows {
        totals.credits += push(n, &mut buffer);
        drain(&mut buffer, BUFFER_BYTES, &mut totals.bytes, out)?;
    }
    drain(&mut buffer, 0, &mut totals.bytes, out)?;
    Ok(totals)
}

fn drain(buffer: &mut Vec<u8>, bytes_min: usize, bytes: &mut u64, out: &mut impl Write) -> io::Result<()> {
    if buffer.len() >= bytes_min {
        out.write_all(buffer)?;
        *bytes += buffer.len() as u64;
        buffer.clear();
    }
    Ok(())
}

/// The threshold on 16 random bits that `percent` of them stay below.
const fn share(percent: u64) -> u64 {
    (percent << 16) / 100
}

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and one mix a number, more than good enough for test data.
struct Random {
    state: u64,
}

impl Random {
    fn new(seed: u64) -> Random {
        Random { state: mix(seed) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Returns a number below `bound`, by multiplication: the bias is below `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

const DOMAINS: [&str; 8] = [
    "example.com",
    "example.org",
    "example.net",
    "mail.example",
    "post.example",
    "inbox.example",
    "example.com",
    "example.org",
];

#[rustfmt::skip]
const FIRST_NAMES: [&str; 64] = [
    "Ada", "Aisha", "Alina", "Ana", "Anil", "Asha", "Ben", "Carla", "Chen", "Clara", "Daiva", "Dario", "Diego", "Elena",
    "Elif", "Emma", "Erik", "Eva", "Farah", "Felix", "Greta", "Hana", "Hugo", "Ida", "Igor", "Ines", "Ivan", "Jan",
    "Jonas", "Jose", "Julia", "Kai", "Kamal", "Karin", "Lars", "Laura", "Lena", "Leo", "Liam", "Lina", "Luca", "Maja",
    "Marco", "Maria", "Mei", "Milan", "Mina", "Nadia", "Nina", "Noah", "Olga", "Omar", "Oskar", "Paula", "Petra",
    "Priya", "Ravi", "Rosa", "Samir", "Sara", "Sofia", "Tomas", "Vera", "Yusuf",
];

#[rustfmt::skip]
const LAST_NAMES: [&str; 64] = [
    "Adler", "Ahmed", "Alves", "Bauer", "Berg", "Bose", "Brown", "Chopra", "Costa", "Cruz", "Dahl", "Das", "Diaz",
    "Dubois", "Ferro", "Fischer", "Garcia", "Gupta", "Haas", "Hansen", "Horvat", "Ito", "Iyer", "Jansen", "Joshi",
    "Kaya", "Khan", "Kim", "Klein", "Kovac", "Kumar", "Lang", "Larsen", "Lopez", "Mehta", "Meyer", "Moreau", "Moser",
    "Nair", "Novak", "Olsen", "Patel", "Petrov", "Popov", "Ramos", "Rao", "Rossi", "Roy", "Sato", "Schmidt", "Shah",
    "Silva", "Singh", "Smith", "Sousa", "Stone", "Torres", "Vega", "Verma", "Vitale", "Wagner", "Weber", "Young",
    "Zhang",
];

/// Large primes, of which one is prime to any number of customers.
const STEPS: [u64; 2] = [7_368_787, 5_915_587_277];

const INCUST_HEADER: &str = "Phone number;Customer email address;Consent;Customer Name;Birthday;Gender;Plastic Card Numbers;\
                             Sum of credited bonus points;Bonus currency;Bonus points expiration date;Customer account\n";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn identifiers_are_distinct_and_of_their_shape() {
        let spread =
            (0..20_000).chain(CUSTOMERS_MAX - 20_000..CUSTOMERS_MAX).chain((0..20_000).map(|k| 20_000 + k * 4_993));
        let customers: Vec<u64> = spread.collect();
        for identifier_of in [user_id_of, external_id_of, email_of, mobile_of, card_of] {
            let distinct: HashSet<String> = customers.iter().map(|&n| identifier_of(n)).collect();
            assert_eq!(distinct.len(), customers.len());
        }
        for &n in &customers {
            assert!(mobile_of(n).len() == 13 && mobile_of(n).as_bytes()[3] >= b'6');
            assert!(card_of(n).len() == 16 && external_id_of(n).len() == 13 && user_id_of(n).len() == 9);
            assert!((19..=33).contains(&email_of(n).len()), "{}", email_of(n));
        }
        let bytes: usize = (0..10_000_000).step_by(997).map(|n| email_of(n).len()).sum();
        assert!((25..=27).contains(&(bytes / (10_000_000 / 997))));
    }

    #[test]
    fn the_same_workload_gives_the_same_bytes_for_ever() {
        let workload = Workload { customers: 2_000, rows: 10_000, seed: 1 };
        let (mut customers, mut points) = (Vec::new(), Vec::new());
        write_customers(&workload, &mut customers).expect("memory takes all");
        write_points(&workload, &mut points).expect("memory takes all");
        assert_eq!((customers.len(), fnv(&customers)), (284_633, 3_747_640_539_788_970_309));
        assert_eq!((points.len(), fnv(&points)), (292_078, 1_934_578_488_589_980_395));
    }

    #[test]
    fn updates_and_bonuses_name_each_customer_once() {
        let workload = Workload { customers: 1_000, rows: 0, seed: 7 };
        let (mut updates, mut incust) = (Vec::new(), Vec::new());
        assert_eq!(write_updates(&workload, &mut updates).expect("memory takes all").rows, 1_000);
        let totals = write_incust(&workload, &mut incust).expect("memory takes all");
        let first = |text: Vec<u8>, delimiter: char| -> Vec<String> {
            let text = String::from_utf8(text).expect("ASCII");
            text.lines().skip(1).map(|row| row.split(delimiter).next().unwrap_or_default().to_owned()).collect()
        };
        let (updates, incust) = (first(updates, ','), first(incust, ';'));
        assert_eq!(updates.iter().cloned().collect::<HashSet<_>>(), (0..1_000).map(user_id_of).collect());
        assert_ne!(updates, (0..1_000).map(user_id_of).collect::<Vec<_>>());
        assert_eq!(incust, (0..1_000).map(mobile_of).collect::<Vec<_>>());
        assert_eq!(totals.credits, (0..1_000).step_by(2).map(|n| (1 + n) * 100 + 50).sum::<u64>());
    }

    #[test]
    fn totals_tell_what_was_written() {
        let workload = Workload { customers: 1_000, rows: 50_000, seed: 7 };
        let mut points = Vec::new();
        let totals = write_points(&workload, &mut points).expect("memory takes all");
        let text = String::from_utf8(points).expect("ASCII");
        assert_eq!(totals.bytes, text.len() as u64);
        assert_eq!(totals.rows, text.lines().count() as u64 - 1);
        assert_eq!(totals.good + totals.bad.values().sum::<u64>(), totals.rows);
        let known: HashSet<String> = (0..1_000).flat_map(|n| [email_of(n), mobile_of(n)]).collect();
        let (mut good, mut credits, mut debits) = (0, 0, 0);
        for row in text.lines().skip(1) {
            let cells: Vec<&str> = row.split(',').collect();
            let &[email, mobile, amount, operation] = cells.as_slice() else { continue };
            let (Ok(amount), true) = (amount.parse::<u64>(), known.contains(email) || known.contains(mobile)) else {
                continue;
            };
            match operation {
                "" | "CR" => credits += amount,
                "DR" => debits += amount,
                _ => continue,
            }
            good += 1;
        }
        assert_eq!((good, credits, debits), (totals.good, totals.credits, totals.debits));
        assert!(totals.bad.values().all(|&count| count > 20), "every sort of bad row occurs: {:?}", totals.bad);
    }

    /// FNV-1a, so that the test needs no crate.
    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }
}
