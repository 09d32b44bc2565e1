//! The decisions, without a word of HTTP.
