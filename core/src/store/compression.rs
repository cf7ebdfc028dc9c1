//! Compression of packs and of history (RFC 8878): the C library, or, where there is no C compiler for the target, one in Rust.

/// Fixed: the same records must give the same bytes when a lost chunk of history is made again.
#[cfg(not(target_arch = "wasm32"))]
const LEVEL: i32 = 3;

/// Compresses; `None` never in practice.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(plain, LEVEL).ok()
}

/// Decompresses to at most `limit` bytes. Takes no more memory than the frame says that it needs, for all of it is wiped.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn decompress(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let said = zstd::zstd_safe::get_frame_content_size(packed).ok()?;
    let room = said.map_or(Some(limit), |said| usize::try_from(said).ok().filter(|said| *said <= limit))?;
    zstd::bulk::decompress(packed, room).ok()
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

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn no_more_memory_is_taken_than_is_needed_and_no_more_comes_out_than_is_allowed() {
        let plain = b"a message ".repeat(20);
        let packed = compress(&plain).unwrap();
        let opened = decompress(&packed, 256 * 1024).unwrap();
        assert_eq!(opened, plain);
        assert!(opened.capacity() < 1024, "{} bytes to wipe", opened.capacity());
        assert!(decompress(&packed, plain.len()).is_some());
        assert!(decompress(&packed, plain.len() - 1).is_none());
        for cut in 0..packed.len() {
            assert!(decompress(&packed[..cut], 256 * 1024).is_none(), "{cut}");
        }
        // A frame that does not say how long it is, as a stream writes it.
        let unsaid = zstd::stream::encode_all(&*plain, LEVEL).unwrap();
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&unsaid).unwrap(), None);
        assert_eq!(decompress(&unsaid, 256 * 1024).unwrap(), plain);
        assert!(decompress(&unsaid, plain.len() - 1).is_none());
    }
}
