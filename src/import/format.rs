//! Formats: which column means what. They are data (`formats/*.toml`), so that a user can bring one.
//!
//! A [`Format`] and a file's header make a [`Mapping`]. Columns are found by name only, since a file whose columns were
//! moved would otherwise credit phone numbers. What is written in a format's file is explained at the fields of
//! [`Format`]; a file that says anything else is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::domain::{command::Mode, identifier::IdentifierKind, time::DateStyle};

macro_rules! column_fields {
    ($($(#[$doc:meta])* $field:ident = $name:literal, $kinds:expr;)*) => {
        /// What a column can hold, in our words. Vendors' words are aliases in a format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum ColumnField {
            $($(#[$doc])* #[serde(rename = $name)] $field,)*
        }

        impl ColumnField {
            /// Every field, in the order of our own files.
            pub const ALL: &'static [ColumnField] = &[$(ColumnField::$field,)*];

            /// The field's name, as `--map`, formats and reports write it.
            pub fn name(self) -> &'static str {
                match self { $(ColumnField::$field => $name,)* }
            }

            /// Whether an import of this kind reads the field today. What it does not read is refused, in `--map` and in
            /// formats alike: a column that is silently dropped would be points without their expiry.
            pub fn is_read_by(self, kind: Kind) -> bool {
                match self { $(ColumnField::$field => $kinds.contains(&kind),)* }
            }
        }
    };
}

const POINTS: &[Kind] = &[Kind::Points];
const CUSTOMERS: &[Kind] = &[Kind::Customers];
const EXPIRY: &[Kind] = &[Kind::Expiry];
const POINTS_CUSTOMERS: &[Kind] = &[Kind::Points, Kind::Customers];
const POINTS_EXPIRY: &[Kind] = &[Kind::Points, Kind::Expiry];
const ALL_KINDS: &[Kind] = &[Kind::Points, Kind::Customers, Kind::Expiry, Kind::Selection];

// Behind each field stand the imports that read it: the one list of what can be mapped.
column_fields! {
    /// The merchant's identifier of the customer.
    UserId = "user_id", ALL_KINDS;
    /// Another system's identifier of the customer.
    ExternalId = "external_id", ALL_KINDS;
    /// The e-mail address.
    Email = "email", ALL_KINDS;
    /// The mobile number.
    Mobile = "mobile", ALL_KINDS;
    /// The card number; several in a customer file.
    Card = "card", ALL_KINDS;
    /// Points to credit, to debit or to set.
    Amount = "amount", POINTS_CUSTOMERS;
    /// Credit, debit or set.
    Operation = "operation", POINTS;
    /// The last day of the points.
    ExpiresOn = "expires_on", POINTS_CUSTOMERS;
    /// The days that the points last.
    ExpiresInDays = "expires_in_days", POINTS;
    /// The day on which the points were earned.
    CreditedOn = "credited_on", POINTS;
    /// The points programme.
    Program = "program", POINTS;
    /// The type of what the points were given for.
    RefType = "ref_type", POINTS_EXPIRY;
    /// What the points were given for.
    RefId = "ref_id", POINTS_EXPIRY;
    /// The promotion that gave the points.
    PromotionId = "promotion_id", POINTS;
    /// Whether the points are promised only.
    Promised = "promised", POINTS;
    /// The internal reason.
    Reason = "reason", POINTS_EXPIRY;
    /// The text that the customer sees.
    Comment = "comment", POINTS;
    /// The row's own key, for files that are sent again.
    RowId = "row_id", POINTS;
    /// The customer's name.
    Name = "name", CUSTOMERS;
    /// The given name, of a name in two columns.
    FirstName = "first_name", CUSTOMERS;
    /// The family name, of a name in two columns.
    LastName = "last_name", CUSTOMERS;
    /// The day of birth.
    Birthday = "birthday", CUSTOMERS;
    /// The gender.
    Gender = "gender", CUSTOMERS;
    /// Whether the customer consents to be written to.
    Consent = "consent", CUSTOMERS;
    /// The tier.
    Tier = "tier", CUSTOMERS;
    /// The lifetime value.
    Ltv = "ltv", CUSTOMERS;
    /// The number of orders.
    Orders = "orders", CUSTOMERS;
    /// When the customer was created in the system that wrote the file.
    CreatedAt = "created_at", CUSTOMERS;
    /// The opening balance.
    Balance = "balance", CUSTOMERS;
    /// The currency whose program the amount is credited in.
    Currency = "currency", CUSTOMERS;
    /// The customer's account: the code of the program that the amount is credited in.
    Account = "account", CUSTOMERS;
    /// How a new last day is told: fixed, relative or immediate.
    ExpiryType = "expiry_type", EXPIRY;
    /// What a relative expiry counts.
    ExpiryUnit = "expiry_unit", EXPIRY;
    /// The new last day, or how many days or months.
    ExpiryValue = "expiry_value", EXPIRY;
    /// Whether points expire earlier or later.
    ExpiryChange = "expiry_change", EXPIRY;
}

impl fmt::Display for ColumnField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for ColumnField {
    type Err = ();

    /// The field with this name, written as freely as a header.
    fn from_str(name: &str) -> Result<ColumnField, ()> {
        let wanted = header_key(name);
        ColumnField::ALL.iter().copied().find(|field| header_key(field.name()) == wanted).ok_or(())
    }
}

/// What a file is imported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `import points`.
    Points,
    /// `import customers`.
    Customers,
    /// `import expiry`.
    Expiry,
    /// Whom a bulk operation means.
    Selection,
}

impl Kind {
    /// The word of the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Points => "points",
            Kind::Customers => "customers",
            Kind::Expiry => "expiry",
            Kind::Selection => "selection",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a word in an operation column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationWord {
    /// Points are added.
    Credit,
    /// Points are taken.
    Debit,
    /// The balance becomes the amount.
    Set,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberStyle {
    /// `1234.5`: a comma or a blank is an error.
    #[default]
    Plain,
    /// `1,234.5`
    En,
    /// `1.234,5`
    De,
    /// `1 234,5`, also with no-break spaces.
    Fr,
    /// `1'234.5`
    Ch,
}

/// A column of a format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What it holds; none: a column of the vendor's that is known, stands in the template, and is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<ColumnField>,
    /// The headers that name it, the one of the template first. Compared by [`header_key`].
    pub headers: Vec<String>,
    /// Whether it stands in the template. What only some of the vendor's files have does not.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub in_template: bool,
    /// Words in lower case, of any case in the file, that mean an empty cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blanks: Vec<String>,
    /// Whether a `'` that begins a cell is none of its content: it kept a spreadsheet from taking it for a number.
    #[serde(default, skip_serializing_if = "is_no")]
    pub apostrophe: bool,
    /// Of mobile numbers: they have their country code, with or without a `+`, and are never as dialled at home.
    #[serde(default, skip_serializing_if = "is_no")]
    pub country_code: bool,
}

impl Column {
    /// A column without peculiarities.
    pub fn of(field: Option<ColumnField>, headers: Vec<String>) -> Column {
        Column { field, headers, in_template: true, blanks: Vec::new(), apostrophe: false, country_code: false }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(yes: &bool) -> bool {
    *yes
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_no(yes: &bool) -> bool {
    !yes
}

/// The rows of a format's template, cells in the order of its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// As many cells a row as the template has columns.
    pub rows: Vec<Vec<String>>,
}

/// What the columns of a file mean, and how their cells are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// What `--format` takes: lower-case letters, digits and dashes.
    pub name: String,
    /// The import that reads it. Two formats may have one name if their kinds differ: they read the same file.
    pub kind: Kind,
    /// One line for `tidemill formats`.
    pub title: String,
    /// Groups of fields: of each group at least one must have a column.
    pub mandatory: Vec<Vec<ColumnField>>,
    /// Headers without which a file is not recognised as this format, though `--format` may name it: for a vendor whose
    /// mandatory columns others have as well.
    #[serde(default)]
    pub recognized_by: Vec<String>,
    /// Formats that give way where this one fits a header too, because they fit every file that this one does. Of the same
    /// kind it wins only if it reads every column of the file that they read, and one that reads all of its columns and
    /// more wins all the same: what was dropped would be missed.
    #[serde(default)]
    pub wins_over: Vec<String>,
    /// The identifier by which a row's customer is found, so that each row must have it; none: any that is filled.
    #[serde(default)]
    pub key: Option<ColumnField>,
    /// Identifiers that are set when a customer is created, and never added or changed afterwards.
    #[serde(default)]
    pub set_at_creation: Vec<ColumnField>,
    /// Whether the job's day is the first of a row's days of validity, so that one day ends today; else it ends tomorrow.
    #[serde(default, skip_serializing_if = "is_no")]
    pub first_day_counts: bool,
    /// Whether the job needs `--reason`.
    #[serde(default)]
    pub reason_required: bool,
    /// Says that its rows hold no operation, so that the job needs `--mode`. It does anyway where a points file has no
    /// operation column: a format that has one contradicts itself.
    #[serde(default)]
    pub mode_required: bool,
    /// What its amounts do, where they can only do one thing: the job then needs no `--mode`, and takes no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The least that a row's amount may be, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_min: Option<i64>,
    /// The most that a row's amount may be, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_max: Option<i64>,
    /// What an empty operation cell means; without it, an error.
    #[serde(default)]
    pub operation_blank: Option<OperationWord>,
    /// How numbers are written, unless the job says otherwise.
    #[serde(default)]
    pub number_style: NumberStyle,
    /// How dates are written.
    #[serde(default)]
    pub date_style: DateStyle,
    /// The columns, in the order of the template.
    pub columns: Vec<Column>,
    /// The words of the operation column in lower case; others are rejected.
    #[serde(default)]
    pub operations: BTreeMap<String, OperationWord>,
    /// The template's rows.
    #[serde(default)]
    pub sample: Sample,
}

/// Why a format's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub(super) String);

static BUILTIN: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let texts = [
        include_str!("formats/nector.toml"),
        include_str!("formats/nector-expiry.toml"),
        include_str!("formats/smile.toml"),
        include_str!("formats/smile-export.toml"),
        include_str!("formats/rivo.toml"),
        include_str!("formats/rivyo.toml"),
        include_str!("formats/yotpo.toml"),
        include_str!("formats/yotpo-points.toml"),
        include_str!("formats/growave.toml"),
        include_str!("formats/stamped.toml"),
        include_str!("formats/marsello.toml"),
        include_str!("formats/loloyal.toml"),
        include_str!("formats/talon-one.toml"),
        include_str!("formats/fanmaker.toml"),
        include_str!("formats/kaddra.toml"),
        include_str!("formats/tidemill.toml"),
        include_str!("formats/shopify-customers.toml"),
        include_str!("formats/smile-export-customers.toml"),
        include_str!("formats/rivo-customers.toml"),
        include_str!("formats/rivyo-customers.toml"),
        include_str!("formats/yotpo-customers.toml"),
        include_str!("formats/growave-customers.toml"),
        include_str!("formats/stamped-customers.toml"),
        include_str!("formats/marsello-customers.toml"),
        include_str!("formats/tidemill-customers.toml"),
        include_str!("formats/incust.toml"),
        include_str!("formats/expiry-date-range.toml"),
        include_str!("formats/expiry-reference.toml"),
        include_str!("formats/expiry-promotion.toml"),
        include_str!("formats/customer-list.toml"),
    ];
    texts.iter().map(|text| Format::parse(text).expect("a test reads every built-in format")).collect()
});

impl Format {
    /// Every built-in format, by kind and then in the order of the README.
    pub fn all() -> &'static [Format] {
        &BUILTIN
    }

    /// The built-in format with this name, for this kind of import; without one, the first of the name.
    pub fn builtin(kind: Option<Kind>, name: &str) -> Option<&'static Format> {
        Format::all().iter().find(|format| format.name == name && kind.is_none_or(|kind| format.kind == kind))
    }

    /// What the amounts of a file without an operation column do, going by what the job says.
    ///
    /// # Errors
    ///
    /// When the format's amounts do something else.
    pub fn mode_of(&self, asked: Option<Mode>) -> Result<Option<Mode>, FormatError> {
        match (self.mode, asked) {
            (Some(fixed), Some(other)) if fixed != other => {
                let does = if fixed == Mode::Add { "adds its amounts" } else { "sets balances" };
                Err(FormatError(format!("a file of the format `{}` {does}: leave `--mode` out", self.name)))
            }
            (fixed, asked) => Ok(asked.or(fixed)),
        }
    }

    /// Whether its files say more than whom they mean.
    pub fn says_more_than_who(&self) -> bool {
        match self.kind {
            Kind::Points | Kind::Customers => true,
            Kind::Expiry => self.column(ColumnField::ExpiryType).is_some(),
            Kind::Selection => false,
        }
    }

    /// The columns of the template.
    pub fn template_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.in_template)
    }

    /// Whether mobile numbers always have their country code.
    pub fn has_country_codes(&self) -> bool {
        self.column(ColumnField::Mobile).is_some_and(|column| column.country_code)
    }

    /// Whether it reads a column of operations.
    pub fn knows_operations(&self) -> bool {
        !self.operations.is_empty() || self.operation_blank.is_some()
    }

    /// Whether a row's operation can set a balance.
    pub fn can_set(&self) -> bool {
        self.operations.values().chain(&self.operation_blank).any(|word| *word == OperationWord::Set)
    }

    /// Reads a format's TOML, and checks that it can be used.
    ///
    /// # Errors
    ///
    /// When the text is no TOML, has a key that is none of ours, or contradicts itself.
    pub fn parse(text: &str) -> Result<Format, FormatError> {
        let format: Format = toml::from_str(text).map_err(|error| FormatError(error.to_string()))?;
        match format.contradiction() {
            None => Ok(format),
            Some(found) => Err(FormatError(format!("format `{}`: {found}", format.name))),
        }
    }

    fn contradiction(&self) -> Option<String> {
        let operations = self.column(ColumnField::Operation).is_some();
        let name_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(name_right) {
            return Some("`name` takes lower-case letters, digits and dashes".into());
        }
        let mut headers = BTreeMap::new();
        for (at, column) in self.columns.iter().enumerate() {
            let shown = column.field.map_or_else(|| "nothing".to_owned(), |field| format!("`{field}`"));
            if let Some(field) = column.field {
                if !field.is_read_by(self.kind) {
                    let (kind, known) = (self.kind, names_of(self.kind));
                    return Some(format!("`import {kind}` does not read the field `{field}`: it reads {known}"));
                }
                if self.columns.iter().take(at).any(|other| other.field == column.field) {
                    return Some(format!("the field `{field}` has two columns: write all headers into one"));
                }
            }
            if column.headers.is_empty() {
                return Some(format!("the column of {shown} has no headers"));
            }
            if let Some(word) = column.blanks.iter().find(|word| **word != word.trim().to_lowercase()) {
                return Some(format!("the blank `{word}` must be written in lower case, without blanks around it"));
            }
            if column.country_code && column.field != Some(ColumnField::Mobile) {
                return Some(format!("`country_code` says something of `mobile`, and nothing of {shown}"));
            }
            for header in &column.headers {
                if header_key(header).is_empty() {
                    return Some(format!("the header `{header}` of {shown} has no letter or digit"));
                }
                if let Some(other) = headers.insert(header_key(header), at).filter(|&other| other != at) {
                    let other = self.columns.get(other).and_then(|column| column.field);
                    let other = other.map_or_else(|| "nothing".to_owned(), |field| format!("`{field}`"));
                    return Some(format!("the header `{header}` stands for {other} and for {shown}"));
                }
            }
        }
        if self.mode_required && operations {
            return Some("`mode_required` contradicts the column of `operation`: leave one out".into());
        }
        if self.mode.is_some() && (operations || self.mode_required) {
            return Some("`mode` contradicts `mode_required` and a column of `operation`: leave one out".into());
        }
        if self.amount_min.zip(self.amount_max).is_some_and(|(min, max)| min > max) {
            return Some("`amount_min` is more than `amount_max`".into());
        }
        if let Some(field) = self.mandatory.iter().flatten().find(|&&field| self.column(field).is_none()) {
            return Some(format!("the mandatory field `{field}` has no column"));
        }
        let is_identifier = |field: ColumnField| IdentifierKind::ALL.iter().any(|kind| kind.name() == field.name());
        if let Some(field) = self.key.iter().chain(&self.set_at_creation).find(|&&field| !is_identifier(field)) {
            return Some(format!("`{field}` is no identifier, so neither `key` nor `set_at_creation` can name it"));
        }
        if self.kind != Kind::Customers && (self.key.is_some() || !self.set_at_creation.is_empty()) {
            return Some("`key` and `set_at_creation` are for customers".into());
        }
        if let Some(key) = self.key.filter(|&key| self.column(key).is_none()) {
            return Some(format!("the key `{key}` has no column"));
        }
        let is_known = |mark: &&String| headers.contains_key(&header_key(mark));
        if let Some(mark) = self.recognized_by.iter().find(|mark| !is_known(mark)) {
            return Some(format!("`recognized_by` names `{mark}`, which is the header of no column"));
        }
        if self.mandatory.iter().any(Vec::is_empty) {
            return Some("a group of mandatory fields is empty".into());
        }
        if let Some(word) = self.operations.keys().find(|word| **word != word.trim().to_lowercase()) {
            return Some(format!("the operation `{word}` must be written in lower case, without blanks around it"));
        }
        let cells = self.template_columns().count();
        if self.sample.rows.iter().any(|row| row.len() != cells) {
            return Some(format!("a sample row needs {cells} cells, one for each column of the template"));
        }
        None
    }

    /// The column of a field.
    pub fn column(&self, field: ColumnField) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == Some(field))
    }

    /// What an operation cell means, whatever its case; none if nothing.
    pub fn operation(&self, cell: &str) -> Option<OperationWord> {
        match cell.trim() {
            "" => self.operation_blank,
            word => self.operations.get(&word.to_lowercase()).copied(),
        }
    }

    /// The header of the template.
    pub fn template_header(&self) -> Vec<&str> {
        self.template_columns().map(|column| column.headers.first().map_or("", String::as_str)).collect()
    }

    /// The template as CSV: the header and the sample rows.
    pub fn template_csv(&self) -> String {
        let header = self.template_header();
        let rows = self.sample.rows.iter().map(|row| row.iter().map(String::as_str).collect());
        let mut text = String::new();
        for row in std::iter::once(header).chain(rows) {
            let cells: Vec<_> = row.into_iter().map(quoted).collect();
            text += &cells.join(",");
            text += "\n";
        }
        text
    }

    /// The groups of mandatory fields that the header has no column for.
    fn missing(&self, header: &Keys) -> Vec<&[ColumnField]> {
        let has = |field: ColumnField| {
            let columns = self.columns.iter().filter(|column| column.field == Some(field));
            columns.flat_map(|column| &column.headers).any(|alias| header.contains_key(&header_key(alias)))
        };
        self.missing_of(has)
    }

    /// The groups of mandatory fields of which none is there.
    pub(super) fn missing_of(&self, has: impl Fn(ColumnField) -> bool) -> Vec<&[ColumnField]> {
        self.mandatory.iter().map(Vec::as_slice).filter(|group| !group.iter().any(|&field| has(field))).collect()
    }

    /// What a column with this header holds.
    pub(super) fn field_of(&self, header: &str) -> Option<ColumnField> {
        let key = header_key(header);
        let is_same = |alias: &String| key_chars(alias).eq(key.chars());
        self.columns.iter().find(|column| column.headers.iter().any(is_same)).and_then(|column| column.field)
    }

    /// The fields of its columns, by the key of each header.
    fn fields_by_key(&self) -> HashMap<String, Option<ColumnField>> {
        let keys = |column: &Column| -> Vec<_> {
            column.headers.iter().map(|alias| (header_key(alias), column.field)).collect()
        };
        self.columns.iter().flat_map(keys).collect()
    }

    /// Whether the header has all that a file of this format is known by.
    pub(super) fn has_marks(&self, header: &Keys) -> bool {
        self.recognized_by.iter().all(|mark| header.contains_key(&header_key(mark)))
    }

    /// `email or mobile, amount`, with each field's usual header.
    fn listed(&self, groups: &[&[ColumnField]]) -> String {
        let header = |&field: &ColumnField| {
            let first = self.column(field).and_then(|column| column.headers.first());
            format!("`{}`", first.map_or(field.name(), String::as_str))
        };
        let group = |group: &&[ColumnField]| group.iter().map(header).collect::<Vec<_>>().join(" or ");
        groups.iter().map(group).collect::<Vec<_>>().join(", ")
    }
}

