//! One block of AES-256 (FIPS 197): a permutation of 16 bytes. Only for values that are random and never repeat under a
//! key; everything longer goes through [`super::aead`].

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// `AES-256(key, block)`.
#[must_use]
pub fn encrypt_block(key: &[u8; 32], block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    block.into()
}

/// The inverse of [`encrypt_block`].
#[must_use]
pub fn decrypt_block(key: &[u8; 32], block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    Aes256::new(key.into()).decrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_fips_197_appendix_c_3() {
        let key: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let plain: [u8; 16] = core::array::from_fn(|i| u8::try_from(i * 0x11).unwrap());
        let sealed = encrypt_block(&key, plain);
        assert_eq!(hex::encode(sealed), "8ea2b7ca516745bfeafc49904b496089");
        assert_eq!(decrypt_block(&key, sealed), plain);
    }
}
