//! The endpoints: each reads a request, asks `flow`, and renders the answer.