/// What makes two headers the same: their characters in lower case, without what is typed in different ways.
///
/// Case, blanks, dashes, underscores and byte order marks do not matter. Other signs do, as in `points (old)`.
pub fn header_key(header: &str) -> String {
    key_chars(header).collect()
}

fn key_chars(header: &str) -> impl Iterator<Item = char> + '_ {
    let counts = |c: &char| !(c.is_whitespace() || matches!(c, '-' | '_' | '\u{feff}' | '\u{2010}'..='\u{2015}'));
    header.chars().filter(counts).flat_map(char::to_lowercase)
}

/// The keys of a file's header, each with the first column that has it: made once, as all formats are held against it and a
/// file may have tens of thousands of columns.
pub(super) type Keys = HashMap<String, usize>;

/// The keys of a header.
pub(super) fn keys_of(header: &[impl AsRef<str>]) -> Keys {
    let mut keys = Keys::new();
    for (at, cell) in header.iter().enumerate() {
        keys.entry(header_key(cell.as_ref())).or_insert(at);
    }
    keys
}

/// A cell as RFC 4180 writes it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// A `--map` argument: this column holds that field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnOverride {
    /// The header, or the number from 1 where the file has none.
    pub column: String,
    /// What it holds; none: it is not read, whatever the format makes of its header.
    pub field: Option<ColumnField>,
}

