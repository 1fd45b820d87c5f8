# frozen_string_literal: true

# Publishes a booking with the client for Ruby, through the gateway.
#
#   VALERA_GATEWAY_URL=http://127.0.0.1:8080 VALERA_GATEWAY_TOKEN=… ruby publish.rb CHAT_ID BOOKING_ID [OCCURRED_AT]
require_relative "../../clients/ruby/valera_analytics"
require "bigdecimal"
require "time"

ValeraAnalytics.configure { |config| config.enabled = true }
chat_id, booking_id, occurred_at = ARGV

# Mints the id and returns at once; a thread sends, and sends again under the same id until the gateway has it.
event_id = ValeraAnalytics.track(
  ValeraAnalytics::Events::BOOKING_CREATED,
  chat_id: Integer(chat_id),
  occurred_at: occurred_at ? Time.iso8601(occurred_at) : Time.now,
  properties: { booking_id: Integer(booking_id), services_count: 2, estimated_total: "27500.00" }
)
abort "not taken: #{ValeraAnalytics.stats}" unless event_id

# Only because this program ends here; an application does not wait.
abort "not sent yet: #{ValeraAnalytics.stats}" unless ValeraAnalytics.flush(20)
puts event_id
