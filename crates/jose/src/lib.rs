//! JSON Web Keys and Tokens: our signing keys, and the verification of what others signed.
//!
//! Header, claims and key matching are ours; every primitive is aws-lc's. Tests hold the results
//! against the jsonwebtoken crate and the examples of the RFCs.

mod algorithm;
mod der;
mod jwk;
pub mod signing;
pub mod verifying;