/// What `--map` says instead of a field where a column is not to be read.
pub const IGNORE: &str = "ignore";

impl ColumnOverride {
    /// Reads `Points Balance=amount`, or `State=ignore`; the last `=` counts, as a header may hold one.
    ///
    /// # Errors
    ///
    /// When there is no `=`, no header before it, or no field of this kind of import behind it.
    pub fn parse(argument: &str, kind: Kind) -> Result<ColumnOverride, MappingError> {
        let parts = argument.rsplit_once('=').filter(|(column, _)| !column.trim().is_empty());
        let Some((column, name)) = parts else {
            return Err(MappingError::Argument { argument: argument.to_owned() });
        };
        let column = column.trim().to_owned();
        if name.trim().eq_ignore_ascii_case(IGNORE) {
            return Ok(ColumnOverride { column, field: None });
        }
        let field = ColumnField::from_str(name).ok().filter(|field| field.is_read_by(kind));
        let field = field.ok_or_else(|| MappingError::UnknownField { name: name.trim().to_owned(), kind })?;
        Ok(ColumnOverride { column, field: Some(field) })
    }
}

/// What is known of a file's columns.
#[derive(Clone, Copy, Debug)]
pub enum Header<'a> {
    /// The cells of the first record.
    Named(&'a [String]),
    /// There is no header: the number of columns.
    Numbered(usize),
}

