//! How a running job looks: a bar, lines, or JSON, all made from the same snapshots.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tidemill::job::progress::{Snapshot, Stage};

use crate::{
    args::ProgressMode,
    output::talk,
    text::{bytes, counted, grouped, seconds},
};

/// A job that ends sooner needs no bar; it would only flicker.
const BAR_AFTER: Duration = Duration::from_millis(300);
/// Once in so long a line, where nobody can redraw one: a log of an hour has 360.
const LINES_EVERY: Duration = Duration::from_secs(10);
/// Programs that follow along want a second.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// What is shown at most before all is durable.
const PERCENT_MAX: u64 = 99;

/// Shows a job's progress on standard error.
pub struct Display {
    mode: ProgressMode,
    began: Instant,
    shown_at: Instant,
    bar: Option<ProgressBar>,
    pace: Pace,
}

impl Display {
    /// Shows nothing yet. `mode` is resolved: `Auto` has become another one.
    pub fn new(mode: ProgressMode) -> Display {
        let began = Instant::now();
        Display { mode, began, shown_at: began, bar: None, pace: Pace::new(began) }
    }

    /// Shows a snapshot if it is time to.
    pub fn show(&mut self, snapshot: &Snapshot) {
        let now = Instant::now();
        self.pace.see(snapshot, now);
        match self.mode {
            ProgressMode::None => {}
            ProgressMode::Auto | ProgressMode::Bar if now - self.began >= BAR_AFTER => {
                let bar = self.bar.get_or_insert_with(new_bar);
                bar.set_position(percent(snapshot).unwrap_or(0));
                bar.set_message(words(snapshot, &self.pace, now));
            }
            ProgressMode::Auto | ProgressMode::Bar => {}
            ProgressMode::Lines if now - self.shown_at >= LINES_EVERY => {
                self.shown_at = now;
                talk(words(snapshot, &self.pace, now));
            }
            ProgressMode::Json if now - self.shown_at >= JSON_EVERY => {
                self.shown_at = now;
                talk(object(snapshot, &self.pace, now));
            }
            ProgressMode::Lines | ProgressMode::Json => {}
        }
    }

    /// Says something without disturbing the bar or whoever reads the objects.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| talk(text)),
            None if self.mode == ProgressMode::Json => talk(json!({ "type": "note", "message": text })),
            None => talk(text),
        }
    }

    /// Ends the display. The last JSON object is the end's, so that who reads them sees it.
    pub fn finish(self, snapshot: &Snapshot) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        if self.mode == ProgressMode::Json {
            talk(object(snapshot, &self.pace, Instant::now()));
        }
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:12} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr_with_hz(10));
    bar.with_style(style.progress_chars("=> "))
}

/// How fast rows pass in this run.
struct Pace {
    began: Instant,
    rows: u64,
    bytes: u64,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { began: now, rows: 0, bytes: 0 }
    }

    /// Begins with the first rows that are seen, and again where a second pass over the file does. The rows that a
    /// resumed job applied in an earlier run come with the first of this one, and are no work of its own.
    fn see(&mut self, snapshot: &Snapshot, now: Instant) {
        if self.rows == 0 || snapshot.rows < self.rows || snapshot.bytes_read < self.bytes {
            *self = Pace { began: now, rows: snapshot.rows, bytes: snapshot.bytes_read };
        }
    }

    fn elapsed_s(&self, now: Instant) -> f64 {
        (now - self.began).as_secs_f64()
    }

    fn rows_per_s(&self, snapshot: &Snapshot, now: Instant) -> u64 {
        let elapsed_s = self.elapsed_s(now);
        if elapsed_s < 0.05 { 0 } else { (snapshot.rows.saturating_sub(self.rows) as f64 / elapsed_s).round() as u64 }
    }

    /// Seconds until the rest of the input is read, by the bytes read so far.
    fn left_s(&self, snapshot: &Snapshot, now: Instant) -> Option<f64> {
        let read = snapshot.bytes_read.saturating_sub(self.bytes);
        let left = snapshot.bytes_total.checked_sub(snapshot.bytes_read)?;
        let elapsed_s = self.elapsed_s(now);
        (snapshot.stage == Stage::Applying && read > 0 && elapsed_s >= 1.0)
            .then(|| left as f64 * elapsed_s / read as f64)
    }
}

