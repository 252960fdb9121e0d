//! A person: identifiers, profile, attributes.

use serde::{Deserialize, Serialize};

use super::{birthday::Birthday, id::CustomerId, identifier::IdentifierKind, time::Timestamp};

/// Decimals of an LTV.
pub const LTV_DECIMALS: u8 = 4;

/// A customer's gender, as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "lowercase")]
pub enum Gender {
    /// Male.
    Male = 1,
    /// Female.
    Female = 2,
    /// Another.
    Other = 3,
}

impl Gender {
    /// The word that exports show.
    pub fn word(self) -> &'static str {
        match self {
            Gender::Male => "male",
            Gender::Female => "female",
            Gender::Other => "other",
        }
    }

    /// The gender that a cell names, in any case, in English, Lithuanian, Russian, Ukrainian, German, Spanish, French
    /// or Polish.
    ///
    /// One letter is read where it means the same in all of these languages. `m` is not (`male`, but `moteris` and
    /// `mujer`), nor is `k` (`kobieta`, but `kita`): see [`Gender::is_ambiguous`].
    pub fn parse(cell: &str) -> Option<Gender> {
        // Nearly every cell is one of these.
        for (word, gender) in [("male", Gender::Male), ("female", Gender::Female), ("other", Gender::Other)] {
            if cell.eq_ignore_ascii_case(word) {
                return Some(gender);
            }
        }
        let word = cell.trim().to_lowercase();
        let words = [(MALE, Gender::Male), (FEMALE, Gender::Female), (OTHER, Gender::Other)];
        words.into_iter().find(|(words, _)| words.contains(&word.as_str())).map(|(_, gender)| gender)
    }

    /// Whether a cell is a letter that means one gender in one of the languages and another in another.
    pub fn is_ambiguous(cell: &str) -> bool {
        matches!(cell.trim(), "m" | "M" | "k" | "K")
    }

    /// The gender with this stored number, if there is one.
    pub fn from_number(number: u8) -> Option<Gender> {
        [Gender::Male, Gender::Female, Gender::Other].into_iter().find(|&gender| gender as u8 == number)
    }
}

// In the order of the languages: English, Lithuanian, Russian, Ukrainian, German, Spanish, French, Polish; letters last.

#[rustfmt::skip]
const MALE: &[&str] = &[
    "male", "man", "boy", "mr", "vyras", "vyr.", "vyriška", "vyriškas", "vyriška lytis", "berniukas", "ponas",
    "мужской", "мужчина", "муж", "муж.", "мужской пол", "мальчик", "господин",
    "чоловіча", "чоловічий", "чоловік", "чол", "чол.", "чоловіча стать", "хлопець", "пан",
    "männlich", "maennlich", "mann", "herr", "masculino", "hombre", "varón", "varon", "señor", "sr",
    "masculin", "homme", "mâle", "monsieur", "mężczyzna", "mezczyzna", "męska", "męski", "meska", "meski", "pan",
    "v", "м", "ч", "h",
];

#[rustfmt::skip]
const FEMALE: &[&str] = &[
    "female", "woman", "girl", "mrs", "ms", "miss", "moteris", "mot.", "moteriška", "moteriškas", "moteriška lytis", "mergaitė",
    "ponia", "женский", "женщина", "жен", "жен.", "женский пол", "девочка", "госпожа",
    "жіноча", "жіночий", "жінка", "жін", "жін.", "жіноча стать", "дівчина", "пані",
    "weiblich", "frau", "femenino", "femenina", "mujer", "hembra", "señora", "sra",
    "féminin", "feminin", "femme", "femelle", "madame", "kobieta", "żeńska", "żeński", "zenska", "zenski", "pani",
    "f", "w", "ж",
];

#[rustfmt::skip]
const OTHER: &[&str] = &[
    "other", "others", "another", "non-binary", "nonbinary", "non binary", "diverse", "kita", "kitas", "kitos", "kiti",
    "другой", "другая", "другое", "другие", "иной", "иное", "інша", "інше", "інший", "інші",
    "divers", "andere", "anderes", "anderer", "sonstige", "sonstiges", "nichtbinär", "otro", "otra", "otros", "otras", "no binario",
    "autre", "autres", "non binaire", "inna", "inne", "inny", "niebinarna", "niebinarny",
    "o", "x", "d",
];