/// Which column holds which field of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The number of columns of the file.
    pub columns: usize,
    /// The column of each field that has one, from 0.
    pub fields: BTreeMap<ColumnField, usize>,
    /// The columns that hold no field and are ignored, by name; `…` where the name is more likely data.
    pub ignored: Vec<String>,
}

/// Why the columns of a file cannot be mapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// A `--map` without the two parts.
    #[error("`--map {argument}` has not the form `Header=field`: write, say, `--map \"Points Balance=amount\"`")]
    Argument {
        /// What was given.
        argument: String,
    },
    /// A `--map` to a field that the import does not read.
    #[error(
        "`--map` names the field `{name}`, which `import {kind}` does not read: take one of {}, or `{IGNORE}`",
        names_of(*.kind)
    )]
    UnknownField {
        /// What was given.
        name: String,
        /// The kind of the import.
        kind: Kind,
    },
    /// A `--map` from a column that the file does not have.
    #[error("`--map` names the column `{column}`, which the file does not have: take one of {found}")]
    UnknownColumn {
        /// What was given.
        column: String,
        /// What the file has.
        found: String,
    },
    /// A `--map` that gives one column two meanings.
    #[error("`--map` gives the column `{column}` two meanings, `{first}` and `{second}`: leave one out")]
    TwoFields {
        /// The column's name.
        column: String,
        /// The first field, or `ignore`.
        first: &'static str,
        /// The second one.
        second: &'static str,
    },
    /// Two columns that mean the same.
    #[error(
        "the columns {first} and {second} both hold `{field}`: rename one in the file, or choose with \
         `--map \"Header={field}\"`"
    )]
    TwoColumns {
        /// What both hold.
        field: String,
        /// The left column, by name and number.
        first: String,
        /// The right column, by name and number.
        second: String,
    },
    /// A column of operations for a format that knows no word of them, so that every row would be rejected.
    #[error(
        "the format `{format}` knows no operations: leave `--map \"{column}=operation\"` out, or choose another `--format`"
    )]
    NoOperations {
        /// The format's name.
        format: String,
        /// The column.
        column: String,
    },
    /// Mandatory columns that the file does not have.
    #[error(
        "the file has no column {missing}, which the format `{format}` needs; it has {found}: name the column with \
         `--map \"{example}={field}\"`, or choose another `--format`"
    )]
    Missing {
        /// The format's name.
        format: String,
        /// The missing columns.
        missing: String,
        /// What the file has.
        found: String,
        /// A column to show in the hint.
        example: String,
        /// The first missing field.
        field: ColumnField,
    },
}

