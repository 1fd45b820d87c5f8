# frozen_string_literal: true

# Tracks one event of each kind at the given time, as a Rails application would, and ends.
require File.expand_path("../../../clients/ruby/valera_analytics", __dir__)
require "bigdecimal"

E = AnalyticsService::Events
AT = Time.iso8601(ARGV.fetch(0))

def say(name, properties)
  AnalyticsService.track(name, chat_id: -1_001_234_567_890, properties: properties, occurred_at: AT) or abort("#{name} is not on its way")
end

say(E::DIALOG_STARTED, { message_type: :text })
say(E::SERVICE_SUGGESTED, { service_name: "Полировка \"кузова\" \\ \n 😀", confidence_score: 0.8 })
say(E::SUGGESTION_ACCEPTED, { "service_name" => "Полировка".encode("UTF-16LE") })
say(E::SERVICE_ADDED, { service_name: "Полировка", quantity: 1, price: BigDecimal("15000.5") })
say(E::CART_CONFIRMED, { services_count: 1, total_amount: 15_000.5 })
say(E::BOOKING_CREATED, { booking_id: 7, services_count: 1, estimated_total: BigDecimal("15000.50"), user_segment: nil })
say(E::RESPONSE_TIME, { duration_ms: 1830, model_used: "deepseek-chat" })
say(E::ERROR_OCCURRED, { error_class: "str", error_message: "позвоните +7 916 123-45-67", context: "webhook_processing" })
say("review_left", { customer_name: "Иван", nested: [{ email: "a@example.com" }, 1e-7, 1e21, 2**53, Float::NAN, true] })
AnalyticsService.track_response_time(1, 1830.4, "deepseek-chat")
