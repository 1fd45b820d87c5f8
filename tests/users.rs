//! Whom the servers of tests and benchmarks know.

/// Whoever gives no name may do everything; `mute` may publish no event; `talker` may publish events and nothing else;
/// `publisher` may publish events and hear an inbox of its own, as `docs/publish.md` grants it.
pub(crate) const USERS: &str = r#"
authorization {
    users: [
        { user: anyone, password: anyone }
        { user: mute, password: mute, permissions: { publish: { deny: "analytics.>" } } }
        { user: publisher, password: publisher, permissions: {
            publish: { allow: ["analytics.>"] }, subscribe: { allow: ["_INBOX_shop.>"] }
        } }
        { user: talker, password: talker, permissions: { publish: { allow: "analytics.>" } } }
    ]
}
no_auth_user: anyone
"#;
