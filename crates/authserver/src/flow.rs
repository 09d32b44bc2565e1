//! The decisions, without a word of HTTP.

pub(crate) mod resource;