fn names_of(kind: Kind) -> String {
    let fields = ColumnField::ALL.iter().filter(|field| field.is_read_by(kind));
    fields.map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
}

impl Mapping {
    /// Finds the column of each field: by `--map`, then by the format's headers.
    ///
    /// A column that `--map` names holds that field only, and the field's other columns are ignored.
    ///
    /// # Errors
    ///
    /// When a mandatory field has no column, a field has two, or `--map` contradicts the file or itself.
    pub fn resolve(format: &Format, header: Header, overrides: &[ColumnOverride]) -> Result<Mapping, MappingError> {
        let names: Vec<String> = match header {
            Header::Named(cells) => cells.iter().enumerate().map(|(at, cell)| column_name(cell, at)).collect(),
            Header::Numbered(columns) => (1..=columns).map(|number| number.to_string()).collect(),
        };
        let shown: Vec<&str> = names.iter().map(|name| shown_name(name)).collect();
        let found = || listed_names(&shown);
        // The word of `--map`, or the field, of each column that has one.
        let mut held: Vec<Option<&'static str>> = vec![None; names.len()];
        let mut fields = BTreeMap::new();
        let twice = |field: &str, first: usize, second: usize| MappingError::TwoColumns {
            field: field.to_owned(),
            first: format!("`{}` (column {})", shown[first.min(second)], first.min(second) + 1),
            second: format!("`{}` (column {})", shown[first.max(second)], first.max(second) + 1),
        };

        for ColumnOverride { column, field } in overrides {
            if *field == Some(ColumnField::Operation) && !format.knows_operations() {
                return Err(MappingError::NoOperations { format: format.name.clone(), column: column.clone() });
            }
            let key = header_key(column);
            let mut matching = (0..names.len()).filter(|&at| header_key(&names[at]) == key);
            let Some(at) = matching.next() else {
                return Err(MappingError::UnknownColumn { column: column.clone(), found: found() });
            };
            let word = field.map_or(IGNORE, ColumnField::name);
            if let Some(other) = matching.next() {
                return Err(twice(word, at, other));
            }
            if let Some(first) = held[at].replace(word).filter(|first| *first != word) {
                return Err(MappingError::TwoFields { column: column.clone(), first, second: word });
            }
            let Some(field) = *field else { continue };
            if let Some(other) = fields.insert(field, at).filter(|&other| other != at) {
                return Err(twice(word, other, at));
            }
        }
        if let Header::Named(cells) = header {
            let (chosen, fields_by_key) = (fields.clone(), format.fields_by_key());
            for (at, cell) in cells.iter().enumerate().filter(|&(at, _)| held[at].is_none()).collect::<Vec<_>>() {
                let field = fields_by_key.get(&header_key(cell)).copied().flatten();
                let Some(field) = field.filter(|field| !chosen.contains_key(field)) else { continue };
                if let Some(other) = fields.insert(field, at) {
                    return Err(twice(field.name(), other, at));
                }
                held[at] = Some(field.name());
            }
        }

        let missing = format.missing_of(|field| fields.contains_key(&field));
        let free = || (0..names.len()).find(|&at| held[at].is_none() && !looks_like_data(&names[at]));
        if let Some(&field) = missing.first().and_then(|group| group.first()) {
            return Err(MappingError::Missing {
                format: format.name.clone(),
                missing: format.listed(&missing),
                found: found(),
                example: free().map_or_else(|| "Header".to_owned(), |at| names[at].clone()),
                field,
            });
        }
        let is_ignored = |at: &usize| held[*at].is_none_or(|word| word == IGNORE);
        let ignored = (0..names.len()).filter(is_ignored).map(|at| shown[at].to_owned()).collect();
        Ok(Mapping { columns: names.len(), fields, ignored })
    }

