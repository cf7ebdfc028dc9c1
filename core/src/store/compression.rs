//! Compression of packs and of history (RFC 8878): the C library, or, where there is no C compiler for the target, one in Rust.

/// Fixed: the same records must give the same bytes when a lost chunk of history is made again.
#[cfg(not(target_arch = "wasm32"))]
const LEVEL: i32 = 3;

/// Compresses; `None` never in practice.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(plain, LEVEL).ok()
}

/// Decompresses to at most `limit` bytes.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn decompress(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    zstd::bulk::decompress(packed, limit).ok()
}

/// Compresses; `None` never in practice.
#[cfg(target_arch = "wasm32")]
#[expect(clippy::unnecessary_wraps, reason = "the other library can fail here")]
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    Some(ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest))
}

/// Decompresses to at most `limit` bytes.
#[cfg(target_arch = "wasm32")]
pub(crate) fn decompress(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    use std::io::Read;
    let most = u64::try_from(limit).ok()?;
    let mut plain = Vec::new();
    let decoder = ruzstd::decoding::StreamingDecoder::new(packed).ok()?;
    // One byte more tells that there is more.
    decoder.take(most.checked_add(1)?).read_to_end(&mut plain).ok()?;
    (plain.len() <= limit).then_some(plain)
}
