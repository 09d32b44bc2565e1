//! The stories: the real binary, met by things that others wrote.
//!
//! Each mistake that others made has a test here:
//!
//! | mistake | test |
//! | --- | --- |
//! | registration takes members that the server reads later | `registration::the_answer_is_complete_and_holds_nothing_unknown` |
//! | one approval counts for every user, or is remembered | `consent::consent_is_asked_every_time_and_before_the_provider` |
//! | consent and callback in different browsers | `callback::a_callback_in_another_browser_gives_nothing`, `consent::a_login_begun_in_one_browser_is_nothing_in_another` |
//! | an error is redirected to an unvalidated URI | `authorize::nothing_is_sent_to_an_unregistered_redirect_uri` |
//! | PKCE is skipped where the verifier is left out; `plain` | `authorize::a_verifier_must_fit`, `authorize::pkce_with_s256_is_needed` |
//! | a secret is accepted and never compared | `refresh::a_client_with_a_secret_keeps_its_refresh_token` |
//! | a code is redeemed twice | `code::racing_redemptions_give_tokens_once` |
//! | a refresh revokes what it has just issued | `refresh::parallel_refreshes_agree`, `refresh::a_lost_answer_is_given_again` |
//! | a failed or slow provider is `invalid_grant` | `identity_life::a_provider_that_is_away_ends_no_session`, `identity_life::our_own_wrong_secret_ends_no_session`, `identity_life::a_slow_provider_is_waited_for` |
//! | a header of the client decides how much is checked; any bearer on one path | `edge::no_header_of_the_client_weakens_the_check` |
//! | `X-Forwarded-For` is believed leftmost | `edge::a_made_up_forwarded_address_is_not_believed` |
//! | the issuer is made from `Host` | `discovery::the_issuer_is_never_made_from_host` |
//! | metadata and endpoints differ; empty `scopes_supported` | `discovery::every_endpoint_in_the_metadata_is_served`, `discovery::each_resource_document_names_what_it_was_asked_for` |
//! | `Mcp-Session-Id` is dropped | `headers::the_server_gets_what_the_contract_promises`, `headers::the_server_s_answer_is_cleaned` |
//! | bodies are parsed and written anew, chunked ones hang | `bodies::nothing_is_parsed_and_written_anew`, `bodies::chunked_requests_arrive` |
//! | bodies are limited to 100 kB | `bodies::requests_of_a_mebibyte_and_more_arrive_as_they_left` |
//! | query and sub-path are lost | `bodies::methods_sub_paths_and_queries_go_through` |
//! | streams are cut or flushed late | `streams::each_event_leaves_before_the_next_is_made`, `streams::a_silent_stream_gets_comments_between_events` |
//! | a second person's login replaces the first one's identity | `second_user::two_people_on_one_client_id_stay_apart` |
//! | 64 calls at the expiry make many refreshes and failures | `identity_life::sixty_four_calls_at_expiry_make_one_refresh` |
//! | each call leaks a connection to the server | `bodies::connections_to_the_server_are_used_again` |
//! | the token request's `redirect_uri` carries the callback's query | `callback::the_token_request_names_the_bare_redirect_uri` |
//! | a client that left does not end its call | `streams::a_client_that_hangs_up_ends_its_call_at_the_server` |
//! | memory grows with clients that do not read | `streams::a_client_that_does_not_read_is_not_buffered_for` |
//! | `offline_access` gives no refresh token | every login in `testkit::client::Tokens::of` |
//! | failures are stack traces in HTML | `edge::unknown_paths_and_wrong_methods_are_refused`, `registration::malformed_and_huge_requests_are_refused_in_json` |
//! | SIGTERM is ignored | `shutdown` |
#![cfg(test)]

mod harness;

mod authorize;
mod backup;
mod bodies;
mod callback;
mod clients;
mod code;
mod configuration;
mod conformance;
mod consent;
mod cors;
mod demo;
mod discovery;
mod edge;
mod faults;
mod first_connection;
mod first_start;
mod headers;
mod heroku;
mod identity_life;
mod keys;
mod libraries;
mod limits;
mod local_identity;
mod moves;
mod pages;
mod plain_oauth;
mod predecessor;
mod recorded;
mod redis;
mod refresh;
mod registration;
mod restarts;
mod second_user;
mod secrets;
mod shutdown;
mod steady;
mod streams;
mod sub_process;
mod suite_scenarios;
