//! The flags that say which customer is meant.

use clap::{ArgGroup, Args};
use tidemill::domain::identifier::IdentifierKind;

/// Who: one or more identifiers of one customer.
#[derive(Args)]
#[command(group = ArgGroup::new("who").required(true).multiple(true).args(WHO), next_help_heading = "The customer")]
pub struct IdentifierFlags {
    #[command(flatten)]
    identifiers: Identifiers,
}

impl IdentifierFlags {
    /// The given identifiers, by kind.
    pub fn pairs(self) -> Vec<(IdentifierKind, String)> {
        self.identifiers.pairs()
    }
}

/// Who: exactly one identifier.
#[derive(Args)]
#[command(group = ArgGroup::new("who").required(true).multiple(false).args(WHO), next_help_heading = "The customer")]
pub struct IdentifierFlag {
    #[command(flatten)]
    identifiers: Identifiers,
}

impl IdentifierFlag {
    /// The given identifier. There always is one: the command line was refused otherwise.
    pub fn pair(&self) -> (IdentifierKind, &str) {
        let given = IdentifierKind::ALL.iter().find_map(|&kind| Some((kind, self.identifiers.of(kind)?)));
        given.unwrap_or((IdentifierKind::UserId, ""))
    }
}

/// Whom to merge into the customer of the other flags: exactly one identifier.
#[derive(Args)]
#[command(group = ArgGroup::new("from").required(true).multiple(false).args(FROM),
          next_help_heading = "The record to merge into it")]
pub struct FromFlag {
    /// Its user id
    #[arg(long, value_name = "ID")]
    from_user_id: Option<String>,
    /// Its id in another system
    #[arg(long, value_name = "ID")]
    from_external_id: Option<String>,
    /// Its e-mail address
    #[arg(long, value_name = "ADDRESS")]
    from_email: Option<String>,
    /// Its mobile number
    #[arg(long, value_name = "NUMBER")]
    from_mobile: Option<String>,
    /// A card of it
    #[arg(long, value_name = "NUMBER")]
    from_card: Option<String>,
}

impl FromFlag {
    /// The given identifier. There always is one: the command line was refused otherwise.
    pub fn pair(&self) -> (IdentifierKind, &str) {
        let of = |kind| match kind {
            IdentifierKind::UserId => self.from_user_id.as_deref(),
            IdentifierKind::ExternalId => self.from_external_id.as_deref(),
            IdentifierKind::Email => self.from_email.as_deref(),
            IdentifierKind::Mobile => self.from_mobile.as_deref(),
            IdentifierKind::Card => self.from_card.as_deref(),
        };
        let given = IdentifierKind::ALL.iter().find_map(|&kind| Some((kind, of(kind)?)));
        given.unwrap_or((IdentifierKind::UserId, ""))
    }
}

const FROM: [&str; 5] = ["from_user_id", "from_external_id", "from_email", "from_mobile", "from_card"];

const WHO: [&str; 5] = ["user_id", "external_id", "email", "mobile", "card"];

#[derive(Args)]
struct Identifiers {
    /// The customer's user id
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The customer's id in another system
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The customer's e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The customer's mobile number
    #[arg(long, value_name = "NUMBER")]
    mobile: Option<String>,
    /// A card of the customer
    #[arg(long, value_name = "NUMBER")]
    card: Option<String>,
}

impl Identifiers {
    fn of(&self, kind: IdentifierKind) -> Option<&str> {
        match kind {
            IdentifierKind::UserId => self.user_id.as_deref(),
            IdentifierKind::ExternalId => self.external_id.as_deref(),
            IdentifierKind::Email => self.email.as_deref(),
            IdentifierKind::Mobile => self.mobile.as_deref(),
            IdentifierKind::Card => self.card.as_deref(),
        }
    }

    fn pairs(&self) -> Vec<(IdentifierKind, String)> {
        IdentifierKind::ALL.iter().filter_map(|&kind| Some((kind, self.of(kind)?.to_owned()))).collect()
    }
}