/// Percent of the input; 100 only once all is durable. None where the input's size is not known.
fn percent(snapshot: &Snapshot) -> Option<u64> {
    if snapshot.stage == Stage::Done {
        return Some(100);
    }
    let percent =
        u128::from(snapshot.bytes_read) * 100 / u128::from(std::num::NonZeroU64::new(snapshot.bytes_total)?.get());
    Some(u64::try_from(percent).map_or(PERCENT_MAX, |percent| percent.min(PERCENT_MAX)))
}

/// What matters most comes first: a narrow terminal shows only the beginning.
fn words(snapshot: &Snapshot, pace: &Pace, now: Instant) -> String {
    let mut words = snapshot.stage.word().to_owned();
    if snapshot.job > 0 {
        words = format!("job {}: {words}", snapshot.job);
    }
    if let Some(percent) = percent(snapshot) {
        words += &format!(" {percent} %");
    }
    if let Some(left_s) = pace.left_s(snapshot, now) {
        words += &format!(", {} left", seconds(left_s));
    }
    if snapshot.rows > 0 {
        words += &format!(", {}", counted(snapshot.rows, "row", "rows"));
    }
    let rows_per_s = pace.rows_per_s(snapshot, now);
    if rows_per_s > 0 && snapshot.stage == Stage::Applying {
        words += &format!(", {} rows/s", grouped(rows_per_s));
    }
    if snapshot.rejected > 0 {
        words += &format!(", {} rejected", grouped(snapshot.rejected));
    }
    if snapshot.bytes_total > 0 {
        words += &format!(", {} of {}", bytes(snapshot.bytes_read), bytes(snapshot.bytes_total));
    } else if snapshot.bytes_read > 0 {
        words += &format!(", {}", bytes(snapshot.bytes_read));
    }
    words
}

fn object(snapshot: &Snapshot, pace: &Pace, now: Instant) -> String {
    let value = json!({
        "type": "progress",
        "job": (snapshot.job > 0).then_some(snapshot.job),
        "stage": snapshot.stage.word(),
        "rows": snapshot.rows,
        "rows_durable": snapshot.rows_durable,
        "rejected": snapshot.rejected,
        "rows_per_s": pace.rows_per_s(snapshot, now),
        "bytes_read": snapshot.bytes_read,
        "bytes_total": (snapshot.bytes_total > 0).then_some(snapshot.bytes_total),
        "percent": percent(snapshot),
        "left_s": pace.left_s(snapshot, now).map(f64::round),
    });
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLYING: Snapshot = Snapshot {
        stage: Stage::Applying,
        job: 3,
        rows: 500_000,
        rows_durable: 0,
        rejected: 12,
        bytes_read: 150_000_000,
        bytes_total: 200_000_000,
    };

    #[test]
    fn a_line_says_stage_percent_time_left_rows_rate_rejected_and_bytes() {
        let began = Instant::now();
        let now = began + Duration::from_secs(3);
        assert_eq!(
            words(&APPLYING, &Pace::new(began), now),
            "job 3: applying 75 %, 1.0 s left, 500 000 rows, 166 667 rows/s, 12 rejected, 150.0 MB of 200.0 MB"
        );
    }

    #[test]
    fn a_hundred_percent_is_reached_only_when_all_is_durable() {
        let all_read = Snapshot { bytes_read: 200_000_000, ..APPLYING };
        assert_eq!(percent(&all_read), Some(99));
        assert_eq!(percent(&Snapshot { stage: Stage::Finishing, ..all_read }), Some(99));
        assert_eq!(percent(&Snapshot { stage: Stage::Done, ..all_read }), Some(100));
        assert_eq!(percent(&Snapshot { bytes_total: 0, ..APPLYING }), None);
    }

    #[test]
    fn the_pace_is_that_of_this_run_and_pass() {
        let began = Instant::now();
        let mut pace = Pace::new(began - Duration::from_secs(5));
        let resumed = Snapshot { rows: 400_000, bytes_read: 100_000_000, ..APPLYING };
        pace.see(
            &Snapshot { stage: Stage::Loading, rows: 0, bytes_read: 0, ..APPLYING },
            began - Duration::from_secs(3),
        );
        pace.see(&resumed, began);
        let now = began + Duration::from_secs(2);
        pace.see(&APPLYING, now);
        assert_eq!(pace.rows_per_s(&APPLYING, now), 50_000);
        assert_eq!(pace.left_s(&APPLYING, now), Some(2.0));
        pace.see(&Snapshot { rows: 10, bytes_read: 5_000, ..APPLYING }, now);
        assert_eq!(pace.rows_per_s(&APPLYING, now), 0);
    }
}