/// Which of a customer's fields that are written once are filled: one bit a field.
///
/// It answers "set once" and "filled only while empty" without reading the customer's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence(pub u8);

impl Presence {
    /// `user_id`
    pub const USER_ID: u8 = 1;
    /// `external_id`
    pub const EXTERNAL_ID: u8 = 1 << 1;
    /// `email`
    pub const EMAIL: u8 = 1 << 2;
    /// `mobile`
    pub const MOBILE: u8 = 1 << 3;
    /// `name`
    pub const NAME: u8 = 1 << 4;
    /// `birthday`
    pub const BIRTHDAY: u8 = 1 << 5;
    /// `gender`
    pub const GENDER: u8 = 1 << 6;
    /// `consent`
    pub const CONSENT: u8 = 1 << 7;

    /// The bit of an identifier kind of which a customer has at most one; none for cards.
    #[inline]
    pub fn of_kind(kind: IdentifierKind) -> u8 {
        match kind {
            IdentifierKind::UserId => Self::USER_ID,
            IdentifierKind::ExternalId => Self::EXTERNAL_ID,
            IdentifierKind::Email => Self::EMAIL,
            IdentifierKind::Mobile => Self::MOBILE,
            IdentifierKind::Card => 0,
        }
    }

    /// Whether a field is filled.
    #[inline]
    pub fn has(self, field: u8) -> bool {
        self.0 & field != 0
    }
}

/// What one record says of a customer: every field of a new customer, or those that a change sets. Identifiers are
/// normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerChange<'a> {
    /// `user_id`
    pub user_id: Option<&'a str>,
    /// `external_id`
    pub external_id: Option<&'a str>,
    /// `email`
    pub email: Option<&'a str>,
    /// `mobile`
    pub mobile: Option<&'a str>,
    /// Cards that are added.
    pub cards: Vec<&'a str>,
    /// `name`
    pub name: Option<&'a str>,
    /// `birthday`
    pub birthday: Option<Birthday>,
    /// `gender`
    pub gender: Option<Gender>,
    /// `consent`
    pub consent: Option<&'a str>,
    /// `tier`
    pub tier: Option<&'a str>,
    /// LTV with `LTV_DECIMALS` decimals.
    pub ltv: Option<i64>,
    /// `orders`
    pub orders: Option<u32>,
    /// `created_at`
    pub created_at: Option<Timestamp>,
    /// What it says of other records of the same person. Apart, as next to no customer has it.
    pub merge: Option<Box<Merge<'a>>>,
}

/// What was said of a person by a record that was merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former<'a> {
    /// An identifier, which goes on naming the person.
    Identifier(IdentifierKind, &'a str),
    /// A name.
    Name(&'a str),
}

/// What a record says of other records of the same person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge<'a> {
    /// The customer that this one became part of, and that has all its identifiers now.
    pub into: Option<CustomerId>,
    /// The customers that became part of this one, whose ledgers are this one's too.
    pub absorbed: Vec<CustomerId>,
    /// What they had of which this one has another.
    pub former: Vec<Former<'a>>,
}

