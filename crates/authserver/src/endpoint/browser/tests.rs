//! Stories through the router, with a real store, real grants and a provider on loopback.

mod authorize;
mod callback;
mod device;
mod documents;
mod interaction;
mod local;
mod preregistered;
mod pushed;
mod scopes;
mod session;
mod world;
