//! A camera that runs for an hour must not make the scanner's memory grow, nor keep the allocator busy.
#![expect(unsafe_code, reason = "counting allocations needs an allocator, and its trait is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pairlight_core::frame::LumaFrame;
use pairlight_core::scan::{ScanOptions, Scanner};
use pairlight_core::time::Timestamp;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_live_scanner_allocates_nothing_once_it_is_warm() {
    // Three corner squares, so that everything up to the repair is done, and noise between them, so that nothing is read.
    let side: usize = 25 * 6 + 60;
    let mut state: u32 = 1;
    let mut noise = vec![false; 25 * 25];
    for cell in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *cell = state >> 31 == 1;
    }
    let dark = |column: usize, row: usize| {
        let square = |x: usize, y: usize| -> Option<bool> {
            let (x, y): (usize, usize) = (column.checked_sub(x)?, row.checked_sub(y)?);
            (x < 7 && y < 7).then(|| matches!(x.abs_diff(3).max(y.abs_diff(3)), 0 | 1 | 3))
        };
        let corner = square(0, 0).or(square(18, 0)).or(square(0, 18));
        let gap = (column < 8 && !(8..=16).contains(&row)) || (row < 8 && column > 16);
        corner.unwrap_or(match (column, row) {
            _ if gap => false,
            (6, n) | (n, 6) => n % 2 == 0,
            _ => noise[row * 25 + column],
        })
    };
    let pixels: Vec<u8> = (0..side * side)
        .map(|i| {
            let (x, y) = ((i % side).wrapping_sub(30) / 6, (i / side).wrapping_sub(30) / 6);
            if x < 25 && y < 25 && dark(x, y) { 30 } else { 220 }
        })
        .collect();
    let frame = LumaFrame::luma8(&pixels, side as u32, side as u32, side).unwrap();
    let mut scanner = Scanner::new(ScanOptions::default());
    let mut hinted = 0;
    let mut scan = || {
        let before = ALLOCATIONS.get();
        let outcome = scanner.scan(&frame, Timestamp::default());
        let allocated = ALLOCATIONS.get() - before;
        assert!(outcome.symbols.is_empty() && outcome.stats.reads > 0, "{:?}", outcome.stats);
        hinted += outcome.hints.len();
        allocated
    };
    // All costly looks take their turn once.
    for _ in 0..120 {
        scan();
    }
    let allocated: usize = (0..120).map(|_| scan()).sum();
    assert_eq!(allocated, 0);
    assert_eq!(hinted, 0, "a hint would have been a list on the heap");
}