impl<'a> CustomerChange<'a> {
    /// The identifier of a kind of which a customer has at most one.
    pub fn single(&self, kind: IdentifierKind) -> Option<&'a str> {
        match kind {
            IdentifierKind::UserId => self.user_id,
            IdentifierKind::ExternalId => self.external_id,
            IdentifierKind::Email => self.email,
            IdentifierKind::Mobile => self.mobile,
            IdentifierKind::Card => None,
        }
    }

    /// All its identifiers, in the order of their kinds, cards as given; then former ones.
    pub fn identifiers(&self) -> impl Iterator<Item = (IdentifierKind, &'a str)> + '_ {
        let singles = IdentifierKind::ALL.iter().filter_map(|&kind| Some((kind, self.single(kind)?)));
        let former = self.former().filter_map(|former| match former {
            Former::Identifier(kind, value) => Some((kind, value)),
            Former::Name(_) => None,
        });
        singles.chain(self.cards.iter().map(|&card| (IdentifierKind::Card, card))).chain(former)
    }

    /// What records had that were merged into this one.
    fn former(&self) -> impl Iterator<Item = Former<'a>> + '_ {
        self.merge.iter().flat_map(|merge| merge.former.iter().copied())
    }

    /// The person's name, and former ones.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        let former = self.former().filter_map(|former| match former {
            Former::Name(name) => Some(name),
            Former::Identifier(..) => None,
        });
        self.name.into_iter().chain(former)
    }

    /// What is left when the person is erased: which records were one person's, by their numbers.
    pub fn erased(&self) -> CustomerChange<'static> {
        let merge = self.merge.as_deref().filter(|merge| merge.into.is_some() || !merge.absorbed.is_empty());
        let kept = |merge: &Merge<'_>| {
            Box::new(Merge { former: Vec::new(), into: merge.into, absorbed: merge.absorbed.clone() })
        };
        CustomerChange { merge: merge.map(kept), ..CustomerChange::default() }
    }

    /// Whether it says nothing of a person: the customer was erased, or merged into another.
    pub fn is_nameless(&self) -> bool {
        self.erased() == *self
    }

    /// Which write-once fields it fills.
    pub fn presence(&self) -> Presence {
        let mut bits = 0;
        let mut fill = |field: u8, filled: bool| bits |= if filled { field } else { 0 };
        fill(Presence::USER_ID, self.user_id.is_some());
        fill(Presence::EXTERNAL_ID, self.external_id.is_some());
        fill(Presence::EMAIL, self.email.is_some());
        fill(Presence::MOBILE, self.mobile.is_some());
        fill(Presence::NAME, self.name.is_some());
        fill(Presence::BIRTHDAY, self.birthday.is_some());
        fill(Presence::GENDER, self.gender.is_some());
        fill(Presence::CONSENT, self.consent.is_some());
        Presence(bits)
    }

    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        *self == CustomerChange::default()
    }
}

/// A customer as all records together tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// `user_id`
    pub user_id: Option<String>,
    /// `external_id`
    pub external_id: Option<String>,
    /// `email`
    pub email: Option<String>,
    /// `mobile`
    pub mobile: Option<String>,
    /// Cards, in the order they were added.
    pub cards: Vec<String>,
    /// `name`
    pub name: Option<String>,
    /// `birthday`
    pub birthday: Option<Birthday>,
    /// `gender`
    pub gender: Option<Gender>,
    /// `consent`
    pub consent: Option<String>,
    /// `tier`
    pub tier: Option<String>,
    /// LTV with `LTV_DECIMALS` decimals.
    pub ltv: Option<i64>,
    /// `orders`
    pub orders: Option<u32>,
    /// `created_at`
    pub created_at: Option<Timestamp>,
    /// The customer that this one became part of.
    pub merged_into: Option<CustomerId>,
    /// The customers that became part of this one, oldest first.
    pub absorbed: Vec<CustomerId>,
    /// Their identifiers of which this one has another: these name it too.
    pub former_identifiers: Vec<(IdentifierKind, String)>,
    /// Their names, where this one has another.
    pub former_names: Vec<String>,
}