    /// The column of a field, from 0.
    pub fn column(&self, field: ColumnField) -> Option<usize> {
        self.fields.get(&field).copied()
    }
}

/// A header cell for people: without what nobody sees, and numbered if nothing remains.
pub(super) fn column_name(cell: &str, at: usize) -> String {
    match cell.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}') {
        "" => format!("column {}", at + 1),
        name => name.to_owned(),
    }
}

/// Digits that no header has, and that phone numbers, cards and most ids have.
const DATA_DIGITS_MIN: usize = 5;

/// Whether a cell where a header should be is more likely somebody's e-mail address, phone number or card.
///
/// Messages and logs then do not repeat it: a file without a header must not put a customer's data there.
pub fn looks_like_data(cell: &str) -> bool {
    cell.contains('@') || cell.chars().filter(char::is_ascii_digit).count() >= DATA_DIGITS_MIN
}

/// A column's name as messages show it.
pub(super) fn shown_name(name: &str) -> &str {
    if looks_like_data(name) { "…" } else { name }
}

/// The names of a file's columns: `` `email`, `points` ``.
fn listed_names(shown: &[&str]) -> String {
    if shown.is_empty() { "none".to_owned() } else { format!("`{}`", shown.join("`, `")) }
}

/// Why the format of a file is not clear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecognizeError {
    /// No format's mandatory columns are all there.
    #[error("no format fits the columns {found}: {needs}; choose with `--format`, and name columns with `--map`")]
    None {
        /// What the file has.
        found: String,
        /// What each format lacks.
        needs: String,
    },
    /// More than one format's are.
    #[error("the columns fit several formats: choose with {}", choices(.names))]
    Several {
        /// The formats' names.
        names: Vec<String>,
    },
}

