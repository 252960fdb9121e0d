//! Why a row was refused. A refused row is data; an `Error` stops the job. The two never mix.

use serde::{Deserialize, Serialize};

macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal;)*) => {
        /// Why a row or command was not applied. Numbers are stored and codes are read by programs: both are stable,
        /// new ones are added, none is ever renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        #[serde(rename_all = "snake_case")]
        pub enum Rejection {
            $($(#[$doc])* $name = $number,)*
        }

        impl Rejection {
            /// Every rejection, by ascending number.
            pub const ALL: &'static [Rejection] = &[$(Rejection::$name,)*];

            /// The code that reports and JSON show.
            pub fn code(self) -> &'static str {
                match self { $(Rejection::$name => $code,)* }
            }

            /// The rejection with this stored number, if there is one.
            pub fn from_number(number: u8) -> Option<Rejection> {
                match number { $($number => Some(Rejection::$name),)* _ => None }
            }
        }
    };
}

rejections! {
    /// The record could not be split into the header's fields.
    RowMalformed = 1, "row_malformed";
    /// The record holds bytes that are not text in the file's encoding.
    EncodingInvalid = 2, "encoding_invalid";
    /// No identifier cell of the row is filled.
    IdentifierMissing = 10, "identifier_missing";
    /// An identifier cell cannot be read as its kind.
    IdentifierInvalid = 11, "identifier_invalid";
    /// The amount cell is empty.
    AmountMissing = 20, "amount_missing";
    /// The amount is not a number in the file's style, or has a sign where none belongs.
    AmountInvalid = 21, "amount_invalid";
    /// The amount has more decimals than the program.
    AmountPrecision = 22, "amount_precision";
    /// The amount is too large.
    AmountRange = 23, "amount_range";
    /// The operation is none that the format knows.
    OperationInvalid = 30, "operation_invalid";
    /// The expiry is not a date or number of days, or not in the future.
    ExpiryInvalid = 40, "expiry_invalid";
    /// `early` would not bring the lots' date forward.
    ExpiryNotEarlier = 41, "expiry_not_earlier";
    /// `extended` would not push the lots' date back.
    ExpiryNotLater = 42, "expiry_not_later";
    /// Another cell of the row has a value that its field does not take.
    FieldInvalid = 50, "field_invalid";
    /// The currency is not an ISO 4217 code, or no program has it.
    CurrencyUnknown = 51, "currency_unknown";
    /// No program has this code.
    ProgramUnknown = 52, "program_unknown";
    /// The store declares its tiers, and this is none of them.
    TierUnknown = 53, "tier_unknown";
    /// No customer has any of the row's identifiers.
    IdentifierUnknown = 60, "identifier_unknown";
    /// The row's identifiers belong to different customers.
    IdentifierConflict = 61, "identifier_conflict";
    /// An identifier that the row would add belongs to another customer.
    IdentifierTaken = 62, "identifier_taken";
    /// The file reset this customer before, to another amount.
    RepeatedCustomer = 70, "repeated_customer";
    /// The row id was applied before with other content.
    RowIdConflict = 71, "row_id_conflict";
    /// The account has fewer available points than the debit takes.
    InsufficientBalance = 80, "insufficient_balance";
    /// The balance would not fit into 64 bits.
    BalanceOverflow = 81, "balance_overflow";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_lead_back_to_their_rejection() {
        for &rejection in Rejection::ALL {
            assert_eq!(Rejection::from_number(rejection as u8), Some(rejection));
            assert_eq!(serde_json::to_value(rejection).expect("a unit variant"), rejection.code());
        }
    }
}
