//! The readers under comparison, each behind the same call: a luma plane in memory to what was read from it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pairlight_core::frame::LumaFrame;
use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner};
use pairlight_core::time::Timestamp;

use crate::clock;

/// A grey picture without gaps between its rows.
#[derive(Clone, Copy)]
pub(crate) struct Luma<'a> {
    pub(crate) pixels: &'a [u8],
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl<'a> Luma<'a> {
    pub(crate) fn frame(self) -> anyhow::Result<LumaFrame<'a>> {
        Ok(LumaFrame::luma8(self.pixels, self.width as u32, self.height as u32, self.width)?)
    }
}

/// The content of one code: bytes where the reader gives them, else its text as UTF-8.
pub(crate) type Content = Vec<u8>;

/// A reader of still pictures.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What was switched on.
    pub(crate) settings: &'static str,
    read: fn(Luma<'_>) -> Vec<Content>,
}

/// What one reader made of one picture.
pub(crate) struct Reading {
    pub(crate) contents: Vec<Content>,
    /// CPU time of the thread.
    pub(crate) ms: f64,
    pub(crate) panicked: bool,
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of peers, which are counted, from filling the terminal.
pub(crate) fn silence_contained_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !CONTAINED.with(Cell::get) {
            before(info);
        }
    }));
    pairlight_core::scan::silence_contained_panics();
}

impl Peer {
    /// Reads one picture; a panic is contained and counted as nothing read.
    pub(crate) fn read(&self, luma: Luma<'_>) -> Reading {
        CONTAINED.with(|contained| contained.set(true));
        let start = clock::now();
        let result = catch_unwind(AssertUnwindSafe(|| (self.read)(luma)));
        let ms = clock::now().saturating_sub(start).as_secs_f64() * 1e3;
        CONTAINED.with(|contained| contained.set(false));
        Reading { panicked: result.is_err(), contents: result.unwrap_or_default(), ms }
    }
}

/// The name of the reader that everything is measured against.
pub(crate) const UNIT: &str = "zxing-cpp";

/// Name and reason of peers that are not in this build.
pub(crate) fn missing() -> &'static [(&'static str, &'static str)] {
    if cfg!(feature = "peers") {
        &[]
    } else {
        const WHY: &str = "built with --no-default-features";
        &[("zxing-cpp", WHY), ("rqrr", WHY), ("rxing", WHY), ("quircs", WHY), ("zedbar", WHY)]
    }
}

/// All readers of this build, ours first.
pub(crate) fn all() -> Vec<Peer> {
    #[allow(unused_mut, reason = "without peers nothing is added")]
    let mut all = vec![
        Peer { name: "ours", settings: "thorough, until the first symbol", read: |luma| ours(luma, false) },
        Peer { name: "ours-all", settings: "thorough, all symbols", read: |luma| ours(luma, true) },
    ];
    #[cfg(feature = "peers")]
    all.extend(others::all());
    all
}

fn ours(luma: Luma<'_>, all_symbols: bool) -> Vec<Content> {
    let Ok(frame) = luma.frame() else { return Vec::new() };
    let options = ScanOptions { effort: ScanEffort::Thorough, all_symbols, ..ScanOptions::default() };
    let outcome = Scanner::new(options).scan(&frame, Timestamp::default());
    outcome.symbols.into_iter().map(|symbol| symbol.bytes).collect()
}

#[cfg(feature = "peers")]
pub(crate) use others::zxing_cpp;

#[cfg(feature = "peers")]
mod others {
    use super::{Content, Luma, Peer};

    pub(super) fn all() -> [Peer; 6] {
        [
            Peer { name: super::UNIT, settings: "default options, QR codes alone, all symbols", read: zxing_cpp },
            Peer {
                name: "zxing-cpp-2",
                settings: "as zxing-cpp; where nothing is read once more with the global histogram binarizer",
                read: zxing_cpp_twice,
            },
            Peer { name: "rxing", settings: "filtered reader, try harder, also inverted, first symbol", read: rxing },
            Peer { name: "rqrr", settings: "as it is, all symbols", read: rqrr },
            Peer { name: "quircs", settings: "as it is, all symbols", read: quircs },
            Peer {
                name: "zedbar",
                settings: "QR codes alone, inverted, retries of undecoded regions and of smaller pictures",
                read: zedbar,
            },
        ]
    }

    pub(crate) fn zxing_cpp(luma: Luma<'_>) -> Vec<Content> {
        zxing_cpp_with(luma, zxingcpp::Binarizer::LocalAverage)
    }

    fn zxing_cpp_twice(luma: Luma<'_>) -> Vec<Content> {
        let first = zxing_cpp(luma);
        if first.is_empty() { zxing_cpp_with(luma, zxingcpp::Binarizer::GlobalHistogram) } else { first }
    }

    fn zxing_cpp_with(luma: Luma<'_>, binarizer: zxingcpp::Binarizer) -> Vec<Content> {
        let (width, height) = (luma.width as u32, luma.height as u32);
        let view = zxingcpp::ImageView::from_slice(luma.pixels, width, height, zxingcpp::ImageFormat::Lum);
        let reader = zxingcpp::read().formats([zxingcpp::BarcodeFormat::QRCode]).binarizer(binarizer);
        let read = view.and_then(|view| reader.from(view)).unwrap_or_default();
        read.iter().filter(|code| code.is_valid()).map(zxingcpp::Barcode::bytes).collect()
    }

    fn rxing(luma: Luma<'_>) -> Vec<Content> {
        let mut hints = rxing::DecodeHints { TryHarder: Some(true), AlsoInverted: Some(true), ..Default::default() };
        let (width, height) = (luma.width as u32, luma.height as u32);
        let format = Some(rxing::BarcodeFormat::QR_CODE);
        rxing::helpers::detect_in_luma_filtered_with_hints(luma.pixels.to_vec(), width, height, format, &mut hints)
            .map(|code| code.getText().as_bytes().to_vec())
            .into_iter()
            .collect()
    }

    fn rqrr(luma: Luma<'_>) -> Vec<Content> {
        let Luma { pixels, width, height } = luma;
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        let decode = |grid: &rqrr::Grid<_>| {
            let mut bytes = Vec::new();
            grid.decode_to(&mut bytes).ok().map(|_| bytes)
        };
        prepared.detect_grids().iter().filter_map(decode).collect()
    }

    fn quircs(luma: Luma<'_>) -> Vec<Content> {
        let mut quirc = quircs::Quirc::default();
        let codes = quirc.identify(luma.width, luma.height, luma.pixels);
        codes.filter_map(Result::ok).filter_map(|code| code.decode().ok()).map(|data| data.payload).collect()
    }

    fn zedbar(luma: Luma<'_>) -> Vec<Content> {
        use zedbar::config::QrCode;
        let config = zedbar::DecoderConfig::new()
            .enable(QrCode)
            .test_inverted(true)
            .retry_undecoded_regions(true)
            .retry_downscaled(true);
        let Ok(mut image) = zedbar::Image::from_gray(luma.pixels, luma.width as u32, luma.height as u32) else {
            return Vec::new();
        };
        let result = zedbar::Scanner::with_config(config).scan(&mut image);
        result.symbols().iter().map(|symbol| symbol.data().to_vec()).collect()
    }
}