impl Customer {
    /// Takes in a record. Records of one customer must come in log order.
    pub fn change(&mut self, change: &CustomerChange<'_>) {
        fn text(field: &mut Option<String>, value: Option<&str>) {
            if let Some(value) = value {
                *field = Some(value.to_owned());
            }
        }
        fn set<T: Copy>(field: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *field = value;
            }
        }
        text(&mut self.user_id, change.user_id);
        text(&mut self.external_id, change.external_id);
        text(&mut self.email, change.email);
        text(&mut self.mobile, change.mobile);
        self.cards.extend(change.cards.iter().map(|&card| card.to_owned()));
        text(&mut self.name, change.name);
        set(&mut self.birthday, change.birthday);
        set(&mut self.gender, change.gender);
        text(&mut self.consent, change.consent);
        text(&mut self.tier, change.tier);
        set(&mut self.ltv, change.ltv);
        set(&mut self.orders, change.orders);
        set(&mut self.created_at, change.created_at);
        let Some(merge) = &change.merge else { return };
        set(&mut self.merged_into, merge.into);
        self.absorbed.extend_from_slice(&merge.absorbed);
        for former in &merge.former {
            match former {
                Former::Identifier(kind, value) => self.former_identifiers.push((*kind, (*value).to_owned())),
                Former::Name(name) => self.former_names.push((*name).to_owned()),
            }
        }
    }

    /// The one record that would say all of it.
    pub fn as_change(&self) -> CustomerChange<'_> {
        let identifiers = self.former_identifiers.iter().map(|(kind, value)| Former::Identifier(*kind, value));
        let merge = Merge {
            into: self.merged_into,
            absorbed: self.absorbed.clone(),
            former: identifiers.chain(self.former_names.iter().map(|name| Former::Name(name))).collect(),
        };
        CustomerChange {
            merge: Some(Box::new(merge)).filter(|merge| **merge != Merge::default()),
            user_id: self.user_id.as_deref(),
            external_id: self.external_id.as_deref(),
            email: self.email.as_deref(),
            mobile: self.mobile.as_deref(),
            cards: self.cards.iter().map(String::as_str).collect(),
            name: self.name.as_deref(),
            birthday: self.birthday,
            gender: self.gender,
            consent: self.consent.as_deref(),
            tier: self.tier.as_deref(),
            ltv: self.ltv,
            orders: self.orders,
            created_at: self.created_at,
        }
    }

    /// The place of a kind of identifiers of which a customer has at most one; none for cards.
    pub fn single_mut(&mut self, kind: IdentifierKind) -> Option<&mut Option<String>> {
        match kind {
            IdentifierKind::UserId => Some(&mut self.user_id),
            IdentifierKind::ExternalId => Some(&mut self.external_id),
            IdentifierKind::Email => Some(&mut self.email),
            IdentifierKind::Mobile => Some(&mut self.mobile),
            IdentifierKind::Card => None,
        }
    }

    /// Whether the identifier is one of this customer's, a former one included.
    pub fn has_identifier(&self, kind: IdentifierKind, value: &str) -> bool {
        if self.former_identifiers.iter().any(|(other, former)| *other == kind && former == value) {
            return true;
        }
        match kind {
            IdentifierKind::UserId => self.user_id.as_deref() == Some(value),
            IdentifierKind::ExternalId => self.external_id.as_deref() == Some(value),
            IdentifierKind::Email => self.email.as_deref() == Some(value),
            IdentifierKind::Mobile => self.mobile.as_deref() == Some(value),
            IdentifierKind::Card => self.cards.iter().any(|card| card == value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genders_are_known_in_the_supported_languages() {
        #[rustfmt::skip]
        let cases = [
            ("en", "Male|man|Mr", "FEMALE|woman|Ms", "other|Non-Binary"),
            ("lt", "Vyras|vyriška", "Moteris|MOTERIŠKA", "Kita|kitas"),
            ("ru", "Мужской|мужчина|муж.", "Женский|ЖЕНЩИНА|жен", "другой|Другое"),
            ("uk", "чоловіча|Чоловік|чол.", "жіноча|ЖІНКА|жін", "інша|Інше"),
            ("de", "männlich|Mann|HERR", "weiblich|Frau|FRAU", "divers|Andere|sonstiges"),
            ("es", "masculino|Hombre|varón", "femenino|Mujer", "otro|OTRA"),
            ("fr", "masculin|Homme|monsieur", "féminin|Femme|Madame", "autre|Autres"),
            ("pl", "mężczyzna|MĘŻCZYZNA|męski", "kobieta|Kobieta|żeńska", "inna|Inne"),
            ("letters", "v|V|М|ч|h", "f|F|w|Ж", "o|x|D"),
        ];
        for (language, male, female, other) in cases {
            for (words, gender) in [(male, Gender::Male), (female, Gender::Female), (other, Gender::Other)] {
                for word in words.split('|') {
                    for cell in [word.to_owned(), format!(" {word}\t"), word.to_uppercase()] {
                        assert_eq!(Gender::parse(&cell), Some(gender), "{language}: {cell:?}");
                        assert!(!Gender::is_ambiguous(&cell), "{language}: {cell:?}");
                    }
                }
            }
        }
        // Each of these letters is a gender in one language and another one in the next.
        for letter in ["m", "M", " m ", "k", "K"] {
            assert!(Gender::parse(letter).is_none() && Gender::is_ambiguous(letter), "{letter}");
        }
        for unknown in ["", "unknown", "?", "1", "mf", "z"] {
            assert!(Gender::parse(unknown).is_none() && !Gender::is_ambiguous(unknown), "{unknown}");
        }
    }

    #[test]
    fn no_word_means_two_genders() {
        let words: Vec<&str> = [MALE, FEMALE, OTHER].concat();
        for (at, word) in words.iter().enumerate() {
            assert_eq!(*word, word.to_lowercase(), "{word}");
            assert!(!words[at + 1..].contains(word), "{word}");
        }
    }
}
