//! The table itself: every declared event and property.
//!
//! The required properties are those without which a funnel or a latency figure would be silently wrong; all others are
//! optional but typed. Counts and durations end at 2147483647 because reports cast them to `INTEGER`, and one value
//! beyond it would fail the report for the whole table.
//!
//! It does not list keys that are personal in every event: `personal` does.

use super::{EventSpec, PropertyKind, PropertySpec, Sensitivity};

/// The greatest value of Postgres' `INTEGER`.
const I32_MAX: i64 = 2_147_483_647;

/// Every declared event, in the order of the funnel.
pub static EVENTS: &[EventSpec] = &[
    EventSpec {
        name: "ai_dialog_started",
        owner: "assistant",
        en: "A customer wrote to the assistant for the first time that day.",
        ru: "Клиент впервые за день написал ассистенту.",
        properties: &[
            PropertySpec {
                name: "message_type",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Kind of the first message: text, photo, voice.",
                ru: "Вид первого сообщения: text, photo, voice.",
                example: r#""text""#,
            },
            PropertySpec {
                name: "platform",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Messenger of the dialog, as the bot names it.",
                ru: "Мессенджер диалога, как его называет бот.",
                example: r#""telegram""#,
            },
        ],
    },
    EventSpec {
        name: "service_suggested",
        owner: "assistant",
        en: "The assistant suggested a service.",
        ru: "Ассистент предложил услугу.",
        properties: &[
            PropertySpec {
                name: "service_name",
                kind: PropertyKind::Text,
                required: true,
                sensitivity: Sensitivity::FreeText,
                en: "Name of the suggested service.",
                ru: "Название предложенной услуги.",
                example: r#""Полировка кузова""#,
            },
            PropertySpec {
                name: "confidence_score",
                kind: PropertyKind::Number {
                    min: Some(0),
                    max: Some(1),
                },
                required: true,
                sensitivity: Sensitivity::Plain,
                en: "The model's confidence, 0 to 1.",
                ru: "Уверенность модели, от 0 до 1.",
                example: "0.87",
            },
            PropertySpec {
                name: "suggestion_type",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Why it was suggested: direct, related, upsell.",
                ru: "Почему предложена: direct, related, upsell.",
                example: r#""direct""#,
            },
        ],
    },
    EventSpec {
        name: "service_added",
        owner: "booking",
        en: "A customer put a service into the cart.",
        ru: "Клиент добавил услугу в корзину.",
        properties: &[
            PropertySpec {
                name: "service_name",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::FreeText,
                en: "Name of the service.",
                ru: "Название услуги.",
                example: r#""Покраска бампера""#,
            },
            PropertySpec {
                name: "quantity",
                kind: PropertyKind::Integer {
                    min: 0,
                    max: I32_MAX,
                },
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "How many.",
                ru: "Количество.",
                example: "1",
            },
            PropertySpec {
                name: "price",
                kind: PropertyKind::Decimal,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Price of one, in roubles.",
                ru: "Цена за единицу, в рублях.",
                example: "15000.50",
            },
        ],
    },
    EventSpec {
        name: "cart_confirmed",
        owner: "booking",
        en: "A customer confirmed the cart.",
        ru: "Клиент подтвердил корзину.",
        properties: &[
            PropertySpec {
                name: "services_count",
                kind: PropertyKind::Integer {
                    min: 0,
                    max: I32_MAX,
                },
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Services in the cart.",
                ru: "Услуг в корзине.",
                example: "2",
            },
            PropertySpec {
                name: "total_amount",
                kind: PropertyKind::Decimal,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Sum of the cart, in roubles.",
                ru: "Сумма корзины, в рублях.",
                example: "27500",
            },
        ],
    },
    EventSpec {
        name: "booking_request_created",
        owner: "booking",
        en: "A booking request was handed to the workshop.",
        ru: "Заявка на запись передана в мастерскую.",
        properties: &[
            PropertySpec {
                name: "booking_id",
                kind: PropertyKind::IntegerOrText,
                required: true,
                sensitivity: Sensitivity::Plain,
                en: "Id of the request in the bot.",
                ru: "Номер заявки в боте.",
                example: "1042",
            },
            PropertySpec {
                name: "services_count",
                kind: PropertyKind::Integer {
                    min: 0,
                    max: I32_MAX,
                },
                required: true,
                sensitivity: Sensitivity::Plain,
                en: "Services in the request.",
                ru: "Услуг в заявке.",
                example: "2",
            },
            PropertySpec {
                name: "estimated_total",
                kind: PropertyKind::Decimal,
                required: true,
                sensitivity: Sensitivity::Plain,
                en: "Estimated sum, in roubles.",
                ru: "Предварительная сумма, в рублях.",
                example: "27500.00",
            },
            PropertySpec {
                name: "processing_time_ms",
                kind: PropertyKind::Integer {
                    min: 0,
                    max: I32_MAX,
                },
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "From confirmation to the stored request, in milliseconds.",
                ru: "От подтверждения до сохранённой заявки, в миллисекундах.",
                example: "840",
            },
            PropertySpec {
                name: "user_segment",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Segment of the customer: new, engaged, returning.",
                ru: "Сегмент клиента: new, engaged, returning.",
                example: r#""engaged""#,
            },
        ],
    },
    EventSpec {
        name: "ai_suggestion_accepted",
        owner: "assistant",
        en: "A customer accepted a suggested service.",
        ru: "Клиент принял предложенную услугу.",
        properties: &[PropertySpec {
            name: "service_name",
            kind: PropertyKind::Text,
            required: false,
            sensitivity: Sensitivity::FreeText,
            en: "Name of the accepted service.",
            ru: "Название принятой услуги.",
            example: r#""Полировка кузова""#,
        }],
    },
    EventSpec {
        name: "ai_response_time",
        owner: "platform",
        en: "The assistant answered a message.",
        ru: "Ассистент ответил на сообщение.",
        properties: &[
            PropertySpec {
                name: "duration_ms",
                kind: PropertyKind::Integer {
                    min: 0,
                    max: I32_MAX,
                },
                required: true,
                sensitivity: Sensitivity::Plain,
                en: "From message to answer, in milliseconds.",
                ru: "От сообщения до ответа, в миллисекундах.",
                example: "1830",
            },
            PropertySpec {
                name: "model_used",
                kind: PropertyKind::Text,
                required: true,
                sensitivity: Sensitivity::Plain,
                en: "Model that answered.",
                ru: "Модель, которая ответила.",
                example: r#""deepseek-chat""#,
            },
            PropertySpec {
                name: "timestamp",
                kind: PropertyKind::Number {
                    min: None,
                    max: None,
                },
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "When the bot measured it, in seconds since 1970.",
                ru: "Когда бот это измерил, в секундах с 1970 года.",
                example: "1761984000.25",
            },
        ],
    },
    EventSpec {
        name: "error_occurred",
        owner: "platform",
        en: "The bot met an error while it served a customer.",
        ru: "У бота возникла ошибка при обслуживании клиента.",
        properties: &[
            PropertySpec {
                name: "error_class",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "Class of the error.",
                ru: "Класс ошибки.",
                example: r#""Faraday::TimeoutError""#,
            },
            PropertySpec {
                name: "error_message",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::FreeText,
                en: "Its message.",
                ru: "Её сообщение.",
                example: r#""execution expired""#,
            },
            PropertySpec {
                name: "context",
                kind: PropertyKind::Text,
                required: false,
                sensitivity: Sensitivity::Plain,
                en: "What the bot was doing.",
                ru: "Что делал бот.",
                example: r#""webhook_processing""#,
            },
        ],
    },
];