fn choices(names: &[String]) -> String {
    names.iter().map(|name| format!("`--format {name}`")).collect::<Vec<_>>().join(" or ")
}

/// The built-in format of a header; of any kind if none is given.
///
/// A format fits if its mandatory columns are all there, and those that it is recognised by. One wins over
/// another that fits only where its file says so.
///
/// # Errors
///
/// When no format fits, or several do: then the job asks, since a wrong guess credits wrong points.
pub fn recognize(kind: Option<Kind>, header: &[impl AsRef<str>]) -> Result<&'static Format, RecognizeError> {
    // Any file of customers names customers: as one that says no more it is read only where that is asked for.
    let is_asked = |format: &&Format| match kind {
        Some(kind) => format.kind == kind,
        None => format.says_more_than_who(),
    };
    recognize_among(Format::all().iter().filter(is_asked), header)
}

fn recognize_among<'a>(
    candidates: impl Iterator<Item = &'a Format> + Clone,
    header: &[impl AsRef<str>],
) -> Result<&'a Format, RecognizeError> {
    let keys = keys_of(header);
    let fitting: Vec<_> =
        candidates.clone().filter(|format| format.missing(&keys).is_empty() && format.has_marks(&keys)).collect();
    // Of two columns that hold one field only one can be read: the first.
    let reads = |format: &Format| -> BTreeSet<usize> {
        let column = |column: &Column| {
            column.field?;
            column.headers.iter().filter_map(|alias| keys.get(&header_key(alias)).copied()).min()
        };
        format.columns.iter().filter_map(column).collect()
    };
    let beats = |one: &Format, other: &Format| {
        let (is_listed, lists) = (one.wins_over.contains(&other.name), other.wins_over.contains(&one.name));
        if one.kind != other.kind {
            // Of two that read the same file, points are what changes most often.
            return is_listed || (one.name == other.name && one.kind < other.kind);
        }
        let (columns, others) = (reads(one), reads(other));
        columns.is_superset(&others) && (is_listed || (lists && columns != others))
    };
    let beaten = |format: &Format| fitting.iter().any(|other| beats(other, format));
    let best: Vec<_> = fitting.iter().copied().filter(|format| !beaten(format)).collect();
    match best[..] {
        [format] => Ok(format),
        [] if fitting.is_empty() => {
            let names: Vec<_> = header.iter().enumerate().map(|(at, cell)| column_name(cell.as_ref(), at)).collect();
            let lacks = |format: &Format| match format.listed(&format.missing(&keys)) {
                missing if missing.is_empty() => format!("`{}`", format.recognized_by.join("`, `")),
                missing => missing,
            };
            let needs = candidates.map(|format| format!("`{}` lacks {}", format.name, lacks(format)));
            Err(RecognizeError::None {
                found: listed_names(&names.iter().map(|name| shown_name(name)).collect::<Vec<_>>()),
                needs: needs.collect::<Vec<_>>().join("; "),
            })
        }
        // Two that each win over the other are a mistake in their files, and a question to the user.
        [] => Err(RecognizeError::Several { names: fitting.iter().map(|format| format.name.clone()).collect() }),
        _ => Err(RecognizeError::Several { names: best.iter().map(|format| format.name.clone()).collect() }),
    }
}

#[cfg(test)]
mod tests;
