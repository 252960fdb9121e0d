//! What the memory itself takes: on a virtual machine whose host takes back free memory, the first touch of a page waits for
//! the host, and may take longer than all else that is measured.

use std::time::Instant;

use tidemill::store::{memory::available_bytes, tuning::advise_huge_pages_at};

/// Touched to see what a first touch costs.
const PROBE_BYTES: u64 = 1 << 30;
/// Touched before each work: what most of them take at ten million customers. Twice as much made W1 slower again, since a
/// host may take back at once what is free beyond a gigabyte.
const WARM_BYTES: u64 = 2 << 30;
const PAGE_BYTES: usize = 4096;

/// Touches memory that nobody had, and gives it back; returns the bytes a second.
pub fn probe() -> f64 {
    touch(PROBE_BYTES, |_| ())
}

/// Has the host hand out the memory that the next work will take. It must follow at once: after some seconds a host that
/// takes back free memory has done so again. On huge pages, as the tables of a job are: small ones come from other places
/// than these, and a host takes back whole blocks. So W1 took 1.52 s, and 1.79 s where small pages had been touched.
pub fn warm() {
    touch(WARM_BYTES, |memory| advise_huge_pages_at(memory.as_ptr(), memory.len()));
}

/// Half of what is available at most.
fn touch(bytes: u64, prepare: impl Fn(&[u8])) -> f64 {
    let bytes = bytes.min(available_bytes().unwrap_or(bytes) / 2);
    let begun = Instant::now();
    // Comes as zeros that do not exist before they are written.
    let mut memory = vec![0_u8; usize::try_from(bytes).unwrap_or(0)];
    prepare(&memory);
    memory.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
    let touched_s = begun.elapsed().as_secs_f64();
    drop(memory);
    // Else Linux counts it as a peak of every process that is started from here; where this file is not there, it does.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    (bytes as f64 / touched_s.max(1e-9)).round()
}
