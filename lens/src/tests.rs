//! Shots judged by their pixels, and by a QR reader.
