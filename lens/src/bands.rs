//! Rows in parallel, with the same result for any number of threads.

use std::thread;

/// Rows per piece of work: small enough to share bright and dark parts of a frame evenly.
const BAND_ROWS: usize = 16;

/// Calls `paint(y, row)` for each row of `data`, on all available processors.
pub(crate) fn each_row<T: Send>(data: &mut [T], row_len: usize, paint: impl Fn(usize, &mut [T]) + Sync) {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(16);
    let mut shares: Vec<Vec<(usize, &mut [T])>> = (0..threads).map(|_| Vec::new()).collect();
    for (band, rows) in data.chunks_mut(row_len * BAND_ROWS).enumerate() {
        shares[band % threads].push((band * BAND_ROWS, rows));
    }
    let paint = &paint;
    thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || {
                for (first, rows) in share {
                    for (index, row) in rows.chunks_mut(row_len).enumerate() {
                        paint(first + index, row);
                    }
                }
            });
        }
    });
}
