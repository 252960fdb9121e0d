//! `tidemill store`.

use tidemill::{
    engine::{Engine, request::SettingsChange, view::StoreView},
    error::Result,
};

use crate::{
    args::{BackupArgs, RestoreArgs, StoreSetArgs},
    exit::Exit,
    settings::Settings,
    text::{Side::Left, bytes, counted, grouped, table},
};

/// `tidemill store info`.
pub fn info(settings: &Settings) -> Result<Exit> {
    let view = settings.open()?.info()?;
    settings.output.result(&view, || store_text(&view))?;
    Ok(Exit::Done)
}

/// `tidemill store set`.
pub fn set(settings: &Settings, args: StoreSetArgs) -> Result<Exit> {
    let change = SettingsChange {
        tiers: args.tiers.as_deref().map(tiers),
        time_zone: args.time_zone,
        default_region: args.default_region,
        default_comment: args.default_comment,
    };
    let view = settings.create()?.set(change)?;
    settings.output.result(&view, || store_text(&view))?;
    Ok(Exit::Done)
}

/// `tidemill store compact`.
pub fn compact(settings: &Settings) -> Result<Exit> {
    let view = settings.open()?.compact()?;
    settings.output.result(&view, || {
        format!(
            "Store `{}`: {} before, {} now\n",
            settings.store.display(),
            bytes(view.bytes_before),
            bytes(view.bytes_after)
        )
    })?;
    Ok(Exit::Done)
}

/// `tidemill backup`.
pub fn backup(settings: &Settings, args: &BackupArgs) -> Result<Exit> {
    let view = settings.open()?.backup(&args.directory)?;
    settings.output.result(&view, || format!("Backup `{}`: {}\n", view.directory, bytes(view.bytes)))?;
    Ok(Exit::Done)
}

/// `tidemill restore`.
pub fn restore(settings: &Settings, args: &RestoreArgs) -> Result<Exit> {
    let view = Engine::restore(&args.directory, &settings.store, settings.options.clone())?.info()?;
    settings.output.result(&view, || store_text(&view))?;
    Ok(Exit::Done)
}

/// The names between the commas; none of an empty text, which undeclares the tiers.
fn tiers(given: &str) -> Vec<String> {
    if given.trim().is_empty() { Vec::new() } else { given.split(',').map(|tier| tier.trim().to_owned()).collect() }
}

fn store_text(view: &StoreView) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let tiers =
        if view.tiers.is_empty() { "none declared: any is accepted".to_owned() } else { view.tiers.join(" < ") };
    let facts = [
        ("format", format!("version {}", view.format_version)),
        ("time zone", view.time_zone.clone()),
        ("tiers", tiers),
        ("default region", or_none(&view.default_region)),
        ("default comment", or_none(&view.default_comment)),
        ("programs", view.programs.join(", ")),
        ("customers", grouped(view.customers)),
        ("ledger entries", grouped(view.ledger_entries)),
        ("jobs", grouped(view.jobs)),
        ("to replay", format!("{} when the store is opened", counted(view.cache_lag, "log record", "log records"))),
        ("on disk", bytes(view.disk_bytes)),
    ];
    let rows: Vec<_> = facts.into_iter().map(|(label, value)| vec![label.to_owned(), value]).collect();
    format!("Store `{}`\n", view.directory) + &table("  ", &[Left, Left], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_what_stands_between_commas() {
        assert_eq!(tiers("bronze, silver,gold"), ["bronze", "silver", "gold"]);
        assert_eq!(tiers(" "), [""; 0]);
        // The engine refuses a tier without a name.
        assert_eq!(tiers("a,,b"), ["a", "", "b"]);
    }
}
