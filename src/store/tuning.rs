//! RocksDB options, and the two hints to memory that pay for themselves.

use rayon::prelude::*;
use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

use super::family;

/// Fetches the cache line of a value into the first-level cache; does nothing where there is no such instruction.
#[inline]
pub fn prefetch<T>(place: &T) {
    prefetch_at(std::ptr::from_ref(place).cast());
}

/// The same for an address.
#[inline]
pub fn prefetch_at(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// A large table filled with one value, on huge pages where the kernel has them: random lookups in a gigabyte then miss
/// the TLB a tenth as often. The advice must come before the first write, so it cannot be given to a finished `Vec`.
pub fn table<T: Copy + Send + Sync>(length: usize, value: T) -> Vec<T> {
    /// Above this the workers fill it together: where the machine is a virtual one whose host takes back free memory,
    /// the first touch of a gigabyte takes two seconds, most of which is waiting.
    const SHARED_BYTES_MIN: usize = 32 << 20;
    let mut table = Vec::with_capacity(length);
    advise_huge_pages(table.spare_capacity_mut());
    if length * size_of::<T>() < SHARED_BYTES_MIN {
        table.resize(length, value);
    } else {
        rayon::iter::repeat_n(value, length).with_min_len(1 << 16).collect_into_vec(&mut table);
    }
    table
}

/// Makes room for `length` values in all, on huge pages where the kernel has them. The memory is touched when it is
/// filled: what an estimate has too much costs nothing.
pub fn make_room<T>(list: &mut Vec<T>, length: usize) {
    list.reserve_exact(length.saturating_sub(list.len()));
    advise_huge_pages(list.spare_capacity_mut());
}

fn advise_huge_pages<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    advise_huge_pages_at(memory.as_ptr().cast(), size_of_val(memory));
}

/// Asks for huge pages for so many bytes from an address on, before they are touched.
#[cfg(target_os = "linux")]
pub fn advise_huge_pages_at(start: *const u8, bytes: usize) {
    const HUGE_PAGE: usize = 2 << 20;
    let start = start as usize;
    let (first, end) = (start.next_multiple_of(HUGE_PAGE), (start + bytes) & !(HUGE_PAGE - 1));
    if first < end {
        // SAFETY: the advice does not change content whatever the range is; where it is not mapped, or the kernel does not
        // take it, it answers with an error that does not matter.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
}

/// Does nothing: only Linux is asked.
#[cfg(not(target_os = "linux"))]
pub fn advise_huge_pages_at(_: *const u8, _: usize) {}

/// Options of the database.
pub fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // The default recovery mode drops everything behind a flipped bit in the middle of the log without a word.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_recycle_log_file_num(0);
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(4);
    options.set_max_open_files(1024);
    options.set_max_background_jobs(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_max_total_wal_size(64 << 20);
    options
}

/// Options of a family, and of the files that are built for it.
pub fn of_family(name: &str) -> Options {
    let mut options = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_format_version(5);
    // A look for a row's key reads one page of 3 KB, and at that costs what it reads.
    table.set_block_size(if name == family::ROW_IDS { 4 << 10 } else { 16 << 10 });
    table.set_block_cache(&Cache::new_lru_cache(8 << 20));
    options.set_block_based_table_factory(&table);
    // Pages of the ledger are packed, which leaves 2 % to save; what there is to save of customer pages costs more time
    // than a load has, see `customer_page`.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(16 << 20);
    if name == family::LOG {
        // Its files never overlap, so there is nothing to compact; see `family`.
        options.set_disable_auto_compactions(true);
        options.set_level_zero_slowdown_writes_trigger(i32::MAX);
        options.set_level_zero_stop_writes_trigger(i32::MAX);
    }
    options
}
