//! What is said in a car body shop: its services and prices, the models that answer, the errors, the undeclared events.
//!
//! It does not choose: `journey` does.

/// Services as the bot names them, with a price in roubles.
pub(super) const SERVICES: &[(&str, i64)] = &[
    ("полировка кузова", 15_000),
    ("покраска бампера", 14_500),
    ("удаление вмятин без покраски", 6_500),
    ("покраска двери", 18_000),
    ("керамическое покрытие", 32_000),
    ("оклейка плёнкой капота", 24_000),
    ("ремонт сколов лобового стекла", 3_500),
    ("рихтовка крыла", 12_000),
    ("антикоррозийная обработка", 16_000),
    ("химчистка салона", 9_500),
];

/// A model, its share of the dialogs in percent, and the median and spread (σ of the logarithm) of its answers.
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) share: u32,
    pub(super) median_ms: f64,
    pub(super) spread: f64,
}

/// Shares add up to 100.
pub(super) const MODELS: &[Model] = &[
    Model { name: "deepseek-chat", share: 60, median_ms: 1_450.0, spread: 0.45 },
    Model { name: "gpt-4o-mini", share: 25, median_ms: 950.0, spread: 0.35 },
    Model { name: "yandexgpt", share: 15, median_ms: 1_900.0, spread: 0.60 },
];

/// Errors: class, message, context.
pub(super) const ERRORS: &[(&str, &str, &str)] = &[
    ("Faraday::TimeoutError", "Net::ReadTimeout with #<TCPSocket:(closed)>", "ai_request"),
    ("Telegram::Bot::Error", "Bad Request: message is not modified", "webhook_processing"),
    ("Faraday::TooManyRequestsError", "the server responded with status 429", "ai_request"),
    ("ActiveRecord::RecordInvalid", "Validation failed: Car model can't be blank", "booking_creation"),
    ("JSON::ParserError", "unexpected end of input", "tool_call"),
];

/// Events that somebody sends and nobody declared.
pub(super) const UNDECLARED: &[&str] = &["photo_received", "price_list_opened", "operator_called"];
