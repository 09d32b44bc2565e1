//! JSON Web Keys and Tokens: our signing keys, and the verification of what others signed.

pub mod signing;
pub mod verifying;
