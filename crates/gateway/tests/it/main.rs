//! The data path over real sockets: a client, the gateway with real grants over a real store, and
//! an MCP server that the test writes.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod bad_requests;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod log;
#[cfg(test)]
mod streams;
